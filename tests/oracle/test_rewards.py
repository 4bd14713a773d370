"""Rewards are Ratio1's for a Node Deed, shared by its slots, in whole wei."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.oracle.rewards import ND_REWARD_WEI, Deed, epoch_reward, rewards_of

OWNER = b"\x01" * 20
A, B, C = (bytes([n]) * 20 for n in (0xA, 0xB, 0xC))


@pytest.mark.parametrize(
    "availability, slots, wanted",
    [
        (255, 1, 1458508188386985115),
        (0, 1, 0),
        (1, 1, 5719639954458765),  # 5719639954458765.15...
        (127, 1, 726394274216263174),
        (255, 4, 364627047096746278),  # a quarter is ...278.75: the fraction is nobody's
        (510, 4, 729254094193492557),
        (1020, 4, 1458508188386985115),
    ],
)
def test_a_deed_earns_its_share_of_one_reward_rounded_down(availability, slots, wanted):
    assert epoch_reward(availability, slots) == wanted


@pytest.mark.parametrize("availability, slots", [(0, 0), (0, -1), (-1, 1), (256, 1), (1021, 4)])
def test_more_than_the_slots_can_give_is_refused(availability, slots):
    with pytest.raises(ValueError):
        epoch_reward(availability, slots)


def test_each_deed_earns_by_its_own_devices():
    deeds = {2: Deed(OWNER, 1, (C,)), 1: Deed(OWNER, 4, (A, B))}
    first = rewards_of(deeds, {A: 255, B: 255, C: 127})
    assert first == {1: 729254094193492557, 2: 726394274216263174}
    assert rewards_of(deeds, {A: 0, B: 0, C: 255}) == {1: 0, 2: ND_REWARD_WEI}


def test_a_device_in_two_slots_is_refused():
    with pytest.raises(ValueError):
        rewards_of({1: Deed(OWNER, 1, (A,)), 2: Deed(OWNER, 1, (A,))}, {A: 255})


def test_a_device_without_availability_is_refused():
    with pytest.raises(KeyError):
        rewards_of({1: Deed(OWNER, 1, (A,))}, {})


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=8), st.integers(0, 8))
def test_more_devices_or_slots_never_bring_more_than_the_deeds_reward(values, empty_slots):
    devices = tuple(bytes([n]) * 20 for n in range(len(values)))
    deed = Deed(OWNER, len(values) + empty_slots, devices)
    (earned,) = rewards_of({1: deed}, dict(zip(devices, values, strict=True))).values()
    assert 0 <= earned <= ND_REWARD_WEI
    exact = sum(ND_REWARD_WEI * value / (255 * deed.slots) for value in values)
    assert earned == pytest.approx(exact, rel=1e-12, abs=1)

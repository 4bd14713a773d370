"""What a device takes and what it refuses of updates, and that what it refuses changes nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent.phases import FETCHING, NOTHING
from device.agent.version import CORE_ABI
from tests.update_bench import (
    AGENT,
    KEY,
    MODEL,
    OWNER,
    STRANGER,
    Device,
    Party,
    Store,
    manifest,
    suit,
    trust,
)  # fmt: skip

NEWER = CORE_ABI + 1
OLD, NEW = b"old!" + bytes(range(256)) * 4, b"new!" + bytes(range(255)) * 17
HOUR_MS = 3600 * 1000
NEXT = Party(b"\x0e" * 32)


@pytest.fixture
def device():
    """A device that runs OLD, sequence 3, and is up."""
    device = Device()
    device.hold(OLD, NEW)
    device.live(manifest(OLD, 3))
    device.told.clear()
    return device


def told_of(device):
    device.pass_ms(10)
    device.answer()
    return [(told[1], told[2], told[3]) for told in device.told]


REFUSALS = {
    "a stranger's key": (manifest(NEW, 4, key=STRANGER), "key: got 0x"),
    "another board": (manifest(NEW, 4, board="board_b"), "board: got board_b, wanted board_a"),
    "another format": (manifest(NEW, 4, abi="ren2"), "abi: got ren2, wanted ren3"),
    "an agent for another interpreter": (manifest(NEW, 4, AGENT, abi="mpy6.3"), "abi: got mpy6.3, wanted python3"),
    "a newer agent wanted": (manifest(NEW, 4, needs=3), "needs: got 3, wanted at most 2"),
    "a newer core wanted": (manifest(NEW, 4, AGENT, needs=NEWER), f"needs: got {NEWER}, wanted at most {CORE_ABI}"),
    "more than a bank holds": (manifest(NEW, 4, size=7681), "size: got 7681, wanted at most 7680"),
    "a lower sequence": (manifest(NEW, 2), "sequence: got 2, wanted above 3"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_a_device_refuses_it_tells_and_nothing_changes(device, name):
    frame, reason = REFUSALS[name]
    before = device.kept

    assert device.receive("manifest", frame) is None

    ((sequence, state, told),) = told_of(device)
    assert (sequence, state) == (suit.open_manifest(frame)[0].sequence, suit.TOLD_REFUSED) and told.startswith(reason)
    assert device.kept == before and device.install.counts["refused"] == 1
    assert {unit.phase for unit in device.units.values()} == {NOTHING}


def test_a_signature_that_is_not_the_trusted_keys_is_refused(device):
    frame, before = manifest(NEW, 4), device.kept
    for at in (len(frame) - 1, len(frame) - 40):
        changed = bytearray(frame)
        changed[at] ^= 1
        device.receive("manifest", bytes(changed))
    device.receive("manifest", suit.sign_manifest(KEY.address, STRANGER.sign, *suit.open_manifest(frame)[0].values()))

    reasons = {told[2] for told in told_of(device)}
    assert reasons == {"signature: got another's, wanted the trusted key's"} and device.kept == before


def test_before_the_owner_trusts_a_key_no_manifest_is_taken():
    device = Device()
    device.begin()

    device.receive("manifest", manifest(NEW))

    assert told_of(device) == [(1, 4, "key: got a manifest, wanted the owner's trust in a key first")]
    assert not device.boot.banks.is_used


def test_a_device_without_banks_of_a_kind_says_so(device):
    device.boot.banks._memories[AGENT] = ()

    device.receive("manifest", manifest(NEW, 1, AGENT))

    assert told_of(device)[0][1:] == (4, "kind: got 2, wanted one that this device has banks for")


@pytest.mark.parametrize("frame, reason", [
    (trust(NEXT, 2, owner=STRANGER), "another's signature"),
    (trust(NEXT, 1), "number: got 1, wanted above 1"),
    (trust(NEXT, 2)[:-1], "offset"),
])  # fmt: skip
def test_only_the_owner_replaces_trust_and_only_by_a_higher_number(device, frame, reason):
    before = device.kept

    assert reason in device.receive("trust", frame)

    assert device.kept == before and device.boot.banks.key == KEY.address


def test_an_unbound_device_trusts_nobody():
    device = Device()
    device.store = Store(owner=None)
    device.begin()

    assert "wanted an owner first" in device.receive("trust", trust())
    assert not device.boot.banks.is_used


def test_the_same_trust_again_writes_nothing(device):
    writes = device.power.writes

    assert device.receive("trust", trust()) is None
    assert device.power.writes == writes


def test_another_key_takes_the_place_of_the_trusted_one_and_what_that_one_signed_is_not_tried(device):
    device.receive("manifest", manifest(NEW, 4))
    assert device.units[MODEL].phase == FETCHING

    device.receive("trust", trust(NEXT, 2))
    device.offer()
    assert device.units[MODEL].phase == NOTHING and not device.boot.wants_reset
    device.receive("manifest", manifest(NEW, 5))
    assert told_of(device)[-1][1] == suit.TOLD_REFUSED

    device.receive("manifest", manifest(NEW, 5, key=NEXT))
    device.receive("trust", trust())  # the old one, replayed
    device.offer()
    device.reset = "asked"
    assert device.live().running()[0] == NEW and device.boot.banks.key == NEXT.address


def test_not_even_a_device_that_lost_its_bank_goes_below_what_was_ever_confirmed(device):
    bank = device.memories[1]
    bank.bytes[600] ^= 1
    device.begin()
    assert device.running() == (b"", b"")
    device.pass_hours(1)

    device.receive("manifest", manifest(NEW, 2))
    assert told_of(device)[-1] == (2, suit.TOLD_REFUSED, "sequence: got 2, wanted above 3")
    device.offer(manifest(OLD, 3))
    assert device.boot.wants_reset


def test_an_old_manifest_replayed_brings_nothing_back(device):
    device.live(manifest(NEW, 5))
    device.told.clear()
    before = device.kept

    for sequence in (1, 3, 4):
        device.receive("manifest", manifest(OLD, sequence))
    device.receive("manifest", manifest(OLD, 5))  # another artifact under the number that runs

    assert {told[1] for told in told_of(device)} == {suit.TOLD_REFUSED, suit.TOLD_CONFIRMED}
    assert device.kept == before and device.running()[0] == NEW


def test_a_higher_sequence_takes_the_place_of_one_that_is_being_fetched_and_a_lower_one_does_not(device):
    device.receive("manifest", manifest(NEW, 6))
    device.receive("manifest", manifest(OLD, 5))
    assert device.units[MODEL].wanted == 6

    device.offer(manifest(OLD, 7))
    device.reset = "asked"
    device.live()

    assert (device.units[MODEL].sequence, device.running()[0]) == (7, OLD)


def test_a_broken_artifact_is_tried_once_and_then_after_1_2_4_hours_of_uptime_whatever_resets_come(device):
    device.hold(b"crash" * 200)
    broken = manifest(b"crash" * 200, 4)
    device.live(broken)
    assert device.ran[-2:] == [(b"crash" * 200, b""), (OLD, b"")]

    for hours, failures in ((1, 1), (2, 2), (4, 3)):
        assert device.units[MODEL].failures == failures
        ran = len(device.ran)
        device.live(broken)
        device.pass_hours(hours - 1)
        device.pass_ms(HOUR_MS - 60_000)
        device.offer(broken)
        assert len(device.ran) == ran + 1 and told_of(device)[-1] == (4, suit.TOLD_FAILED, "error: it crashes")
        device.pass_ms(60_000)
        device.offer(broken)
        device.reset = "asked"
        device.live(broken)
    device.live(manifest(NEW, 5))
    assert (device.running()[0], device.units[MODEL].failures, device.units[MODEL].failed) == (NEW, 0, 0)


# What is told


def test_each_change_of_state_is_told_once_and_all_again_after_a_connection(device):
    device.live(manifest(NEW, 4))
    states = [(told[1], told[2]) for told in device.told]
    assert states == [(4, 1)] * 4 + [(4, 3)]
    device.told.clear()

    for _ in range(5):
        told_of(device)
    assert device.told == []
    device.broker.sessions += 1
    assert told_of(device) == [(4, suit.TOLD_CONFIRMED, "")] and device.told[0][-2:] == [4, 0]


def test_a_memory_that_fails_is_no_update_and_no_end_of_the_device(device):
    idle = device.boot.banks.idle(MODEL).memory

    def fail(addr, data):
        raise OSError(5, "no answer")

    idle.write = fail
    for _ in range(4):
        try:
            device.offer(manifest(NEW, 4))
        except OSError:
            assert device.units[MODEL].phase == NOTHING
    del idle.write
    device.offer(manifest(NEW, 4))
    device.reset = "asked"

    assert device.live().running()[0] == NEW


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.sampled_from(["trust", "manifest", "chunk"]), st.binary(max_size=520), st.integers(0, 10**6), st.booleans())
def test_foreign_bytes_change_nothing(name, data, at, is_changed):
    device = Device()
    device.begin()
    device.receive("trust", trust())
    before = device.kept
    if is_changed and name != "chunk":
        frame = bytearray(trust(NEXT, 2) if name == "trust" else manifest(NEW, 4))
        frame[at % len(frame)] ^= 1 + len(data) % 255
        data = bytes(frame)

    device.receive(name, data)

    assert device.kept == before and OWNER.address == device.store.owner

"""Ratio1's rule on its own cases, and what it makes of the heartbeats that our windows count."""

import pytest

from gateway.oracle.conformance import compare, ratio1_availability
from tests.test_availability import DEVICE, OTHER, beat, is_signed, make_windows

DAY_MS = 86_400_000
CASES = [  # (seconds between heartbeats, hours of the day that they come in, Ratio1's value)
    (10, 24, 255),
    (15, 24, 255),
    (5, 24, 255),
    (16, 24, 0),
    (4, 24, 0),
    (10, 12, 127),
    (10, 0, 0),
]


@pytest.mark.parametrize("every_s, hours, wanted", CASES)
def test_ratio1s_rule_gives_ratio1s_values(every_s, hours, wanted):
    times = range(0, hours * 3_600_000, every_s * 1_000)
    assert ratio1_availability(times, DAY_MS) == wanted
    assert ratio1_availability(reversed(times), DAY_MS) == wanted


def test_a_heartbeat_just_before_or_after_a_bound_of_a_gap_is_not_credited():
    assert [ratio1_availability([0, gap], 15_000) for gap in (4_999, 5_000, 15_000, 15_001)] == [0, 85, 255, 0]


def test_both_rules_on_the_same_heartbeats():
    windows = make_windows(4)
    steady = [beat(window, window + 1) for window in range(4)]
    early = [beat(0, 1, 2_000), beat(1, 2, 1_000), beat(2, 3, 0), beat(3, 4, 0)]
    forged = [beat(window, window + 1, device=OTHER, signature=b"forged") for window in range(4)]
    assert compare(windows, steady + forged, is_signed, [DEVICE, OTHER]) == {DEVICE: (255, 191), OTHER: (0, 0)}
    assert compare(windows, early, is_signed, [DEVICE]) == {DEVICE: (255, 64)}

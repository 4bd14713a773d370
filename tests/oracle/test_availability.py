"""The availability rule, a row for each thing that may be wrong with a heartbeat or a window."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import wire
from gateway.oracle.availability import EvidenceError, Heartbeat, Window, Windows, score, verify_windows

EPOCH, WINDOW_MS, OPENED_MS = 7, 5_000, 1_700_000_000_000
DEVICE, OTHER = b"\x11" * 20, b"\x22" * 20
GOOD, FORGED = b"good", b"forged"


def opened_ms(window):
    return OPENED_MS + window * WINDOW_MS


def make_windows(count, missing=()):
    hashes = {w: bytes([w]) * 32 for w in range(count)}
    opened = tuple(
        Window(w, opened_ms(w), 10 + w, hashes[w], wire.make_beacon(EPOCH, w, hashes[w]))
        for w in range(count)
        if w not in missing
    )
    return Windows(EPOCH, count, WINDOW_MS, opened, 10 + count)


def beacon(window, block_hash=None, epoch=EPOCH):
    return wire.make_beacon(epoch, window, block_hash or bytes([window]) * 32)


def beat(window, sequence, after_ms=100, device=DEVICE, boot=1, signature=GOOD, of=None):
    return Heartbeat(opened_ms(window) + after_ms, device, of or beacon(window), boot, sequence, b"digest", signature)


def is_signed(heartbeat):
    return heartbeat.signature == GOOD


def availability_of(heartbeats, windows=None, devices=(DEVICE,)):
    return score(windows or make_windows(4), heartbeats, is_signed, devices)


ONE = 63  # floor(255 / 4): one window of four
TABLE = [
    ("no heartbeat", [], 0),
    ("one in one window", [beat(0, 1)], ONE),
    ("one in each window", [beat(w, w + 1) for w in range(4)], 255),
    ("received as the window opens", [beat(0, 1, after_ms=0)], ONE),
    ("received 1 ms before it opens", [beat(1, 1, after_ms=-1)], 0),
    ("received in its last ms", [beat(0, 1, after_ms=WINDOW_MS - 1)], ONE),
    ("received as it ends", [beat(0, 1, after_ms=WINDOW_MS)], 0),
    ("two in one window", [beat(0, 1), beat(0, 2)], ONE),
    ("the same one twice", [beat(0, 1), beat(0, 1)], ONE),
    ("an old one again in the next window", [beat(0, 1), beat(1, 1)], ONE),
    ("a lower sequence", [beat(0, 9), beat(1, 8)], ONE),
    ("a lower sequence after a reset", [beat(0, 9), beat(1, 1, boot=2)], 127),
    ("a lower boot", [beat(0, 1, boot=2), beat(1, 9, boot=1)], ONE),
    ("a signed one with a stale beacon moves the sequence", [beat(1, 9, of=beacon(0)), beat(1, 8)], 0),
    ("a forged one", [beat(0, 1, signature=FORGED)], 0),
    ("a forged one moves nothing", [beat(0, 9, signature=FORGED), beat(0, 1)], ONE),
    ("a beacon of another epoch", [beat(0, 1, of=beacon(0, epoch=EPOCH + 1))], 0),
    ("a beacon of another block", [beat(0, 1, of=beacon(0, block_hash=b"\xff" * 32))], 0),
    ("noise for a beacon", [beat(0, 1, of=b"\x00" * 14)], 0),
    ("the beacon before last, answered too late", [beat(2, 1, of=beacon(0))], 0),
    ("another device's", [beat(0, 1, device=OTHER)], 0),
]


@pytest.mark.parametrize("heartbeats, wanted", [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_heartbeat_counts_exactly_when_the_rule_says_so(heartbeats, wanted):
    assert availability_of(heartbeats) == {DEVICE: wanted}


@pytest.mark.parametrize("answered, wanted", [(0, 0), (1, 10), (12, 127), (23, 244), (24, 255)])
def test_the_scale_is_ratio1s(answered, wanted):
    heartbeats = [beat(w, w + 1) for w in range(answered)]
    assert availability_of(heartbeats, make_windows(24)) == {DEVICE: wanted}


def test_a_window_that_was_not_opened_counts_for_nobody():
    heartbeats = [beat(w, w + 1) for w in range(4)]
    assert availability_of(heartbeats, make_windows(4, missing={2})) == {DEVICE: 191}


def test_an_unbound_device_has_no_availability_and_its_signature_is_not_even_checked():
    def never(_):
        raise AssertionError

    assert score(make_windows(4), [beat(0, 1, device=OTHER)], never, [DEVICE]) == {DEVICE: 0}
    assert availability_of([beat(0, 1)], devices=[]) == {}


def test_devices_do_not_disturb_each_other():
    heartbeats = [beat(0, 5), beat(0, 1, device=OTHER), beat(1, 6), beat(1, 1, device=OTHER)]
    assert availability_of(heartbeats, devices=[DEVICE, OTHER]) == {DEVICE: 127, OTHER: ONE}


def test_heartbeats_are_consumed_as_a_stream():
    def stream():
        for sequence in range(1, 10_001):
            yield beat(sequence % 4, sequence)

    assert availability_of(stream()) == {DEVICE: 255}


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(-1, WINDOW_MS), st.booleans())))
def test_more_heartbeats_of_others_never_change_ones_availability(strangers):
    mine = [beat(0, 1), beat(1, 2)]
    theirs = [beat(w, s, a, *((DEVICE, 1, FORGED) if forged else (OTHER, 1, GOOD))) for w, s, a, forged in strangers]
    mixed = theirs[::2] + mine[:1] + theirs[1::2] + mine[1:]
    assert availability_of(mixed) == {DEVICE: 127}


def replace_window(windows, index, **fields):
    opened = list(windows.opened)
    opened[index] = dataclasses.replace(opened[index], **fields)
    return dataclasses.replace(windows, opened=tuple(opened))


GOOD_WINDOWS = make_windows(4)


def opened_as(*numbers):
    """Windows that are told in this order, while time and blocks rise."""
    places = zip((GOOD_WINDOWS.opened[number] for number in numbers), GOOD_WINDOWS.opened, strict=False)
    opened = (dataclasses.replace(window, opened_ms=at.opened_ms, block=at.block) for window, at in places)
    return dataclasses.replace(GOOD_WINDOWS, opened=tuple(opened))


BAD_WINDOWS = [
    ("no window", dataclasses.replace(GOOD_WINDOWS, count=0, opened=())),
    ("windows of no time", dataclasses.replace(GOOD_WINDOWS, window_ms=0)),
    ("an epoch that no beacon can hold", dataclasses.replace(GOOD_WINDOWS, epoch=1 << 32)),
    ("more windows than a beacon can hold", dataclasses.replace(GOOD_WINDOWS, count=(1 << 16) + 1)),
    ("a window out of range", dataclasses.replace(GOOD_WINDOWS, count=3)),
    ("a window twice", dataclasses.replace(GOOD_WINDOWS, opened=GOOD_WINDOWS.opened[:1] * 2)),
    ("windows out of order", dataclasses.replace(GOOD_WINDOWS, opened=GOOD_WINDOWS.opened[::-1])),
    ("a window again later", opened_as(0, 0)),
    ("a later window before", opened_as(1, 0)),
    ("a beacon of no block hash", replace_window(GOOD_WINDOWS, 1, beacon=b"\x00" * 14)),
    ("a beacon of another window", replace_window(GOOD_WINDOWS, 1, beacon=GOOD_WINDOWS.opened[0].beacon)),
    ("another block hash", replace_window(GOOD_WINDOWS, 1, block_hash=b"\xff" * 32)),
    ("an older block than before", replace_window(GOOD_WINDOWS, 1, block=9)),
    ("opened no later than the one before", replace_window(GOOD_WINDOWS, 1, opened_ms=OPENED_MS)),
    ("closed before its last block", dataclasses.replace(GOOD_WINDOWS, block=12)),
]


def test_windows_that_agree_with_themselves_are_taken():
    verify_windows(GOOD_WINDOWS)
    verify_windows(make_windows(4, missing={0, 3}))
    verify_windows(make_windows(4, missing=range(4)))


@pytest.mark.parametrize("windows", [row[1] for row in BAD_WINDOWS], ids=[row[0] for row in BAD_WINDOWS])
def test_windows_that_contradict_themselves_are_no_evidence(windows):
    with pytest.raises(EvidenceError):
        verify_windows(windows)

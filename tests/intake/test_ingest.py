"""Ingest: each reason for rejection leaves only its count; foreign bytes, no space, no chain, crashes."""

import hashlib
import resource
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import wire
from gateway import curve
from gateway.broker.bus import Token
from gateway.intake import windows
from gateway.intake.evidence import EvidenceDamaged, heartbeats_path, read_windows, windows_path
from gateway.intake.ingest import Ingest
from gateway.intake.intake import MAX_QUEUED
from gateway.intake.registry import Device
from tests.ingest_site import BLOCK, MODEL, WINDOW_MS, A, B, Site, state

ORDER = 2 * curve.HALF_ORDER + 1


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    made.send((A.topic("announce"), A.announce()))
    return made


def flipped(frame):
    """The same signature with the other s, which anyone can compute."""
    s = int.from_bytes(frame[-32:], "big")
    return frame[:-32] + (ORDER - s).to_bytes(32, "big")


def long_head(frame):
    """The same item, with the payload's length in two bytes where one is enough."""
    at = frame.index(b"\x58", 30)
    return frame[:at] + b"\x59\x00" + frame[at + 1 :]


OTHER_BEACON = windows.beacon(bytes(32), 1, 0)
FIELDS = [1, 1, MODEL, 5, bytes(16), 23]
CASES = {
    "the last byte changed": ("bad_signature", lambda beacon: A.heartbeat(beacon)[:-1] + b"\x00"),
    "signed by another": ("bad_signature", lambda beacon: A.heartbeat(beacon, sign=B.sign)),
    "high s": ("malformed", lambda beacon: flipped(A.heartbeat(beacon))),
    "another device's id": ("wrong_device", lambda beacon: B.heartbeat(beacon)),
    "a beacon of another block": ("stale_beacon", lambda beacon: A.heartbeat(OTHER_BEACON)),
    "no beacon": ("missing_claim", lambda beacon: A.signed({-65537: FIELDS})),
    "no body": ("missing_claim", lambda beacon: A.signed({10: beacon})),
    "one claim more": ("unknown_claim", lambda beacon: A.signed({10: beacon, 11: 0, -65537: [*FIELDS[:4], b""]})),
    "a text for a number": ("wrong_type", lambda beacon: A.signed({10: beacon, -65537: ["1", *FIELDS[1:]]})),
    "boot 0": ("malformed", lambda beacon: A.signed({10: beacon, -65537: [0, *FIELDS[1:]]})),
    "a long head": ("not_deterministic", lambda beacon: long_head(A.heartbeat(beacon))),
    "an indefinite map": ("not_deterministic", lambda beacon: A.signed(b"\xbf\x0a\x4e" + beacon + b"\xff")),
    "nothing": ("malformed", lambda beacon: b""),
    "cut": ("malformed", lambda beacon: A.heartbeat(beacon)[:-1]),
    "a byte behind": ("malformed", lambda beacon: A.heartbeat(beacon) + b"\x00"),
    "noise": ("malformed", lambda beacon: hashlib.shake_256(b"noise").digest(180)),
    "a megabyte of noise": ("too_large", lambda beacon: hashlib.shake_256(b"noise").digest(1 << 20)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_heartbeat_leaves_nothing_but_its_count(site, case):
    reason, make = CASES[case]
    before = state(site)
    site.send((A.topic("heartbeat"), make(site.beacon)))
    assert site.registry.rejected == Counter({reason: 1})
    assert state(site) == before
    site.send((A.topic("heartbeat"), A.heartbeat(site.beacon)))
    assert site.stored() == [A.heartbeat(site.beacon)]


def test_a_good_heartbeat_is_stored_and_acknowledged(site):
    site.send((A.topic("heartbeat"), A.heartbeat(site.beacon)))
    assert site.stored() == [A.heartbeat(site.beacon)]
    assert site.line.published == [(A.topic("ack"), wire.encode_ack(1, 1))]
    assert site.registry.progress[A.id][:3] == (1, 1, 1)
    assert not site.registry.rejected


def test_a_device_that_never_announced_itself_is_unknown(site):
    before = state(site)
    site.send((B.topic("heartbeat"), B.heartbeat(site.beacon)))
    assert site.registry.rejected == {"unknown_device": 1}
    assert state(site) == before


@pytest.mark.parametrize("place", [(1, 4), (1, 5), (1, 1)], ids=["lower", "the same with another chain", "first"])
def test_a_sequence_that_is_not_above_the_last_is_a_replay(site, place):
    site.send((A.topic("heartbeat"), A.heartbeat(site.beacon, 1, 5)))
    before = state(site)
    site.send((A.topic("heartbeat"), A.heartbeat(site.beacon, *place, chain=bytes(15) + b"\x01")))
    assert site.registry.rejected == {"replay": 1}
    assert state(site) == before


def test_a_new_boot_starts_its_sequence_again(site):
    frames = [A.heartbeat(site.beacon, 1, 5), A.heartbeat(site.beacon, 2, 1)]
    site.send(*((A.topic("heartbeat"), frame) for frame in frames))
    assert site.stored() == frames


def test_the_same_bytes_again_are_acknowledged_again_and_stored_once(site):
    frame = A.heartbeat(site.beacon)
    site.send((A.topic("heartbeat"), frame), (A.topic("heartbeat"), frame))
    site.send((A.topic("heartbeat"), frame))
    assert site.stored() == [frame]
    assert site.acks() == [wire.encode_ack(1, 1)] * 3
    assert site.registry.rejected == {"replay": 2}


def test_the_same_bytes_on_another_devices_topic_are_not_acknowledged(site):
    site.send((A.topic("heartbeat"), A.heartbeat(site.beacon)))
    site.send((B.topic("heartbeat"), A.heartbeat(site.beacon)))
    assert site.registry.rejected == {"wrong_device": 1}
    assert len(site.acks()) == 1


def test_a_beacon_may_be_answered_for_one_window_length_and_not_a_millisecond_longer(site):
    beacon = site.beacon
    site.wait(WINDOW_MS - 1)
    site.send((A.topic("heartbeat"), A.heartbeat(beacon, 1, 1)))
    site.now_ms += 1
    site.send((A.topic("heartbeat"), A.heartbeat(beacon, 1, 2)))
    assert site.registry.rejected == {"stale_beacon": 1}
    assert len(site.stored()) == 1


def test_what_was_received_in_time_counts_though_it_is_judged_in_the_next_window(site):
    frame = A.heartbeat(site.beacon)
    site.intake.offer(A.topic("heartbeat"), frame, site.now_ms + WINDOW_MS - 1, Token(1, 1, 1))
    site.wait(WINDOW_MS)
    site.send()
    assert site.stored() == [frame]


def test_a_beacon_of_a_closed_epoch_is_stale(site):
    beacon = site.beacon
    site.wait(11 * WINDOW_MS)
    last = site.beacon
    site.wait(WINDOW_MS)
    assert site.closed == [1]
    site.send((A.topic("heartbeat"), A.heartbeat(beacon)), (A.topic("heartbeat"), A.heartbeat(last)))
    assert site.registry.rejected == {"stale_beacon": 2}
    assert site.stored(1) == site.stored(2) == []


@pytest.mark.parametrize(
    "topic",
    ["", "tinyren", "tinyren//heartbeat", f"other/{A.id.hex()}/heartbeat", f"tinyren/{A.id.hex().upper()}/heartbeat"]
    + [f"tinyren/{A.id.hex()}/{name}" for name in ("ack", "heartbeat/x", "")]
    + [f"tinyren/{' ' * 40}/heartbeat", f"tinyren/{'zz' * 20}/heartbeat", f"tinyren/{'é' * 40}/heartbeat"],
)
def test_another_topic_is_malformed(site, topic):
    before = state(site)
    site.send((topic, A.heartbeat(site.beacon)))
    assert site.registry.rejected == {"malformed": 1}
    assert state(site) == before


def test_announce_and_heartbeat_of_one_batch_both_count(site):
    site.send((B.topic("announce"), B.announce()), (B.topic("heartbeat"), B.heartbeat(site.beacon)))
    assert site.stored() == [B.heartbeat(site.beacon)]


def test_more_messages_than_the_queue_holds_are_counted_and_forgotten(site):
    for number in range(MAX_QUEUED + 3):
        site.intake.offer("noise", b"", site.now_ms, Token(1, number, 1))
    while site.intake.take(site.line, site.epochs):
        pass
    assert site.registry.rejected == {"malformed": MAX_QUEUED, "overload": 3}
    assert len(site.line.acked) == MAX_QUEUED + 4


def test_without_space_nothing_is_acknowledged_and_the_same_bytes_are_taken_later(site):
    first, second = A.heartbeat(site.beacon, 1, 1), A.heartbeat(site.beacon, 1, 2)
    site.send((A.topic("heartbeat"), first))
    before = state(site)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (site.evidence.length_bytes + 10, hard))
    try:
        site.send((A.topic("heartbeat"), second))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert site.registry.rejected == {"no_space": 1}
    assert state(site) == before
    site.send((A.topic("heartbeat"), second))
    assert site.stored() == [first, second]


def test_without_a_chain_windows_stay_closed_and_the_epoch_goes_on_when_it_is_back(site):
    site.block = None
    site.wait(WINDOW_MS)
    site.epochs.turn()
    site.block = BLOCK
    site.wait(WINDOW_MS)
    opened = [w.window for w in read_windows(windows_path(site.folder / "evidence", 1)).windows]
    assert opened == [0, 2]
    assert site.registry.rejected == {"no_block": 1}


def test_after_a_crash_at_any_moment_every_heartbeat_counts_once(site):
    frames = []
    for number in range(1, 6):
        frames.append(A.heartbeat(site.beacon, 1, number))
        site.send((A.topic("heartbeat"), frames[-1]))
        site.wait(WINDOW_MS)
    frames.append(A.heartbeat(site.beacon, 1, 6))
    site.send((A.topic("heartbeat"), frames[-1]))
    site.kill()
    again = Site(site.folder, site.now_ms + 10)
    assert again.beacon == site.beacon
    assert again.registry.progress[A.id] == site.registry.progress[A.id]
    assert again.registry.progress[A.id].heartbeats == 6
    again.send((A.topic("heartbeat"), frames[-1]), (A.topic("heartbeat"), frames[0]))
    assert again.acks() == [wire.encode_ack(1, 6)]
    assert again.registry.rejected == {"replay": 1, "stale_beacon": 1}
    assert again.stored() == frames


@pytest.mark.parametrize("jump_ms", [-3_600_000, -500, 3_600_000], ids=["an hour back", "half a second back", "on"])
def test_a_clock_that_is_wrong_after_a_restart_costs_at_most_the_epoch(site, jump_ms):
    site.send((A.topic("heartbeat"), A.heartbeat(site.beacon)))
    site.wait(WINDOW_MS)
    site.kill()
    again = Site(site.folder, site.now_ms + jump_ms)
    assert again.closed == ([] if jump_ms == -500 else [1])
    again.wait(WINDOW_MS)
    again.send((A.topic("heartbeat"), A.heartbeat(again.beacon, 1, 2)))
    frames = [*again.stored(1), *(again.stored(2) if again.closed else [])]
    assert len(frames) == 2
    assert again.registry.progress[A.id].heartbeats == 2


def test_damage_within_a_stored_item_counts_for_nobody_and_stops_nothing(site):
    for number in range(1, 4):
        site.send((A.topic("heartbeat"), A.heartbeat(site.beacon, 1, number)))
    site.kill()
    path = heartbeats_path(site.folder / "evidence", 1)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    again = Site(site.folder, site.now_ms + 1)
    assert again.registry.progress[A.id][:3] == (1, 2, 2)


FRAGMENTS = [b"", b"\xd2\x84", bytes(3000), A.announce(), A.heartbeat(OTHER_BEACON), B.heartbeat(OTHER_BEACON)]
TOPICS = [A.topic(name) for name in ("announce", "heartbeat", "bound", "gone", "ack")] + ["", B.topic("announce")]


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(TOPICS) | st.text(max_size=60),
            st.tuples(st.sampled_from(FRAGMENTS), st.binary(max_size=60), st.integers(0, 190)),
        ),
        max_size=6,
    )
)
def test_foreign_bytes_never_raise_and_are_never_stored(messages):
    ingest = Ingest({A.id: Device(A.id, A.public_key, "qemu", "c", "0", MODEL, "s", 9)}, {})
    ingest.open_window(windows.beacon(BLOCK[1], 1, 0), 0, WINDOW_MS)
    items = [(topic, whole[:at] + noise + whole[at + len(noise) :], 5) for topic, (whole, noise, at) in messages]
    batch = ingest.decide(items)
    assert (batch.stored, batch.acks, batch.progress) == ([], [], {})
    assert A.id not in batch.announced
    assert batch.rejected.total() + len(batch.bound) + len(batch.gone) <= len(items)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(0, 178), st.integers(1, 255))
def test_a_heartbeat_with_any_byte_changed_is_rejected(at, change):
    beacon = windows.beacon(BLOCK[1], 1, 0)
    ingest = Ingest({A.id: Device(A.id, A.public_key, "qemu", "c", "0", MODEL, "s", 1)}, {})
    ingest.open_window(beacon, 0, WINDOW_MS)
    frame = bytearray(A.heartbeat(beacon))
    frame[at % len(frame)] ^= change
    batch = ingest.decide([(A.topic("heartbeat"), bytes(frame), 5)])
    assert (batch.stored, batch.acks, batch.rejected.total()) == ([], [], 1)


def test_evidence_that_no_crash_left_stops_the_start_and_is_left_as_it_is(site):
    site.kill()
    path = windows_path(site.folder / "evidence", 1)
    path.write_bytes(b"\xff" * 1000)
    with pytest.raises(EvidenceDamaged, match="offset 0"):
        Site(site.folder)
    assert path.read_bytes() == b"\xff" * 1000

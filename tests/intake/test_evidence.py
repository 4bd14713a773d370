"""Evidence on a real disk: power cuts at every byte, a disk that is full, damage that is no crash, foreign bytes."""

import hashlib
import os
import resource
import shutil
from contextlib import contextmanager

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.intake.evidence import (
    MAX_BATCH_BYTES,
    Evidence,
    EvidenceDamaged,
    EvidenceFull,
    Window,
    digest,
    heartbeats_path,
    last_closed,
    last_epoch,
    read,
    read_windows,
    windows_path,
)
from gateway.intake.evidence_file import MAX_COSE_BYTES

T0 = 1_700_000_000_000
FIRST = [(T0 + n, bytes([n]) * 179) for n in range(3)]
LAST = [(T0 + 100, b""), (T0 + 101, b"\x82" * 23), (T0 + 102, b"\x00" * 191)]
WINDOWS = [Window(n, T0 + 1000 * n, 10 + n, bytes([n]) * 32, bytes([n]) * 14) for n in range(2)]


def site(folder, *batches):
    """An open epoch 1 with both windows and these batches."""
    made = Evidence(folder)
    made.open_epoch(1, 12, 1000, T0)
    for window in WINDOWS:
        made.open_window(window)
    for batch in batches:
        made.append(batch)
    return made


def sequence(path):
    """The items of a file as any reader of CBOR sequences sees them."""
    with path.open("rb") as file:
        decoder, size = cbor2.CBORDecoder(file), path.stat().st_size
        items = []
        while file.tell() < size:
            items.append(decoder.decode())
        return items


def test_both_files_read_with_cbor2_alone(tmp_path):
    made = site(tmp_path, FIRST, LAST)
    made.close_epoch(T0 + 12_000, 99)
    assert sequence(heartbeats_path(tmp_path, 1)) == [list(item) for item in FIRST + LAST]
    assert sequence(windows_path(tmp_path, 1)) == [
        {"epoch": 1, "windows": 12, "window_ms": 1000, "opened_ms": T0},
        *([w.window, w.opened_ms, w.block, w.block_hash, w.beacon] for w in WINDOWS),
        {"closed_ms": T0 + 12_000, "block": 99},
    ]


def test_what_was_written_reads_back(tmp_path):
    made = site(tmp_path, FIRST, LAST)
    assert list(read(heartbeats_path(tmp_path, 1))) == FIRST + LAST
    found = read_windows(windows_path(tmp_path, 1))
    assert (found.epoch, found.count, found.window_ms, found.opened_ms) == (1, 12, 1000, T0)
    assert (found.windows, found.is_closed) == (tuple(WINDOWS), False)
    made.close_epoch(T0 + 12_000, 99)
    closed = read_windows(windows_path(tmp_path, 1))
    assert (closed.closed_ms, closed.block) == (T0 + 12_000, 99)


def test_the_digest_commits_to_both_files(tmp_path):
    site(tmp_path, FIRST)
    files = [path.read_bytes() for path in (heartbeats_path(tmp_path, 1), windows_path(tmp_path, 1))]
    assert digest(tmp_path, 1) == hashlib.sha256(b"".join(hashlib.sha256(f).digest() for f in files)).digest()


def test_reading_goes_on_from_an_offset(tmp_path):
    made = site(tmp_path, FIRST)
    offset = made.length_bytes
    made.append(LAST)
    assert list(read(heartbeats_path(tmp_path, 1), offset)) == LAST


def test_a_power_cut_at_any_byte_of_the_last_batch_loses_only_what_was_not_whole(tmp_path):
    made = site(tmp_path / "whole", FIRST)
    before = made.length_bytes
    made.append(LAST)
    made.release()
    content = heartbeats_path(tmp_path / "whole", 1).read_bytes()
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for size in range(before, len(content)):
        for tail in (b"", bytes(len(content) - size)):  # a cut file, or one whose last blocks never got to the disk
            heartbeats_path(tmp_path / "cut", 1).write_bytes(content[:size] + tail)
            again = Evidence(tmp_path / "cut")
            assert again.resume() is not None
            kept = list(read(heartbeats_path(tmp_path / "cut", 1)))
            assert kept[: len(FIRST)] == FIRST
            assert again.cut_bytes == size + len(tail) - again.length_bytes
            if not tail:
                assert kept == (FIRST + LAST)[: len(kept)]
            again.append(LAST)
            assert list(read(heartbeats_path(tmp_path / "cut", 1))) == kept + LAST
            again.release()


def test_a_power_cut_at_any_byte_of_a_window_or_of_the_closing_loses_only_that(tmp_path):
    made = site(tmp_path / "whole", FIRST)
    path = windows_path(tmp_path / "cut", 1)
    made.close_epoch(T0 + 12_000, 99)
    content = windows_path(tmp_path / "whole", 1).read_bytes()
    header = len(cbor2.dumps({"epoch": 1, "windows": 12, "window_ms": 1000, "opened_ms": T0}))
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for size in range(header, len(content)):
        path.write_bytes(content[:size])
        again = Evidence(tmp_path / "cut")
        opened = again.resume()
        assert opened.windows == tuple(WINDOWS[: len(opened.windows)])
        assert path.read_bytes() == content[: path.stat().st_size]
        again.release()


def test_a_closed_epoch_is_not_opened_again(tmp_path):
    site(tmp_path, FIRST).close_epoch(T0 + 12_000, 99)
    again = Evidence(tmp_path)
    assert again.resume() is None
    with pytest.raises(ValueError, match="no epoch is open"):
        again.append(LAST)
    again.open_epoch(2, 12, 1000, T0 + 12_000)
    assert last_epoch(tmp_path) == 2


def test_a_crash_while_an_epoch_is_opened_leaves_no_epoch(tmp_path):
    heartbeats_path(tmp_path, 1).write_bytes(b"")
    (tmp_path / "epoch.part").write_bytes(b"\xa4\x65")
    made = Evidence(tmp_path)
    assert made.resume() is None
    made.open_epoch(1, 12, 1000, T0)
    assert read_windows(windows_path(tmp_path, 1)).epoch == 1


@pytest.mark.parametrize("epoch", [0, 1])
def test_no_epoch_is_opened_twice_or_after_a_later_one_and_some_may_be_passed_over(tmp_path, epoch):
    site(tmp_path).close_epoch(T0, 1)
    again = Evidence(tmp_path)
    with pytest.raises(ValueError, match="wanted 2 or later"):
        again.open_epoch(epoch, 12, 1000, T0)
    assert last_epoch(tmp_path) == 1
    again.open_epoch(5, 12, 1000, T0)
    with pytest.raises(ValueError, match="epoch 5 is open, wanted 6 or later"):
        again.open_epoch(6, 12, 1000, T0)
    assert (last_epoch(tmp_path), again.epoch) == (5, 5)


def test_the_last_closed_epoch_is_known_before_a_torn_end_is_cut(tmp_path):
    assert last_closed(tmp_path / "nowhere") == 0
    made = site(tmp_path)
    assert last_closed(tmp_path) == 0
    made.close_epoch(T0, 1)
    assert last_closed(tmp_path) == 1
    path = windows_path(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-2])
    assert last_closed(tmp_path) == 0


def test_more_damage_than_a_crash_can_do_is_reported_and_nothing_is_cut(tmp_path):
    batch = [(T0, bytes(4000))] * (MAX_BATCH_BYTES // 5000)
    site(tmp_path, FIRST, batch, batch).release()
    path = heartbeats_path(tmp_path, 1)
    content = bytearray(path.read_bytes())
    content[0] = 0xFF
    path.write_bytes(content)
    with pytest.raises(EvidenceDamaged) as damage:
        Evidence(tmp_path).resume()
    assert damage.value.offset == 0
    assert path.read_bytes() == content


def test_a_batch_that_no_crash_could_be_told_from_is_refused(tmp_path):
    made = site(tmp_path, FIRST)
    before = heartbeats_path(tmp_path, 1).read_bytes()
    too_many = [(T0, bytes(4000))] * (MAX_BATCH_BYTES // 4000 + 1)
    for batch in (too_many, [(T0, bytes(MAX_COSE_BYTES + 1))], [(1 << 64, b"")]):
        with pytest.raises(ValueError, match="at most"):
            made.append(batch)
    assert heartbeats_path(tmp_path, 1).read_bytes() == before


@contextmanager
def small_disk():
    """Files may not grow over 2,000 bytes: the kernel refuses what is beyond, after writing what is not.

    Not a fixture: it holds for the whole process, and pytest's own output may go to a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_stores_nothing_of_the_batch_and_the_next_one_is_stored(tmp_path):
    made = site(tmp_path, FIRST)
    before = heartbeats_path(tmp_path, 1).read_bytes()
    with small_disk(), pytest.raises(EvidenceFull, match="no space left"):
        made.append([(T0, bytes(1000))] * 2)
    assert heartbeats_path(tmp_path, 1).read_bytes() == before
    with small_disk():
        made.append(LAST)
    made.append(LAST)
    assert list(read(heartbeats_path(tmp_path, 1))) == FIRST + LAST + LAST


def test_a_full_disk_opens_no_window_and_closes_no_epoch(tmp_path):
    made = site(tmp_path, FIRST)
    with small_disk():
        for number in range(2, 40):
            try:
                made.open_window(Window(number, T0, 1, bytes(32), bytes(14)))
            except EvidenceFull:
                break
        whole = windows_path(tmp_path, 1).read_bytes()
        with pytest.raises(EvidenceFull):
            made.open_window(WINDOWS[0])
    assert windows_path(tmp_path, 1).read_bytes() == whole
    assert made.epoch == 1
    assert not read_windows(windows_path(tmp_path, 1)).is_closed


def test_a_reader_holds_one_chunk_whatever_the_file_claims(tmp_path):
    path = tmp_path / "claims"
    path.write_bytes(b"\x82\x01\x5b" + b"\xff" * 8 + os.urandom(100))
    with pytest.raises(EvidenceDamaged, match="at most 4096"):
        list(read(path))


@pytest.mark.parametrize(
    "content",
    [b"\x83\x01\x40\x40", b"\x9f\x01\x40\xff", b"\x82\x20\x40", b"\x82\x01\x60", b"\x82\x18\x01\x40", b"\x82\x01\x5f"],
    ids=["three", "indefinite", "negative", "text", "long head", "indefinite bytes"],
)
def test_what_evidence_never_writes_is_damage(tmp_path, content):
    path = tmp_path / "foreign"
    path.write_bytes(b"\x82\x01\x40" + content)
    found = read(path)
    assert next(found) == (1, b"")
    with pytest.raises(EvidenceDamaged) as damage:
        next(found)
    assert damage.value.offset == 3


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.binary(max_size=300) | st.lists(st.sampled_from([b"\x82", b"\x01", b"\x40", b"\x58\x20"])).map(b"".join))
def test_foreign_bytes_are_read_as_cbor2_reads_them_or_are_damage(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "foreign"
    path.write_bytes(content)
    found = []
    try:
        found += (list(item) for item in read(path))
    except EvidenceDamaged as damage:
        content = content[: damage.offset]
    path.write_bytes(content)
    assert sequence(path) == found
    assert b"".join(cbor2.dumps(item) for item in found) == content


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200))
def test_foreign_bytes_in_a_windows_file_are_damage(tmp_path_factory, noise, at):
    folder = tmp_path_factory.mktemp("fuzz")
    site(folder).release()
    path = windows_path(folder, 1)
    content = path.read_bytes()
    path.write_bytes(content[:at] + noise + content[at:])
    try:
        found = read_windows(path)
    except EvidenceDamaged:
        return
    assert found.epoch >= 0
    assert all(isinstance(window, Window) for window in found.windows)

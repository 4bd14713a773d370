"""A job's log takes no more than it was given, its end stays, and whatever was said is shown as text."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.workloads.logs import GAP, Followed, Rotated, files, tail

LIMIT = 4096


def size(folder):
    return sum(path.stat().st_size for path in files(folder))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(pieces=st.lists(st.integers(0, 3 * LIMIT), max_size=20))
def test_a_log_never_takes_more_than_its_limit_and_keeps_the_newest(tmp_path_factory, pieces):
    folder = tmp_path_factory.mktemp("log")
    log = Rotated(folder, LIMIT)
    for number, length in enumerate(pieces):
        data = bytes([65 + number % 26]) * length
        before = size(folder)
        log.write(data)
        kept = b"".join(path.read_bytes() for path in files(folder))
        assert len(kept) <= LIMIT and kept.endswith(data[-LIMIT // 2 :])
        assert len(kept) >= min(before, LIMIT // 2) / 2
    log.close()


def test_a_log_is_gone_on_with_after_a_restart(tmp_path):
    for text in (b"one\n", b"two\n"):
        log = Rotated(tmp_path, LIMIT)
        log.write(text)
        log.close()
    assert tail(files(tmp_path), 10) == ["one", "two"] and tail(files(tmp_path), 1) == ["two"]
    assert tail(files(tmp_path), 0) == [] and tail([], 5) == []


def test_what_steers_a_terminal_or_is_no_text_is_shown(tmp_path):
    (tmp_path / "log").write_bytes(b"a\x1b[2Jb\tc\xff\r\nd")
    assert tail(files(tmp_path), 5) == ["a\\x1b[2Jb\tc\\xff\\r", "d"]


@pytest.fixture
def source(tmp_path):
    return tmp_path / "conmon.log"


def test_a_monitors_log_is_copied_once_also_after_a_restart(tmp_path, source):
    for text in (b"one\n", b"two\n", b"three\n"):
        with source.open("ab") as file:
            file.write(text)
        followed = Followed(source, tmp_path / "kept", LIMIT)
        assert not followed.look() and not followed.look()
        followed.close()
    assert tail(files(tmp_path / "kept"), 10) == ["one", "two", "three"]


def test_a_monitors_log_that_was_begun_anew_leaves_a_mark(tmp_path, source):
    followed = Followed(source, tmp_path / "kept", LIMIT)
    assert not followed.look()
    source.write_bytes(b"one\n")
    followed.look()
    source.with_suffix(".new").write_bytes(b"later and longer\n")
    os.replace(source.with_suffix(".new"), source)
    followed.look()
    followed.close()
    assert tail(files(tmp_path / "kept"), 10) == ["one", GAP.decode().strip(), "later and longer"]


@pytest.mark.parametrize("place", ["", "x y", "1", "1 2 3"])
def test_a_damaged_place_means_from_the_beginning(tmp_path, source, place):
    source.write_bytes(b"one\n")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "copied").write_text(place)
    followed = Followed(source, tmp_path / "kept", LIMIT)
    followed.look()
    followed.close()
    assert tail(files(tmp_path / "kept"), 10) == ["one"]

"""Sealing: who can open what, and that nothing altered, cut, moved or foreign is ever given out."""

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.storage import sealed
from gateway.storage.cid import cid_of
from gateway.storage.errors import Refused
from gateway.storage.folders import pack, save, scan, unpack
from gateway.storage.streams import Chunks
from gateway.storage.varint import encode_varint
from tests.r1fs_site import content, joined, pieces, store_in, tree

KEY, OTHER, STRANGER = (PrivateKey(bytes(31) + bytes([number])) for number in (1, 2, 3))
CHUNK = sealed.CHUNK_BYTES
HEAD_BYTES = len(sealed.MAGIC) + 2 + 1 + 33 + 48


def seal(data, *keys, kind=sealed.FILE):
    return joined(sealed.seal(pieces(data), [key.public_key.format() for key in keys or (KEY,)], kind))


def opened(data, key=KEY, size=100_003):
    kind, chunks = sealed.open_sealed(pieces(data, size), key)
    return kind, joined(chunks)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7])
def test_a_reader_gets_back_what_was_sealed(size):
    data = content(size)
    whole = seal(data, KEY, OTHER)
    assert opened(whole) == opened(whole, OTHER, 7_001) == (sealed.FILE, data)
    assert len(whole) == HEAD_BYTES + 48 + size + 16 * max(1, -(-size // CHUNK))


def test_a_stranger_gets_nothing():
    with pytest.raises(Refused, match="not one of its readers"):
        opened(seal(content(100), KEY, OTHER), STRANGER)


def test_the_same_content_is_another_content_each_time_it_is_sealed():
    assert len({cid_of(seal(b"the same")) for _ in range(20)}) == 20


def test_a_sealed_stream_shows_neither_readers_nor_content():
    data = bytes(1000)
    whole = seal(data, KEY, OTHER)
    assert KEY.public_key.format() not in whole and bytes(32) not in whole


@pytest.mark.parametrize("readers", [[], [b""], [bytes(33)], [b"\x02" + b"\xff" * 32]])
def test_what_is_no_reader_is_refused_before_anything_is_read(readers):
    def never():
        raise AssertionError("the content was read")
        yield

    with pytest.raises(Refused, match="reader"):
        sealed.seal(never(), readers)


def test_more_readers_than_allowed_are_refused_and_one_given_twice_counts_once():
    keys = [PrivateKey(number.to_bytes(32, "big")) for number in range(1, sealed.MAX_READERS + 2)]
    points = [key.public_key.format() for key in keys]
    with pytest.raises(Refused, match="readers: got 257, wanted 1 to 256"):
        sealed.seal([], points)
    assert opened(joined(sealed.seal([b"x"], points[:-1])), keys[255])[1] == b"x"
    assert seal(b"", KEY, KEY)[HEAD_BYTES - 48 - 36 : HEAD_BYTES - 48 - 34] == (1 + 33 + 48).to_bytes(2, "big")


WHOLE = seal(content(2 * CHUNK + 100))
PARTS = [HEAD_BYTES, HEAD_BYTES + CHUNK + 16, HEAD_BYTES + 2 * (CHUNK + 16), len(WHOLE)]


@pytest.mark.parametrize("end", [0, 1, len(sealed.MAGIC) + 1, HEAD_BYTES - 1, *PARTS[:3], PARTS[1] + 5, len(WHOLE) - 1])
def test_what_is_cut_anywhere_is_refused(end):
    with pytest.raises(Refused):
        opened(WHOLE[:end])


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 0, 1, 2), (0, 2), (1, 2), (0, 1, 2, 2), (2,), (2, 1, 0)])
def test_chunks_that_are_dropped_repeated_or_moved_are_refused(order):
    chunks = [WHOLE[PARTS[at] : PARTS[at + 1]] for at in range(3)]
    with pytest.raises(Refused, match="chunk"):
        opened(WHOLE[:HEAD_BYTES] + joined(chunks[at] for at in order))


def test_a_chunk_of_another_file_of_the_same_readers_is_refused():
    other = seal(content(2 * CHUNK + 100))
    with pytest.raises(Refused):
        opened(WHOLE[: PARTS[1]] + other[PARTS[1] :])


def test_any_flipped_bit_is_refused_even_in_what_is_another_readers():
    whole = seal(content(10), KEY, OTHER)
    for bit in range(8 * len(whole)):
        altered = bytearray(whole)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refused):
            opened(bytes(altered))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=400))
def test_bytes_that_nobody_sealed_are_refused(data):
    for start in (b"", sealed.MAGIC, sealed.MAGIC + (1 + 33 + 48).to_bytes(2, "big")):
        with pytest.raises(Refused):
            opened(start + data)


def test_a_sealed_folder_keeps_its_names_to_its_readers(tmp_path):
    (tmp_path / "in" / "secret-name" / "empty").mkdir(parents=True)
    (tmp_path / "in" / "secret-name" / "a").write_bytes(content(300_000))
    (tmp_path / "in" / "none").write_bytes(b"")
    with store_in(tmp_path / "store") as store:
        readers = [KEY.public_key.format()]
        cid = store.add(sealed.seal(pack(scan(tmp_path / "in")), readers, sealed.FOLDER)).cid
        assert b"secret-name" not in joined(store.read(cid))

        save(store, cid, tmp_path / "out", KEY)
        assert tree(tmp_path / "out") == tree(tmp_path / "in")
        with pytest.raises(Refused):
            save(store, cid, tmp_path / "stolen", STRANGER)
        save(store, cid, tmp_path / "as-it-is")
        assert sealed.is_sealed((tmp_path / "as-it-is").read_bytes())
        assert sorted(path.name for path in tmp_path.iterdir()) == ["as-it-is", "in", "out", "store"]


@pytest.mark.parametrize(
    "path", ["../out", "/etc/x", "a/../b", "a//b", "", ".", "a/.", "n\0l", "a/" * 64 + "b", "x" * 256]
)
def test_a_sealed_path_that_leads_out_is_refused_and_nothing_is_left(path, tmp_path):
    stream = joined(pack([("first", [b"1"]), (path, [b"2"])]))
    (tmp_path / "target").mkdir()
    with store_in(tmp_path / "store") as store:
        cid = store.add(sealed.seal([stream], [KEY.public_key.format()], sealed.FOLDER)).cid
        with pytest.raises(Refused, match="path"):
            save(store, cid, tmp_path / "target" / "out", KEY)
    assert tree(tmp_path / "target") == {}


def contents(data):
    return [(path, None if chunks is None else joined(chunks)) for path, chunks in unpack(Chunks([data]))]


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_packed_folder_that_is_cut_or_foreign_is_refused(data, at):
    whole = joined(pack([("a", None), ("a/b", [b"x" * 40, b"", b"y"])]))
    assert contents(whole) == [("a", None), ("a/b", b"x" * 40 + b"y")]
    wrong = (b"\x80\0", b"\xff" * 12, encode_varint(len(data) + 1) + b"\0" + data)
    for foreign in (whole[: at % len(whole)], whole + b"\0" + data, *wrong):
        with pytest.raises(Refused):
            contents(foreign)

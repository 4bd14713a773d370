"""Backups of CSTORE: the same bytes after restoring, over every engine; bad ones change nothing."""

import hashlib
import io

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.storage.cstore import Cstore
from gateway.storage.cstore_backup import LABEL, Snapshot, backup, check, fetched, restore, snapshot
from gateway.storage.cstore_record import Access, Conflict, Refused, Untrusted
from gateway.storage.cstore_sqlite import SqliteEngine
from gateway.storage.embedded import Embedded
from gateway.storage.errors import StoreError
from tests import cstore_site
from tests.cstore_site import OWNER, READER, STRANGER, WRITER, address, defined, digest_signer, sqlite_place

cluster, place = cstore_site.cluster, cstore_site.place
TRUSTED = {address(OWNER)}


def filled(place):
    """A store with every kind of record: overwritten, deleted, expiring, a field, another writer's, of two buckets."""
    store = defined(place)
    store.define("a-first", Access(None, (address(WRITER),)))
    for number in range(30):
        store.put("jobs", f"k{number % 20}", b"%d" % number)
    store.delete("jobs", "k3")
    store.hset("jobs", "h", "ü", bytes(60_000), ttl_ms=3_600_000)
    place.store(WRITER).put("a-first", "k", b"theirs")
    return store


def taken(store, key=OWNER):
    return b"".join(snapshot(store, key))


@pytest.fixture
def other(tmp_path):
    (tmp_path / "other").mkdir()
    made = sqlite_place(tmp_path / "other")
    yield made
    made.close()


def test_a_snapshot_restored_on_an_empty_machine_is_the_same_bytes_again(place, other):
    store = filled(place)
    content = taken(store)
    assert content == taken(place.store())
    found = restore(other.engine(), io.BytesIO(content), TRUSTED)
    assert found == Snapshot(store.replica.store, address(OWNER), address(OWNER), 25)
    again = other.store()
    assert taken(again) == content
    assert again.get("jobs", "k3") is None and again.get("jobs", "k1").revision == 2
    assert other.store(READER).hget("jobs", "h", "ü").stored_ms == store.hget("jobs", "h", "ü").stored_ms
    with pytest.raises(Conflict):
        again.cas("jobs", "k3", 1, b"")


def test_what_was_restored_from_a_file_into_a_cluster_is_the_same_bytes(place, other):
    content = taken(filled(other))
    restore(place.engine(), io.BytesIO(content), TRUSTED)
    assert taken(place.store()) == content


def test_any_cbor_library_reads_a_snapshot(other):
    store = filled(other)
    file = io.BytesIO(taken(store))
    decoder, items = cbor2.CBORDecoder(file), []
    while file.tell() < len(file.getbuffer()):
        items.append(cbor2.loads(decoder.decode()))
    assert items[0] == ["tinyren cstore 1", store.replica.store, address(OWNER)]
    assert [frame for _, frame in items[1:-1]][:1] == [store.replica.trusted("buckets", "buckets").record.frame]
    body = b"".join(cbor2.dumps(cbor2.dumps(item)) for item in items[:-1])
    assert cbor2.loads(items[-1].value[2]) == {LABEL: [hashlib.sha256(body).digest(), len(items) - 2]}


def test_a_deleted_key_does_not_come_back_by_a_record_from_before_the_backup(other, tmp_path):
    store = defined(other)
    frame = store.put("jobs", "k", b"old").frame
    store.delete("jobs", "k")
    engine = SqliteEngine(tmp_path / "empty.sqlite")
    restore(engine, io.BytesIO(taken(store)), TRUSTED)
    again = Cstore(engine, OWNER)
    with pytest.raises(Conflict, match="got 1, wanted 3"):
        again.apply(frame)
    assert again.get("jobs", "k") is None


def test_a_key_that_had_expired_is_still_expired(tmp_path):
    now = [1_700_000_000_000]
    store = Cstore(SqliteEngine(tmp_path / "a.sqlite", lambda: now[0]), OWNER)
    store.define("jobs", Access())
    store.put("jobs", "k", b"", ttl_ms=60_000)
    content = taken(store)
    for later_ms, is_there in ((30_000, True), (90_000, False), (-90_000, True)):
        path = tmp_path / f"{later_ms}.sqlite"
        engine = SqliteEngine(path, lambda at=now[0] + later_ms: at)
        restore(engine, io.BytesIO(content), TRUSTED)
        assert engine.now_ms() >= now[0]
        again = Cstore(SqliteEngine(path, lambda at=now[0] + later_ms: at), OWNER)
        assert (again.get("jobs", "k") is not None) == is_there
        assert taken(again) == content


def test_a_backup_in_r1fs_is_sealed_for_its_readers_and_comes_back_the_same(other, tmp_path):
    store, r1fs = filled(other), Embedded(tmp_path / "r1fs")
    added = backup(store, OWNER, r1fs, [READER.public_key.format()])
    content = taken(store)
    assert b"theirs" in content and b"theirs" not in b"".join(r1fs.read(added.cid))
    for key in (OWNER, READER):
        with fetched(r1fs, added.cid, key) as file:
            assert file.read() == content
    with pytest.raises(StoreError), fetched(r1fs, added.cid, STRANGER):
        pass
    r1fs.close()


def test_a_store_that_is_not_empty_is_left_alone_and_force_adds_only_what_is_newer(other, tmp_path):
    store = defined(other)
    store.put("jobs", "same", b"1")
    store.put("jobs", "older there", b"1")
    copy = SqliteEngine(tmp_path / "copy.sqlite")
    restore(copy, io.BytesIO(taken(store)), TRUSTED)
    second = Cstore(copy, OWNER)
    second.put("jobs", "newer there", b"2")
    second.put("jobs", "same", b"2")
    store.put("jobs", "older there", b"3")
    before = taken(second)
    with pytest.raises(Refused, match="not empty"):
        restore(copy, io.BytesIO(taken(store)), TRUSTED)
    assert taken(second) == before
    restore(copy, io.BytesIO(taken(store)), TRUSTED, force=True)
    assert {record.key: record.value for record in Cstore(copy, OWNER).ls("jobs")} == {
        "newer there": b"2",
        "same": b"2",
        "older there": b"3",
    }


def test_force_repairs_damaged_entries(other, tmp_path):
    store = filled(other)
    content = taken(store)
    store.engine._writer.execute("UPDATE entry SET frame = x'00' WHERE bucket = 'jobs'")
    with pytest.raises(Untrusted):
        taken(other.store())
    restore(other.engine(), io.BytesIO(content), TRUSTED, force=True)
    assert taken(other.store()) == content


def test_a_snapshot_of_another_store_is_not_mixed_in(other, tmp_path):
    mine = Cstore(SqliteEngine(tmp_path / "mine.sqlite"), OWNER)
    before = taken(mine)
    with pytest.raises(Untrusted, match="store: got another"):
        restore(mine.engine, io.BytesIO(taken(filled(other))), TRUSTED, force=True)
    assert taken(mine) == before


@pytest.mark.parametrize("key", [STRANGER, WRITER])
def test_a_snapshot_that_somebody_else_signed_is_not_taken(other, tmp_path, key):
    store = filled(other)
    engine = SqliteEngine(tmp_path / "empty.sqlite")
    with pytest.raises(Untrusted, match=f"signer is 0x{address(key).hex()}"):
        restore(engine, io.BytesIO(taken(Cstore(store.engine, key), key)), TRUSTED)
    with pytest.raises(Untrusted, match="owner is"):
        restore(engine, io.BytesIO(taken(store)), {address(STRANGER)})
    assert engine.entries("buckets", "buckets") == []


def pieces_of(other):
    return list(snapshot(filled(other), OWNER))


def resigned(pieces, digest=None, key=OWNER):
    """The pieces without their end, with one that fits."""
    payload = cbor2.dumps({LABEL: [digest or hashlib.sha256(b"".join(pieces)).digest(), len(pieces) - 1]})
    protected = cbor2.dumps({1: -47})
    signed = hashlib.sha256(cbor2.dumps(["Signature1", protected, b"", payload])).digest()
    end = cbor2.CBORTag(18, [protected, {4: address(OWNER)}, payload, digest_signer(key)(signed)[:64]])
    return b"".join(pieces) + cbor2.dumps(cbor2.dumps(end))


BROKEN = {
    "no end": lambda pieces: b"".join(pieces[:-1]),
    "nothing": lambda pieces: b"",
    "more behind the end": lambda pieces: b"".join(pieces) + b"\x40",
    "a record left out": lambda pieces: b"".join(pieces[:5] + pieces[6:]),
    "a record twice": lambda pieces: resigned([*pieces[:5], pieces[4], *pieces[5:-1]]),
    "two in another order": lambda pieces: resigned([*pieces[:5], pieces[6], pieces[5], *pieces[7:-1]]),
    "no root": lambda pieces: resigned([pieces[0], *pieces[2:-1]]),
    "another format": lambda pieces: resigned([cbor2.dumps(cbor2.dumps(["x", bytes(16), bytes(20)])), *pieces[1:-1]]),
    "another store": lambda pieces: resigned(
        [cbor2.dumps(cbor2.dumps(["tinyren cstore 1", bytes(16), address(OWNER)])), *pieces[1:-1]]
    ),
    "an acceptance without end": lambda pieces: resigned(
        [*pieces[:-2], cbor2.dumps(cbor2.dumps([1 << 60, cbor2.loads(cbor2.loads(pieces[-2]))[1]]))]
    ),
    "a digest of other bytes": lambda pieces: resigned(pieces[:-1], bytes(32)),
    "an end signed in the owner's name": lambda pieces: resigned(pieces[:-1], key=WRITER),
    "a length without end": lambda pieces: b"\x5a\xff\xff\xff\xff" + b"".join(pieces),
    "a long head": lambda pieces: b"\x5a\x00\x00" + pieces[0][:0] + b"\x00\x38" + pieces[0][2:] + b"".join(pieces[1:]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_snapshot_is_refused_before_anything_is_written(other, tmp_path, case):
    pieces = pieces_of(other)
    assert check(io.BytesIO(resigned(pieces[:-1]))).records == len(pieces) - 2
    engine = SqliteEngine(tmp_path / "empty.sqlite")
    with pytest.raises(Untrusted):
        restore(engine, io.BytesIO(BROKEN[case](pieces)), TRUSTED)
    assert engine.entries("buckets", "buckets") == [] and engine.names("jobs", "", "", 9) == []


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    store = Cstore(SqliteEngine(tmp_path_factory.mktemp("small") / "a.sqlite"), OWNER)
    store.define("jobs", Access())
    store.put("jobs", "k", b"value")
    return taken(store)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(at=st.integers(0, 700), noise=st.binary(max_size=40), over=st.integers(0, 40))
def test_any_change_to_a_snapshot_is_found(small, at, noise, over):
    changed = small[:at] + noise + small[at + over :]
    for candidate in (noise, changed, changed[:at]):
        if candidate != small:
            with pytest.raises(Untrusted):
                check(io.BytesIO(candidate))

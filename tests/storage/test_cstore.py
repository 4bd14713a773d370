"""What CSTORE promises, on every engine alike: revisions, conflicts, fields, pages, watches, lifetimes, bad input."""

import threading

import pytest

from gateway.storage.cstore import Cstore
from gateway.storage.cstore_record import (
    NAME_MAX_BYTES,
    TTL_MAX_MS,
    VALUE_MAX_BYTES,
    Access,
    Conflict,
    Refused,
    Untrusted,
)
from tests import cstore_site
from tests.cstore_site import OWNER, READER, STRANGER, WRITER, address, content, run_threads, wait_until

cluster, place, store, steady_store = (
    cstore_site.cluster,
    cstore_site.place,
    cstore_site.store,
    cstore_site.steady_store,
)


def test_a_key_is_written_read_and_deleted_and_its_revisions_go_on(store):
    assert store.get("jobs", "k") is None
    written = store.put("jobs", "k", b"one")
    assert (written.revision, written.owner, written.value) == (1, address(OWNER), b"one")
    assert store.get("jobs", "k") == written
    assert store.put("jobs", "k", b"").revision == 2
    assert store.get("jobs", "k").value == b""
    assert store.delete("jobs", "k").revision == 3
    assert store.get("jobs", "k") is None
    assert store.delete("jobs", "k") is None
    assert store.put("jobs", "k", b"again").revision == 4


def test_another_gateway_sees_the_same(place, store):
    store.put("jobs", "k", b"one")
    other = place.store(WRITER)
    assert (other.replica.store, other.replica.owner) == (store.replica.store, address(OWNER))
    assert other.put("jobs", "k", b"two").revision == 2
    assert place.store(READER).get("jobs", "k").owner == address(WRITER)
    assert store.get("jobs", "k").value == b"two"


@pytest.mark.parametrize("at", [1, 3, 7, -1, 0])
def test_a_write_for_another_revision_is_refused_and_changes_nothing(steady_store, at):
    before = content(steady_store)
    with pytest.raises(Conflict, match=f"revision: got {at}, the key is at 2"):
        steady_store.cas("jobs", "k", at, b"three")
    with pytest.raises(Conflict, match=f"revision: got {at}, the key is at 2"):
        steady_store.delete("jobs", "k", at)
    assert content(steady_store) == before


def test_a_write_for_the_revision_that_is_there_is_kept(store):
    store.put("jobs", "k", b"one")
    assert store.cas("jobs", "k", 1, b"two").revision == 2
    assert store.delete("jobs", "k", 2).revision == 3


def test_revision_0_is_an_absent_key_never_written_or_deleted(store):
    assert store.cas("jobs", "k", 0, b"one").revision == 1
    with pytest.raises(Conflict):
        store.cas("jobs", "k", 0, b"two")
    store.delete("jobs", "k", 1)
    with pytest.raises(Conflict, match=r"got 2, the key is at 0 \(absent\)"):
        store.cas("jobs", "k", 2, b"two")
    assert store.cas("jobs", "k", 0, b"two").revision == 3


def test_of_writers_at_one_revision_one_wins_and_none_is_merged(place, store):
    gateways = [place.store(WRITER) for _ in range(4)]
    won = []

    def count_up(number):
        for _ in range(5):
            found = gateways[number].replica.shown(gateways[number].replica.trusted("jobs", "n"))
            at, value = (found.revision, int(found.value)) if found else (0, 0)
            try:
                won.append(gateways[number].cas("jobs", "n", at, b"%d" % (value + 1)).revision)
            except Conflict:
                pass

    run_threads(4, count_up)
    assert sorted(won) == list(range(1, len(won) + 1))
    found = store.get("jobs", "n")
    assert (found.revision, int(found.value)) == (len(won), len(won))


def test_unconditional_writers_of_one_key_each_get_a_revision(place, store):
    gateways = [place.store(WRITER) for _ in range(3)]
    revisions = []
    run_threads(3, lambda number: revisions.extend(gateways[number].put("jobs", "k", b"").revision for _ in range(5)))
    assert sorted(revisions) == list(range(1, 16))
    assert store.get("jobs", "k").revision == 15


def test_fields_of_a_key_are_independent_of_each_other_and_of_other_keys(store):
    for key, field, value in (("h", "a", b"1"), ("h", "b", b"2"), ("ha", "a", b"3"), ("h", "ü", b"4")):
        assert store.hset("jobs", key, field, value).revision == 1
    store.put("jobs", "h", b"own")
    store.hset("jobs", "h", "a", b"5")
    store.delete("jobs", "h", field="b")
    assert {field: record.value for field, record in store.hgetall("jobs", "h").items()} == {"a": b"5", "ü": b"4"}
    assert store.hget("jobs", "h", "a").revision == 2
    assert store.hget("jobs", "h", "b") is None
    assert (store.get("jobs", "h").value, store.get("jobs", "ha")) == (b"own", None)


def test_pages_hold_every_key_once_in_bytewise_order(store):
    names = ["a", "a/1", "a/10", "a/2", "ab", "b", "ä", "z"]
    for name in reversed(names):
        store.put("jobs", name, name.encode())
    store.delete("jobs", "ab")
    left = sorted((name for name in names if name != "ab"), key=str.encode)
    for limit in (1, 2, 3, 100):
        found, after = [], ""
        while page := store.ls("jobs", after=after, limit=limit):
            assert len(page) <= limit
            found += [record.key for record in page]
            after = page[-1].name
        assert found == left
    assert [record.key for record in store.ls("jobs", "a/")] == ["a/1", "a/10", "a/2"]
    assert [record.key for record in store.ls("jobs", "a/1", after="a/1")] == ["a/10"]
    assert [record.name for record in store.ls("buckets")] == ["buckets", "jobs"]


def watched(store, count, prefix="", since=0):
    """The next `count` records of a watch."""
    records = store.watch("jobs", prefix, since)
    return [next(records) for _ in range(count)]


def test_a_watch_tells_the_newest_of_each_key_in_order_and_goes_on_where_it_was_left(place, store):
    for key, value in (("a", b"1"), ("b", b"2"), ("other", b""), ("a", b"3")):
        store.put("jobs", key, value)
    told = watched(store, 3)
    assert [(record.key, record.value) for record in told] == [("b", b"2"), ("other", b""), ("a", b"3")]
    assert [record.sequence for record in told] == sorted({record.sequence for record in told})
    store.delete("jobs", "b")
    again = watched(place.store(READER), 1, since=told[-1].sequence)[0]
    assert (again.key, again.value, again.revision) == ("b", None, 2)
    assert [record.key for record in watched(store, 1, "oth")] == ["other"]


def test_a_watch_is_woken_by_a_write_of_another_gateway_and_ends_when_told(place, store):
    heard, over = [], threading.Event()

    def listen(_):
        for record in place.store(READER).watch("jobs", stop=over.is_set):
            heard.append(record.key)
            over.set()

    def write(_):
        place.store(WRITER).put("jobs", "k", b"")

    run_threads(2, lambda number: (listen, write)[number](number))
    assert heard == ["k"]


def test_a_key_is_absent_after_its_lifetime_and_its_revisions_go_on(place, store):
    store.put("jobs", "short", b"", ttl_ms=300)
    store.hset("jobs", "h", "long", b"", ttl_ms=TTL_MAX_MS)
    reader = place.store(READER)
    assert reader.get("jobs", "short").ttl_ms == 300
    wait_until(lambda: reader.get("jobs", "short") is None)
    wait_until(lambda: store.get("jobs", "short") is None)
    assert [record.name for record in store.ls("jobs")] == ["h\0long"]
    with pytest.raises(Conflict, match="absent"):
        store.cas("jobs", "short", 1, b"")
    assert store.cas("jobs", "short", 0, b"").revision == 2
    assert store.get("jobs", "short").ttl_ms == 0


BAD_KEYS = {
    "empty": ("", "key: got 0 bytes"),
    "64 KB": ("k" * (64 << 10), f"key: got 65536 bytes, wanted 1..{NAME_MAX_BYTES}"),
    "one too long": ("ü" * 128 + "x", "key: got 257 bytes"),
    "not UTF-8": (b"\xff".decode(errors="surrogateescape"), "key: got bytes that are not UTF-8"),
    "a NUL": ("a\0b", "control character"),
    "a line": ("a\nb", "control character"),
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_what_is_no_key_is_refused_everywhere_and_changes_nothing(steady_store, case):
    store, (key, message) = steady_store, BAD_KEYS[case]
    before = content(store)
    for call in (
        lambda: store.get("jobs", key),
        lambda: store.put("jobs", key, b""),
        lambda: store.cas("jobs", key, 0, b""),
        lambda: store.delete("jobs", key),
        lambda: store.hgetall("jobs", key),
        lambda: store.hset("jobs", key, "f", b""),
    ):
        with pytest.raises(Refused, match=message):
            call()
    for call in (lambda: store.hset("jobs", "k", key, b""), lambda: store.hget("jobs", "k", key)):
        with pytest.raises(Refused, match=message.replace("key", "field")[:12]):
            call()
    assert store.ls("jobs", "zzz" + key) == []
    assert content(store) == before


BAD_WRITES = {
    "a value over the limit": (lambda store: store.put("jobs", "k", bytes(VALUE_MAX_BYTES + 1)), "value: got 65537"),
    "a negative lifetime": (lambda store: store.put("jobs", "k", b"", ttl_ms=-1), "ttl_ms: got -1"),
    "a lifetime without end": (lambda store: store.put("jobs", "k", b"", ttl_ms=TTL_MAX_MS + 1), "ttl_ms: got"),
    "an unknown bucket": (lambda store: store.put("nope", "k", b""), "bucket: got 'nope', wanted one that is defined"),
    "a bucket that is no name": (lambda store: store.put("No", "k", b""), "bucket: got 'No'"),
    "the buckets themselves": (lambda store: store.put("buckets", "k", b""), "only `define` writes"),
    "a bucket's name": (lambda store: store.define("a_b", Access()), "bucket: got 'a_b'"),
    "an address": (lambda store: store.define("b", Access((), (b"short",))), "got 5 bytes, wanted 20"),
    "key and field": (lambda store: store.hset("jobs", "k" * 200, "f" * 200, b""), "got 401 bytes, wanted at most 256"),
    "a page": (lambda store: store.ls("jobs", limit=0), "limit: got 0"),
}


@pytest.mark.parametrize("case", BAD_WRITES)
def test_what_does_not_fit_is_refused_and_changes_nothing(steady_store, case):
    write, message = BAD_WRITES[case]
    before = content(steady_store)
    with pytest.raises(Refused, match=message):
        write(steady_store)
    assert content(steady_store) == before


def test_the_largest_key_and_value_are_kept(place, store):
    key, value = "ü" * (NAME_MAX_BYTES // 2), bytes(range(256)) * (VALUE_MAX_BYTES // 256)
    store.put("jobs", key, value)
    assert place.store(READER).get("jobs", key).value == value


def test_a_store_of_another_owner_is_not_opened(place, store):
    with pytest.raises(Untrusted, match="owner: got a store of 0x1a64"):
        Cstore(place.engine(), STRANGER, address(STRANGER))
    assert Cstore(place.engine(), STRANGER, address(OWNER)).replica.owner == address(OWNER)


def test_two_gateways_that_open_an_empty_store_at_once_make_one(place):
    stores = []
    engines = [place.engine() for _ in range(3)]
    run_threads(3, lambda number: stores.append(Cstore(engines[number], WRITER)))
    assert len({store.replica.store for store in stores}) == 1


def test_of_many_writes_in_place_of_one_entry_an_engine_keeps_one(place):
    engines, keys, won = [place.engine() for _ in range(4)], [f"k{number}" for number in range(8)], []
    first = {key: engines[0].write("jobs", key, b"first", 0).sequence for key in keys}

    def write(number):
        for key in keys:
            try:
                won.append((key, engines[number].write("jobs", key, b"%d" % number, first[key]).frame))
            except Conflict:
                continue

    run_threads(4, write)
    assert sorted(key for key, _ in won) == keys
    for engine in (*engines, place.engine()):
        assert [engine.entries("jobs", key, first[key])[0].frame for key, _ in won] == [frame for _, frame in won]
        assert {entry.frame for key in keys for entry in engine.entries("jobs", key, first[key])[1:]} <= {b""}


def test_an_engine_keeps_a_frame_once_and_refuses_another_in_its_place(place):
    engine = place.engine()
    first = engine.write("jobs", "k", b"frame", 0)
    assert engine.write("jobs", "k", b"frame", 0)[::2] == first[::2]
    with pytest.raises(Conflict):
        engine.write("jobs", "k", b"other", 0)
    assert [entry.frame for entry in place.engine().entries("jobs", "k")] == [b"frame"]
    second = engine.write("jobs", "k", b"other", first.sequence)
    assert second.sequence > first.sequence and second.stored_ms >= first.stored_ms
    with pytest.raises(Conflict):
        engine.write("jobs", "k", b"third", first.sequence)

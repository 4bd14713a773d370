"""Who may do what in CSTORE, and signed records that somebody repeats, moves, changes or forges: over every engine."""

import pytest

from gateway.storage import cstore_replica
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_record import Access, Conflict, Refused, Unavailable, Untrusted, sign_record
from tests import cstore_site
from tests.cstore_site import OWNER, READER, STRANGER, WRITER, address, content, digest_signer

cluster, place, store, steady_store = (
    cstore_site.cluster,
    cstore_site.place,
    cstore_site.store,
    cstore_site.steady_store,
)
NONCE = bytes(8)


def signed(store, key, revision, value=b"new", name="k", bucket="jobs", store_id=None, ttl_ms=0):
    """A record's frame as anybody with a key can make it."""
    where = store_id or store.replica.store, bucket, name
    return sign_record(where, revision, value, ttl_ms, NONCE, address(key), digest_signer(key))


ACTS = {
    "read": lambda store: store.get("jobs", "k"),
    "list": lambda store: store.ls("jobs"),
    "watch": lambda store: next(store.watch("jobs")),
    "write": lambda store: store.put("jobs", "k", b"three"),
    "delete": lambda store: store.delete("jobs", "k"),
    "redefine": lambda store: store.define("jobs", Access(None, ())),
    "define": lambda store: store.define("other", Access()),
    "define the root": lambda store: store.define("buckets", Access(None, (address(STRANGER),))),
}
REFUSED = [
    *((STRANGER, act) for act in ACTS),
    *((READER, act) for act in ACTS if act not in ("read", "list", "watch")),
    *((WRITER, act) for act in ACTS if act not in ("write", "delete")),
]


@pytest.mark.parametrize(("key", "act"), REFUSED)
def test_who_is_not_on_the_list_is_refused_and_nothing_changes(steady_store, key, act):
    before = content(steady_store)
    with pytest.raises(Refused, match=f"0x{address(key).hex()}"):
        ACTS[act](Cstore(steady_store.engine, key))
    assert content(steady_store) == before


@pytest.mark.parametrize(
    ("key", "acts"),
    [
        (OWNER, ("read", "list", "watch", "write", "redefine", "define", "define the root", "delete")),
        (READER, ("read", "list", "watch")),
        (WRITER, ("write", "delete")),
    ],
)
def test_who_is_on_the_list_may(place, store, key, acts):
    store.put("jobs", "k", b"one")
    user = place.store(key)
    for act in acts:
        ACTS[act](user)


def test_the_roots_writers_may_define_buckets_and_own_those(place, store):
    store.define("buckets", Access(None, (address(WRITER),)))
    made = place.store(WRITER)
    assert made.define("theirs", Access()).owner == address(WRITER)
    made.put("theirs", "k", b"")
    for act in (lambda: store.put("theirs", "k", b""), lambda: store.define("theirs", Access())):
        with pytest.raises(Refused):
            act()
    with pytest.raises(Refused):
        made.define("jobs", Access())
    assert store.access("theirs") == (address(WRITER), Access())


def test_what_a_writer_wrote_is_hidden_once_it_is_off_the_list_and_revisions_go_on(place, store):
    place.store(WRITER).put("jobs", "k", b"theirs")
    assert [record.value for record in (store.get("jobs", "k"), *store.ls("jobs"))] == [b"theirs", b"theirs"]
    store.define("jobs", Access((address(READER),), ()))
    for each in (store, place.store(), place.store(READER)):
        assert each.get("jobs", "k") is None
        assert each.ls("jobs") == []
        assert list(zip([1], each.watch("jobs", stop=iter([False, True]).__next__), strict=False)) == []
    with pytest.raises(Refused):
        place.store(WRITER).put("jobs", "k", b"again")
    assert place.store().put("jobs", "k", b"mine").revision == 2
    assert store.get("jobs", "k").value == b"mine"


def test_a_record_that_somebody_else_signed_is_applied_once(place, store):
    frame = signed(store, WRITER, 1)
    applied = store.apply(frame)
    assert (applied.owner, applied.revision) == (address(WRITER), 1)
    assert store.apply(frame) == applied
    assert place.store().apply(frame).sequence == applied.sequence
    assert content(store)[0] == ("k", 1, b"new", address(WRITER))


@pytest.mark.parametrize("later", ["overwritten", "deleted", "deleted and written again"])
def test_a_signed_record_never_comes_back(place, store, later):
    frame = signed(store, WRITER, 1)
    store.apply(frame)
    if later != "overwritten":
        store.delete("jobs", "k")
    if later != "deleted":
        store.put("jobs", "k", b"newer")
    before = content(store)
    for each in (store, place.store()):
        with pytest.raises(Conflict, match="revision: got 1, wanted"):
            each.apply(frame)
    assert content(place.store()) == before


def changed(frame):
    return frame[:-1] + bytes([frame[-1] ^ 1])


# What is applied, and why it is not.
FOREIGN = {
    "for another store": (lambda s: signed(s, WRITER, 3, store_id=bytes(16)), Untrusted, "store: got 00000000"),
    "of the far future": (lambda s: signed(s, WRITER, 4), Conflict, "revision: got 4, wanted 3"),
    "of a stranger": (lambda s: signed(s, STRANGER, 3), Refused, "not on its list of writers"),
    "by a reader": (lambda s: signed(s, READER, 3), Refused, "not on its list of writers"),
    "for no bucket": (lambda s: signed(s, WRITER, 1, bucket="nope"), Refused, "'nope', wanted one that is defined"),
    "with the signature changed": (lambda s: changed(signed(s, WRITER, 3)), Untrusted, "signature: got one"),
    "with the value changed": (lambda s: signed(s, WRITER, 3).replace(b"Cnew", b"Cold"), Untrusted, "signature"),
    "moved to another key": (lambda s: signed(s, WRITER, 3).replace(b"ak", b"al"), Untrusted, "signature"),
    "in another's name": (
        lambda s: signed(s, WRITER, 3).replace(address(WRITER), address(OWNER)),
        Untrusted,
        "signature",
    ),
    "a deleted bucket": (lambda s: signed(s, OWNER, 2, None, "jobs", "buckets"), Refused, "a bucket stays"),
    "a bucket that ends": (lambda s: signed(s, OWNER, 2, ttl_ms=9, name="jobs", bucket="buckets"), Refused, "stays"),
    "a bucket of noise": (lambda s: signed(s, OWNER, 2, b"\xff", "jobs", "buckets"), Refused, "access:"),
    "a bucket with no name": (lambda s: signed(s, OWNER, 1, b"\x82\x80\x80", "No", "buckets"), Refused, "got 'No'"),
    "noise": (lambda s: b"\xd2\x84\x43", Untrusted, "record:"),
    "nothing": (lambda s: b"", Untrusted, "record:"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_bad_record_is_not_applied_and_nothing_changes(steady_store, case):
    make, error, message = FOREIGN[case]
    before = content(steady_store)
    with pytest.raises(error, match=message):
        steady_store.apply(make(steady_store))
    assert content(steady_store) == before


# What somebody puts past CSTORE into the engine itself, in place of revision 3 of `k`, which was `good`.
PLANTED = {
    "an older record": lambda s, old: old,
    "a record of another key": lambda s, old: signed(s, WRITER, 4, name="other"),
    "a record of another bucket": lambda s, old: signed(s, WRITER, 4, bucket="other"),
    "a stranger's": lambda s, old: signed(s, STRANGER, 4),
    "a changed one": lambda s, old: changed(signed(s, WRITER, 4)),
    "noise": lambda s, old: b"noise",
    "nothing": lambda s, old: b"",
}


@pytest.mark.parametrize("case", PLANTED)
def test_what_is_planted_in_the_engine_is_never_shown(place, store, case):
    old = store.put("jobs", "k", b"old").frame
    store.delete("jobs", "k")
    good = store.put("jobs", "k", b"good")
    planted = place.engine().write("jobs", "k", PLANTED[case](store, old), good.sequence)
    assert store.get("jobs", "k") == good  # who has seen the good one keeps it
    assert store.replica.refused == 1
    assert (
        list(zip([1], store.watch("jobs", since=good.sequence, stop=iter([False, True]).__next__), strict=False)) == []
    )
    newcomer = place.store(READER)
    if place.keeps_history:
        assert newcomer.get("jobs", "k").frame == good.frame
    elif case == "an older record":
        assert newcomer.get("jobs", "k").frame == old  # who can write the file can put the whole of it back
    elif case == "a stranger's":
        assert newcomer.get("jobs", "k") is None
    else:
        with pytest.raises(Untrusted, match="'k': what is kept is no record"):
            newcomer.get("jobs", "k")
        assert newcomer.ls("jobs") == [] and newcomer.replica.refused == 1
    written = store.put("jobs", "k", b"repaired")
    assert written.sequence > planted.sequence
    assert place.store(READER).get("jobs", "k").value == b"repaired"


class Behind:
    """An engine whose answers, once told so, are those of a server that has nothing behind a sequence."""

    def __init__(self, engine):
        self.engine, self.last = engine, None

    def entries(self, bucket, name, after=0):
        found = self.engine.entries(bucket, name, after)
        return found if self.last is None or bucket == "buckets" else [e for e in found if e.sequence <= self.last]

    def __getattr__(self, name):
        return getattr(self.engine, name)


@pytest.mark.parametrize("seen_max", [1, 1024])
def test_no_reader_is_taken_back_by_a_server_that_is_behind(place, store, monkeypatch, seen_max):
    monkeypatch.setattr(cstore_replica, "SEEN_MAX", seen_max)  # with 1 the record itself is soon forgotten
    first = store.put("jobs", "k", b"old")
    behind = Behind(place.engine())
    reader = Cstore(behind, READER)
    newer = store.put("jobs", "k", b"new")
    assert reader.get("jobs", "k").frame == newer.frame
    behind.last = first.sequence
    if seen_max == 1:
        with pytest.raises(Unavailable, match=f"but {newer.sequence} was seen: the server is behind"):
            reader.get("jobs", "k")
    else:
        assert reader.get("jobs", "k").frame == newer.frame
    behind.last = None
    assert reader.get("jobs", "k").frame == newer.frame


def test_of_two_threads_the_one_that_saw_less_does_not_win(place, store):
    store.put("jobs", "k", b"old")
    older = store.replica.trusted("jobs", "k")
    newer = store.put("jobs", "k", b"new")
    assert store.replica._remember(("jobs", "k"), older).record == newer
    assert store.get("jobs", "k") == newer

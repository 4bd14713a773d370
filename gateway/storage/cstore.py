"""CSTORE: keys of a site's gateways, with revisions and access lists; refuses what its signer may not write or show.

    store = Cstore(engine, key)                       opens the engine's store, or makes it, owned by `key`
    store.define(bucket, Access(readers, writers))    the owner of a bucket always may do both
    store.get / hget / hgetall / ls / watch           read; a Record or None, never an older one than was seen
    store.put / cas / delete / hset                   write; each is one signed record, durable when the call returns
    store.apply(frame)                                the same for a record that somebody else signed

Rules, the same over every engine (the engines' own: cstore_engine.py; what is signed: cstore_record.py):
1. A record is kept only as the next revision of its name, signed by who may write its bucket. What an engine shows is
   judged again before it counts: a forged, moved or repeated record is counted in `refused` and leaves what was there.
2. `cas` writes if the key is at a revision, 0 meaning absent; otherwise Conflict, and nothing is merged. `put` writes
   over whatever is there, as a loop of the same.
3. A write whose outcome is unknown is repeated as the same bytes, so it happens once; each new attempt has other
   bytes, so of two equal ones only the first has won. No write spans two keys.
4. A key lives `ttl_ms` from its acceptance by the engine's clock, no writer's. An expired or deleted key is absent, and
   its revision goes on.
5. A bucket is a record in the bucket `buckets`, whose own record there is the root: its signer owns the store, and
   its writers may define buckets. A definition is replaced by its owner only, and never deleted. A writer who is taken
   off the list is distrusted: what it wrote is not shown either.
6. Readers are checked here, in the gateway. Whoever holds the engine's file or its broker's account can read all of it;
   secrets belong encrypted into R1FS.
"""

import secrets
from collections.abc import Callable, Iterator

from coincurve import PrivateKey

from gateway import curve
from gateway.storage.cstore_engine import Engine
from gateway.storage.cstore_record import (
    BUCKETS,
    NONCE_BYTES,
    STORE_BYTES,
    Access,
    Conflict,
    Opener,
    Record,
    Refused,
    Unavailable,
    Untrusted,
    check_bucket,
    name_of,
    sign_record,
)
from gateway.storage.cstore_replica import Replica, Seen

PAGE_MAX = 1000
PUT_TRIES = 100
WATCH_S = 0.5


class Cstore:
    """The store of one engine, used by the holder of one key. Every method may be called from any thread.

    Attributes:
        replica: what is held true of it; its `store`, `owner` and `refused` are for everyone.
        address: of the key, 20 bytes.
    """

    def __init__(self, engine: Engine, key: PrivateKey, owner: bytes | None = None) -> None:
        """Open the engine's store; make one, owned by the key, if there is none.

        Args:
            owner: address of whose store it must be; None: whosever it is.
        Raises:
            Untrusted: it is another's, or its root is not a record.
        """
        self.engine = engine
        self.address = curve.address(key.public_key.format())
        self._sign: Callable[[bytes], bytes] = lambda digest: key.sign_recoverable(digest, hasher=None)
        self._opener = Opener()
        root = self._root()
        if owner is not None and root.owner != owner:
            raise Untrusted(f"owner: got a store of 0x{root.owner.hex()}, wanted one of 0x{owner.hex()}")
        self.replica = Replica(engine, root.store, root.owner, self._opener)
        self.replica.access(BUCKETS)

    def define(self, bucket: str, access: Access) -> Record:
        """Make a bucket, or replace its lists.

        Raises:
            Refused: not a bucket's name, or this key may not.
        """
        return self._put((BUCKETS, check_bucket(bucket)), access.encode(), 0)

    def access(self, bucket: str) -> tuple[bytes, Access]:
        """Owner (address) and lists of a bucket. Raises Refused where there is none."""
        return self.replica.access(bucket)

    def get(self, bucket: str, key: str, field: str = "") -> Record | None:
        """The record of a key; None if it is absent.

        Raises:
            Refused: no such bucket, not a key, or this key's address is no reader.
            Untrusted: something is kept there and none of it is a record.
            Unavailable, StoreDamaged
        """
        name = name_of(key, field)
        self._check_reader(bucket)
        return self.replica.shown(self.replica.trusted(bucket, name))

    def put(self, bucket: str, key: str, value: bytes, ttl_ms: int = 0, field: str = "") -> Record:
        """Write over whatever is there.

        Raises:
            Refused: no such bucket, not a writer of it, or key, value or ttl_ms do not fit.
            Unavailable, StoreFull, StoreDamaged, Untrusted
        """
        return self._put(_place(bucket, key, field), value, ttl_ms)

    def cas(self, bucket: str, key: str, revision: int, value: bytes, ttl_ms: int = 0, field: str = "") -> Record:
        """Write if the key is at `revision`; 0: if it is absent.

        Raises:
            Conflict: it is at another. And as `put`.
        """
        return self._cas(_place(bucket, key, field), revision, value, ttl_ms)

    def delete(self, bucket: str, key: str, revision: int | None = None, field: str = "") -> Record | None:
        """Delete a key, at a revision or at any; None if it was absent and that was as wanted. Raises as `cas`."""
        place = _place(bucket, key, field)
        for _ in range(PUT_TRIES):
            found = self.replica.shown(self.replica.trusted(*place))
            if found is None and not revision:
                return None
            at = revision if revision is not None else found.revision if found else 0
            try:
                return self._cas(place, at, None, 0)
            except Conflict:
                if revision is not None:
                    raise
        raise Unavailable(f"key: {PUT_TRIES} writes of others came first, wanted a pause between them")

    def hset(self, bucket: str, key: str, field: str, value: bytes, ttl_ms: int = 0) -> Record:
        """Write one field of a key, independent of its other fields and of its own value. Raises as `put`."""
        return self.put(bucket, key, value, ttl_ms, _field(field))

    def hget(self, bucket: str, key: str, field: str) -> Record | None:
        """One field of a key. Raises as `get`."""
        return self.get(bucket, key, _field(field))

    def hgetall(self, bucket: str, key: str) -> dict[str, Record]:
        """All fields of a key. Raises as `get`."""
        self._check_reader(bucket)
        prefix, found = f"{name_of(key)}\0", list[Record]()
        while page := self._page(bucket, prefix, found[-1].name if found else "", PAGE_MAX):
            found += page
        return {record.field: record for record in found}

    def ls(self, bucket: str, prefix: str = "", after: str = "", limit: int = PAGE_MAX) -> list[Record]:
        """The first records whose name begins with `prefix` and comes after `after` (a Record's `name`), in order.

        Fields of keys are among them. Fewer than `limit` means that there are no more.
        Raises:
            Refused: as `get`, or limit is not 1..PAGE_MAX.
        """
        if not 1 <= limit <= PAGE_MAX:
            raise Refused(f"limit: got {limit}, wanted 1..{PAGE_MAX}")
        self._check_reader(bucket)
        return self._page(bucket, prefix, after, limit)

    def watch(
        self, bucket: str, prefix: str = "", since: int = 0, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Record]:
        """The newest record of each name behind sequence `since`, then each new one, deletions too, until `stop()`.

        Of several writes of a name between two looks only the last is told. Expiry is no write and is not told.
        Raises:
            Refused: as `get`. Unavailable: go on with the `sequence` of the last record.
        """
        while not stop():
            self._check_reader(bucket)
            for sequence, name in self.engine.changes(bucket, since, WATCH_S):
                since = sequence
                record = self.replica.look(bucket, name).record if name.startswith(prefix) else None
                if record and record.sequence == sequence and self.replica.is_permitted(record):
                    yield record

    def apply(self, frame: bytes) -> Record:
        """Keep a record that its owner signed; one that is there already is not kept twice.

        Raises:
            Untrusted: not signed for this store. Refused: its owner may not.
            Conflict: it is not the next revision (a repeated one never is again).
        """
        record = self._opener.open(frame)
        if record.store != self.replica.store:
            raise Untrusted(f"store: got {record.store.hex()}, wanted {self.replica.store.hex()}")
        return self.replica.keep(record, self.replica.trusted(record.bucket, record.name))

    def _root(self) -> Record:
        """The first record of the root that is kept, made if there is nothing."""
        entries = self.engine.entries(BUCKETS, BUCKETS)
        if not entries:
            place = secrets.token_bytes(STORE_BYTES), BUCKETS, BUCKETS
            made = self._signed(place, 1, Access(readers=None).encode(), 0)
            try:
                entries = [self.engine.write(BUCKETS, BUCKETS, made.frame, 0)]
            except Conflict:  # another gateway was first
                entries = self.engine.entries(BUCKETS, BUCKETS)
        root = self._opener.open(entries[0].frame)
        if (root.bucket, root.name) != (BUCKETS, BUCKETS):
            raise Untrusted("root: got a record of another place")
        return root

    def _check_reader(self, bucket: str) -> None:
        owner, access = self.replica.access(bucket)
        if access.readers is None or self.address == owner or self.address in access.readers:
            return
        raise Refused(f"bucket {bucket}: 0x{self.address.hex()} is not on its list of readers")

    def _put(self, place: tuple[str, str], value: bytes, ttl_ms: int) -> Record:
        seen = self.replica.known(*place)
        for _ in range(PUT_TRIES):
            try:
                return self._write(place, seen, value, ttl_ms)
            except Conflict:
                seen = self.replica.trusted(*place)
        raise Unavailable(f"key: {PUT_TRIES} writes of others came first, wanted a pause between them")

    def _cas(self, place: tuple[str, str], revision: int, value: bytes | None, ttl_ms: int) -> Record:
        seen = self.replica.trusted(*place)
        found = self.replica.shown(seen)
        at = found.revision if found else 0
        if at != revision:
            raise Conflict(f"revision: got {revision}, the key is at {at}{'' if at else ' (absent)'}")
        return self._write(place, seen, value, ttl_ms)

    def _write(self, place: tuple[str, str], seen: Seen, value: bytes | None, ttl_ms: int) -> Record:
        record = self._signed((self.replica.store, *place), seen.revision + 1, value, ttl_ms)
        return self.replica.keep(record, seen)

    def _signed(self, place: tuple[bytes, str, str], revision: int, value: bytes | None, ttl_ms: int) -> Record:
        nonce = secrets.token_bytes(NONCE_BYTES)
        frame = sign_record(place, revision, value, ttl_ms, nonce, self.address, self._sign)
        return Record(*place, revision, value, ttl_ms, self.address, frame)

    def _page(self, bucket: str, prefix: str, after: str, limit: int) -> list[Record]:
        found: list[Record] = []
        while True:
            names = self.engine.names(bucket, prefix, after, limit)
            for name in names:
                if record := self.replica.shown(self.replica.look(bucket, name)):
                    found.append(record)
                    if len(found) == limit:
                        return found
            if len(names) < limit:
                return found
            after = names[-1]


def _place(bucket: str, key: str, field: str) -> tuple[str, str]:
    if check_bucket(bucket) == BUCKETS:
        raise Refused(f"bucket: got {BUCKETS!r}, which only `define` writes")
    return bucket, name_of(key, field)


def _field(field: str) -> str:
    if not field:
        raise Refused("field: got 0 bytes, wanted at least 1")
    return field

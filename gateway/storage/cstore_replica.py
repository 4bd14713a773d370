"""What one process holds true of a store: each of the engine's entries is judged here once, before it counts or shows.

An entry counts if its frame is a record of this store, bucket and name, of a revision above all before, whose owner may
write there by the bucket's newest lists. Any other is counted in `refused` and leaves what was there. What was seen is
remembered by sequence, so that a server which is behind the others never takes a reader back.
"""

import threading
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from gateway.storage import cstore_record
from gateway.storage.cstore_engine import Engine, Entry
from gateway.storage.cstore_record import (
    BUCKETS,
    Access,
    Conflict,
    Opener,
    Record,
    Refused,
    Unavailable,
    Untrusted,
    check_bucket,
)

SEEN_MAX = 1024

_decode_access = lru_cache(maxsize=1024)(cstore_record.decode_access)


class Seen(NamedTuple):
    """What is known of a name: the record that counts, the highest revision and sequence, why the last was refused."""

    record: Record | None = None
    revision: int = 0
    sequence: int = 0
    refusal: str = ""


class Replica:
    """The judged content of an engine's store. Every method may be called from any thread.

    Attributes:
        store, owner: of the root record. refused: entries that were not taken.
    """

    def __init__(self, engine: Engine, store: bytes, owner: bytes, opener: Opener) -> None:
        self.store, self.owner = store, owner
        self.refused = 0
        self._engine = engine
        self._opener = opener
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], Seen] = {}
        self._highest: dict[tuple[str, str], int] = {}

    def look(self, bucket: str, name: str) -> Seen:
        """Judge what the engine has of a name that was not seen yet.

        Raises:
            Unavailable: the engine's answer is older than what was seen. StoreDamaged
        """
        place = bucket, name
        known = seen = self._seen.get(place, Seen())
        for entry in self._engine.entries(bucket, name, known.sequence):
            seen = self._judge(place, seen, entry)
        if seen.sequence < (highest := self._highest.get(place, 0)):
            raise Unavailable(f"sequence: got {seen.sequence}, but {highest} was seen: the server is behind")
        return seen if seen is known else self._remember(place, seen)

    def trusted(self, bucket: str, name: str) -> Seen:
        """As `look`. Raises Untrusted where something is kept and none of it is a record."""
        seen = self.look(bucket, name)
        if not seen.revision and seen.refusal:
            raise Untrusted(f"{bucket}, {name.partition(chr(0))[0]!r}: what is kept is no record; {seen.refusal}")
        return seen

    def known(self, bucket: str, name: str) -> Seen:
        """What was seen last, not asking the engine if there is any: enough to try a write, which it decides."""
        return self._seen.get((bucket, name)) or self.trusted(bucket, name)

    def keep(self, record: Record, seen: Seen) -> Record:
        """Write a record, whose signature was made or checked here, over what was seen; not one that is there already.

        Raises:
            Refused: its owner may not. Conflict: not the next revision, or another came first.
            Unavailable, StoreFull, StoreDamaged
        """
        if seen.record and seen.record.frame == record.frame:
            return seen.record
        self._check_writer(record, seen.record)
        if record.revision != seen.revision + 1:
            raise Conflict(f"revision: got {record.revision}, wanted {seen.revision + 1}")
        entry = self._engine.write(record.bucket, record.name, record.frame, seen.sequence)
        kept = replace(record, sequence=entry.sequence, stored_ms=entry.stored_ms)
        self._remember((record.bucket, record.name), Seen(kept, kept.revision, kept.sequence))
        return kept

    def shown(self, seen: Seen) -> Record | None:
        """The record, unless it is a deletion, expired, or by somebody who is not on the list any more."""
        record = seen.record
        if record is None or record.value is None or not self.is_permitted(record):
            return None
        if record.ttl_ms and self._engine.now_ms() >= record.stored_ms + record.ttl_ms:
            return None
        return record

    def access(self, bucket: str) -> tuple[bytes, Access]:
        """Owner (address) and lists of a bucket. Raises Refused where there is none."""
        found = self.trusted(BUCKETS, check_bucket(bucket)).record
        if found is None or found.value is None:
            raise Refused(f"bucket: got {bucket!r}, wanted one that is defined")
        return found.owner, _decode_access(found.value)

    def is_permitted(self, record: Record) -> bool:
        """Whether its owner may write it there by the newest lists."""
        try:
            self._check_writer(record, record)
        except Refused:
            return False
        return True

    def _judge(self, place: tuple[str, str], seen: Seen, entry: Entry) -> Seen:
        try:
            record = self._opener.open(entry.frame)
            if (record.store, record.bucket, record.name) != (self.store, *place):
                raise Untrusted("place: got a record of another store, bucket or key")
            if record.revision <= seen.revision:
                raise Untrusted(f"revision: got {record.revision}, last was {seen.revision}")
        except Untrusted as error:
            self.refused += 1
            return seen._replace(sequence=entry.sequence, refusal=str(error))
        try:
            self._check_writer(record, seen.record)
        except Refused:
            self.refused += 1
            return seen._replace(sequence=entry.sequence, revision=record.revision)
        kept = replace(record, sequence=entry.sequence, stored_ms=entry.stored_ms)
        return Seen(kept, kept.revision, kept.sequence)

    def _check_writer(self, record: Record, current: Record | None) -> None:
        """Raises Refused unless the record's owner may write it over `current`."""
        if record.bucket != BUCKETS:
            owner, access = self.access(record.bucket)
            if record.owner != owner and record.owner not in access.writers:
                raise Refused(f"bucket {record.bucket}: 0x{record.owner.hex()} is not on its list of writers")
            return
        if record.value is None or record.ttl_ms:
            raise Refused("bucket: got a deletion or a ttl, wanted its lists: a bucket stays")
        check_bucket(record.name)
        _decode_access(record.value)
        if not self._may_define(record, current):
            raise Refused(f"bucket {record.name}: 0x{record.owner.hex()} may not define it")

    def _may_define(self, record: Record, current: Record | None) -> bool:
        if record.name == BUCKETS:
            return record.owner == self.owner
        if current is not None:
            return record.owner == current.owner
        owner, access = self.access(BUCKETS)
        return record.owner == owner or record.owner in access.writers

    def _remember(self, place: tuple[str, str], seen: Seen) -> Seen:
        """Keep what is newer, for other threads may have come further. What is forgotten leaves its sequence."""
        with self._lock:
            newest = max(self._seen.pop(place, Seen()), seen, key=lambda item: item.sequence)
            self._seen[place] = newest
            self._highest[place] = max(newest.sequence, self._highest.get(place, 0))
            if len(self._seen) > SEEN_MAX:
                del self._seen[next(iter(self._seen))]
        return newest

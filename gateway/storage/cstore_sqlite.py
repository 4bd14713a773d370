"""CSTORE's embedded engine: one SQLite file; refuses a file that is damaged or another program's.

Rules:
1. A write returns after its transaction is on the disk (WAL, synchronous=FULL). Writers who wait while another's
   transaction is being synced are committed together in the next one, so a sync is shared by all of them.
2. The newest entry of each name is kept; none is ever removed. Sequences are those of the whole file.
3. The clock is this machine's, taken when the file is opened and never before the newest entry; from then on it moves
   with the monotonic clock, so a wall clock that is set while the gateway runs changes nothing.
Several processes may use one file. A process killed at any point leaves whole transactions (SQLite's own guarantee).
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.storage.cstore_engine import Entry
from gateway.storage.cstore_record import Conflict, CstoreError, StoreDamaged, StoreFull, Unavailable

APPLICATION_ID = 0x43535431  # "CST1"
BATCH_MAX = 256
PAGE_MAX = 256
BUSY_S = 10.0
POLL_S = 0.1
_SCHEMA = f"""
BEGIN EXCLUSIVE;
CREATE TABLE IF NOT EXISTS entry (sequence INTEGER PRIMARY KEY, bucket TEXT NOT NULL, name BLOB NOT NULL,
    stored_ms INTEGER NOT NULL, frame BLOB NOT NULL, UNIQUE (bucket, name)) STRICT;
CREATE INDEX IF NOT EXISTS entry_of_bucket ON entry (bucket, sequence);
PRAGMA application_id = {APPLICATION_ID};
COMMIT;
"""
_SELECT = "SELECT sequence, stored_ms, frame FROM entry WHERE bucket = ? AND name = ? AND sequence > ?"
_INSERT = "INSERT OR IGNORE INTO entry (sequence, stored_ms, frame, bucket, name) VALUES (?, ?, ?, ?, ?)"
_UPDATE = "UPDATE entry SET sequence = ?, stored_ms = ?, frame = ? WHERE bucket = ? AND name = ? AND sequence = ?"


class _Write:
    """A write that waits for its transaction; `outcome` is set by whoever commits it."""

    def __init__(self, bucket: str, name: bytes, frame: bytes, replaces: int, stored_ms: int | None) -> None:
        self.bucket, self.name, self.frame, self.replaces, self.stored_ms = bucket, name, frame, replaces, stored_ms
        self.outcome: Entry | CstoreError | None = None


class SqliteEngine:
    """The file `path` (cstore_engine.Engine says what each method does)."""

    def __init__(self, path: Path, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        """Open the file, made if there is none.

        Raises:
            StoreDamaged: it is no CSTORE file, or a page of it cannot be read.
        """
        self._path = path
        self._queue: list[_Write] = []
        self._committing, self._reading = threading.Lock(), threading.Lock()
        self._written = threading.Condition()
        with contextlib.suppress(OSError):  # SQLite has better words for it
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with self._told():
            self._writer, self._reader = self._connect(), self._connect()
            if (verdict := self._reader.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise StoreDamaged(f"{path}: {verdict}")
            (newest_ms,) = self._reader.execute("SELECT coalesce(max(stored_ms), 0) FROM entry").fetchone()
        self._ahead_ms: int = max(wall_ms(), newest_ms) - _monotonic_ms()

    def entries(self, bucket: str, name: str, after: int = 0) -> list[Entry]:
        return [Entry(*row) for row in self._read(_SELECT, bucket, name.encode(), after)]

    def write(self, bucket: str, name: str, frame: bytes, replaces: int, stored_ms: int | None = None) -> Entry:
        request = _Write(bucket, name.encode(), frame, replaces, stored_ms)
        self._queue.append(request)
        with self._committing:
            while request.outcome is None:
                self._commit()
        if isinstance(request.outcome, CstoreError):
            raise request.outcome
        return request.outcome

    def names(self, bucket: str, prefix: str, after: str, limit: int) -> list[str]:
        first, last = prefix.encode(errors="replace"), after.encode(errors="replace")
        behind = first + b"\xff"  # no UTF-8 has this byte
        query = "SELECT name FROM entry WHERE bucket = ? AND name >= ? AND name < ? AND name > ? ORDER BY name LIMIT ?"
        return [name.decode() for (name,) in self._read(query, bucket, first, behind, last, limit)]

    def changes(self, bucket: str, since: int, wait_s: float) -> list[tuple[int, str]]:
        query = "SELECT sequence, name FROM entry WHERE bucket = ? AND sequence > ? ORDER BY sequence LIMIT ?"
        deadline = time.monotonic() + wait_s
        while not (rows := self._read(query, bucket, since, PAGE_MAX)) and time.monotonic() < deadline:
            with self._written:  # another process tells nobody: look again after POLL_S
                self._written.wait(min(POLL_S, wait_s))
        return [(sequence, name.decode()) for sequence, name in rows]

    def now_ms(self) -> int:
        return self._ahead_ms + _monotonic_ms()

    def notes(self) -> list[str]:
        return []

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        made = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
        found = made.execute("PRAGMA application_id").fetchone()[0]
        if found != APPLICATION_ID and (found or made.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]):
            made.close()
            raise StoreDamaged(f"{self._path}: got another program's database, wanted CSTORE's")
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("PRAGMA synchronous = FULL")
        if found != APPLICATION_ID:
            made.executescript(_SCHEMA)
        return made

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._told(), self._reading:
            return self._reader.execute(query, values).fetchall()

    def _commit(self) -> None:
        """One transaction of all writes that wait, at most BATCH_MAX; the caller holds `_committing`."""
        batch = self._queue[:BATCH_MAX]
        del self._queue[: len(batch)]
        outcomes: Sequence[Entry | CstoreError] = [Unavailable("write: interrupted, repeat it") for _ in batch]
        try:
            with self._told():
                outcomes = self._transact(batch)
        except CstoreError as error:
            outcomes = [type(error)(str(error)) for _ in batch]
        finally:  # whatever ends this thread: those who wait must not wait for ever
            for request, outcome in zip(batch, outcomes, strict=True):
                request.outcome = outcome
        with self._written:
            self._written.notify_all()

    def _transact(self, batch: list[_Write]) -> list[Entry | CstoreError]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            outcomes = self._insert(batch)
            self._writer.execute("COMMIT")
        finally:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        return outcomes

    def _insert(self, batch: list[_Write]) -> list[Entry | CstoreError]:
        sequence = self._writer.execute("SELECT coalesce(max(sequence), 0) FROM entry").fetchone()[0]
        outcomes: list[Entry | CstoreError] = []
        for write in batch:
            stored_ms = self.now_ms() if write.stored_ms is None else write.stored_ms
            self._ahead_ms = max(self._ahead_ms, stored_ms - _monotonic_ms())
            row = sequence + 1, stored_ms, write.frame, write.bucket, write.name
            done = self._writer.execute(*((_UPDATE, (*row, write.replaces)) if write.replaces else (_INSERT, row)))
            if done.rowcount:
                sequence += 1
                outcomes.append(Entry(sequence, stored_ms, write.frame))
            else:
                found = self._writer.execute(_SELECT, (write.bucket, write.name, write.replaces)).fetchall()
                conflict = Conflict(f"sequence: got {write.replaces}, but another write came first")
                outcomes.append(Entry(*found[0]) if found and found[0][2] == write.frame else conflict)
        return outcomes

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What SQLite raises, in our words."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise StoreFull(f"{self._path}: cannot be written: {error}; free some space") from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise Unavailable(f"{self._path}: in use by another process for {BUSY_S:.0f} s") from error
            raise StoreDamaged(f"{self._path}: {error}") from error


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000

"""Where a block lies and what is pinned, in SQLite; holds no content, and no row before the content is on the disk.

Rules: each call is one transaction, durable when it returns (synchronous=FULL); any number of threads and processes.
A reader sees what is committed and nothing else; `find` has a connection of its own and waits for no writer.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gateway.storage.errors import StoreError

BUSY_S = 30
_SCHEMA = """
CREATE TABLE IF NOT EXISTS block (digest BLOB PRIMARY KEY, codec INTEGER NOT NULL, pack INTEGER NOT NULL,
    offset INTEGER NOT NULL, size INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS block_pack ON block (pack, offset);
CREATE TABLE IF NOT EXISTS pin (cid TEXT PRIMARY KEY, bytes INTEGER NOT NULL, profile TEXT NOT NULL) STRICT;
"""


class Row(NamedTuple):
    """A block: the first byte of its content in a pack, and how many."""

    digest: bytes
    codec: int
    pack: int
    offset: int
    size: int


class Pin(NamedTuple):
    """What is kept: `bytes` of its content; `profile`: how its CID came about, "" where others made it."""

    cid: str
    bytes: int
    profile: str


class Index:
    """One file; StoreError from every call that SQLite refuses."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock, self._finding = path, threading.RLock(), threading.Lock()
        with self._told():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
            self._reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)

    def close(self) -> None:
        self._reader.close()
        self._db.close()

    def find(self, digest: bytes) -> Row | None:
        """Where a block lies, or None."""
        try:
            with self._finding:  # neither `_lock` nor `_told`: asked for each block, it does not wait for a sync
                row = self._reader.execute("SELECT * FROM block WHERE digest = ?", (digest,)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
        return Row(*row) if row else None

    def put(self, rows: Iterable[Row]) -> None:
        """Blocks lie here now, wherever they were before."""
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?, ?)", rows)

    def forget(self, rows: Iterable[Row]) -> None:
        """Blocks are here no more."""
        with self._transaction():
            self._db.executemany("DELETE FROM block WHERE digest = ?", [(row.digest,) for row in rows])

    def pack_numbers(self) -> list[int]:
        """Packs that hold blocks."""
        with self._told():
            return [pack for (pack,) in self._db.execute("SELECT DISTINCT pack FROM block ORDER BY pack")]

    def packs(self) -> Iterator[tuple[int, list[Row]]]:
        """(pack, its blocks by offset), of each pack that was there at the beginning."""
        for pack in self.pack_numbers():
            with self._told():
                rows = self._db.execute("SELECT * FROM block WHERE pack = ? ORDER BY offset", (pack,)).fetchall()
            yield pack, [Row(*row) for row in rows]

    def pin(self, pin: Pin) -> None:
        """Keep it; a profile that is known stays."""
        known = "ON CONFLICT (cid) DO UPDATE SET bytes = excluded.bytes, profile = excluded.profile"
        with self._transaction():
            self._db.execute(f"INSERT INTO pin VALUES (?, ?, ?) {known} WHERE pin.profile = ''", pin)

    def unpin(self, cid: str) -> bool:
        """Whether it was pinned."""
        with self._transaction():
            return self._db.execute("DELETE FROM pin WHERE cid = ?", (cid,)).rowcount > 0

    def pins(self) -> list[Pin]:
        with self._told():
            return [Pin(*row) for row in self._db.execute("SELECT * FROM pin ORDER BY cid")]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

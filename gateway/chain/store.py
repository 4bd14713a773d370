"""The embedded chain on disk: one SQLite file. Refuses a second process, and any write outside a block.

Rules: a block is one SQLite transaction, there wholly or not at all; what was committed survives `kill -9` and power
loss (synchronous=FULL); the tables `tx` and `log` repeat what py-evm keeps in `node`, so that receipts and logs are
found without walking blocks.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS node (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tx (hash BLOB PRIMARY KEY, content TEXT NOT NULL, receipt TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (block INTEGER, position INTEGER, address BLOB NOT NULL, content TEXT NOT NULL,
    PRIMARY KEY (block, position)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS log_address ON log (address, block);
"""


class StoreError(Exception):
    """The file is in use by another process, is no such file, or cannot be written; nothing was changed."""


class ChainStore:
    """py-evm's key-value table (bytes to bytes, KeyError where absent) and the tables of transactions and logs."""

    def __init__(self, path: Path) -> None:
        """Open `path`, made if there is none.

        Raises:
            StoreError: it cannot be had.
        """
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript("BEGIN EXCLUSIVE;" + _SCHEMA + "COMMIT;")
        except sqlite3.Error as error:
            reason = "in use by another process" if "locked" in str(error) else str(error)
            raise StoreError(f"{path}: {reason}") from error

    def close(self) -> None:
        self._db.close()

    def copy(self, path: Path) -> None:
        """All blocks so far, as another file. StoreError: it cannot be written."""
        try:
            with closing(sqlite3.connect(path)) as copy:
                self._db.backup(copy)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error

    @contextmanager
    def block(self) -> Iterator[None]:
        """Everything written inside is committed together, durably, at the end; an exception undoes it.

        Raises:
            StoreError: it could not be written.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"the chain's file: {error}") from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def put_transaction(self, tx_hash: bytes, content: dict[str, Any], receipt: dict[str, Any]) -> None:
        """Keep a mined transaction and its receipt, as JSON-RPC shows them."""
        assert self._db.in_transaction
        self._db.execute("INSERT INTO tx VALUES (?, ?, ?)", (tx_hash, json.dumps(content), json.dumps(receipt)))
        for log in receipt["logs"]:
            where = (int(log["blockNumber"], 16), int(log["logIndex"], 16), bytes.fromhex(log["address"][2:]))
            self._db.execute("INSERT INTO log VALUES (?, ?, ?, ?)", (*where, json.dumps(log)))

    def transaction(self, tx_hash: bytes) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """(transaction, receipt), or None."""
        row = self._db.execute("SELECT content, receipt FROM tx WHERE hash = ?", (tx_hash,)).fetchone()
        return (json.loads(row[0]), json.loads(row[1])) if row else None

    def logs(self, first: int, last: int, addresses: set[bytes], topics: set[bytes], most: int) -> list[dict[str, Any]]:
        """The first `most` logs of blocks `first` to `last`, both included, that name one of the topics in any place.

        No addresses, or no topics, are any.
        """
        places = f"AND address IN ({', '.join('?' * len(addresses))})" if addresses else ""
        named = " OR ".join(["instr(content, ?)"] * len(topics))
        query = f"SELECT content FROM log WHERE block BETWEEN ? AND ? {places} {f'AND ({named})' if named else ''}"
        values = (first, last, *addresses, *(topic.hex() for topic in topics), most)
        rows = self._db.execute(f"{query} ORDER BY block, position LIMIT ?", values)
        return [json.loads(row[0]) for row in rows]

    def __getitem__(self, key: bytes) -> bytes:
        row = self._db.execute("SELECT value FROM node WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        value: bytes = row[0]
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        assert self._db.in_transaction
        self._db.execute("INSERT OR REPLACE INTO node VALUES (?, ?)", (key, value))

    def __delitem__(self, key: bytes) -> None:
        assert self._db.in_transaction
        if not self._db.execute("DELETE FROM node WHERE key = ?", (key,)).rowcount:
            raise KeyError(key)

    def __contains__(self, key: bytes) -> bool:
        return self._db.execute("SELECT 1 FROM node WHERE key = ?", (key,)).fetchone() is not None

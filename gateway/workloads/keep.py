"""Keeps small values by key in one SQLite file, on the disk before a write returns; refuses to lose one.

CSTORE can stand here instead: whatever has these four functions can.
"""

import sqlite3
import threading
from pathlib import Path
from typing import Protocol

from gateway import database
from gateway.workloads.errors import Unavailable

_SCHEMA = "CREATE TABLE IF NOT EXISTS keep (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"


class Keep(Protocol):
    """Texts by key. Unavailable: it cannot be read or written, and nothing changed."""

    def get(self, key: str) -> str | None: ...

    def put(self, key: str, value: str) -> None: ...

    def delete(self, key: str) -> None: ...

    def ls(self, prefix: str) -> list[tuple[str, str]]:
        """All whose key begins so, in the keys' order."""


class SqliteKeep:
    """Texts by key in a file, made where there is none; any thread may use it."""

    def __init__(self, path: Path) -> None:
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._database.execute("PRAGMA synchronous = EXTRA")
            self._database.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise Unavailable(f"{path}: {error}; wanted what jobs are kept in, or no file") from error
        self._path, self._lock = path, threading.Lock()

    def close(self) -> None:
        self._database.close()

    def get(self, key: str) -> str | None:
        rows = self._read("SELECT key, value FROM keep WHERE key = ?", (key,))
        return rows[0][1] if rows else None

    def put(self, key: str, value: str) -> None:
        self._write("INSERT OR REPLACE INTO keep VALUES (?, ?)", (key, value))

    def delete(self, key: str) -> None:
        self._write("DELETE FROM keep WHERE key = ?", (key,))

    def ls(self, prefix: str) -> list[tuple[str, str]]:
        return self._read("SELECT key, value FROM keep WHERE substr(key, 1, ?) = ? ORDER BY key", (len(prefix), prefix))

    def _read(self, statement: str, row: tuple[object, ...]) -> list[tuple[str, str]]:
        with self._lock:
            try:
                return self._database.execute(statement, row).fetchall()
            except sqlite3.Error as error:
                raise Unavailable(f"{self._path}: {error}") from error

    def _write(self, statement: str, row: tuple[object, ...]) -> None:
        full = Unavailable(f"{self._path}: no space left, nothing was kept; free some")
        with self._lock:
            try:
                database.write(self._database, [(statement, [row])], full)
            except sqlite3.Error as error:
                raise Unavailable(f"{self._path}: {error}") from error

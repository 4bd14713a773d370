"""A share-holder's answers on disk, one for each (data owner, round) and for ever; refuses to hold two.

SQLite, each answer one transaction with `synchronous = EXTRA`: it is on the disk before anybody gets it, whatever kills
this process or the machine, and two processes on one file cannot both store. Losing the file is losing that rule: a
share-holder whose file is gone needs a new key, and an old copy of it must never be put back.
"""

import sqlite3
from pathlib import Path
from typing import NamedTuple

from gateway.errors import CommandError, Exit

_SCHEMA = """
CREATE TABLE IF NOT EXISTS holder (one INTEGER PRIMARY KEY CHECK (one = 1), key BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS answer (owner BLOB, round INTEGER, manifest BLOB NOT NULL, closed_set BLOB NOT NULL,
    share BLOB NOT NULL, PRIMARY KEY (owner, round)) STRICT;
"""


class Answer(NamedTuple):
    """What was given: M and SHA-256 of the set's frame (32 bytes each), and the share's frame."""

    manifest: bytes
    closed_set: bytes
    share: bytes


class Answers:
    """The answers that one holder's key (33 bytes) has given, in one file, made where there is none.

    Raises:
        CommandError: the file is damaged, or another key's.
    """

    def __init__(self, path: Path, holder: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._database = sqlite3.connect(path, isolation_level=None, timeout=10)
            self._database.execute("PRAGMA synchronous = EXTRA")
            self._database.executescript(_SCHEMA)
            self._database.execute("INSERT OR IGNORE INTO holder VALUES (1, ?)", (holder,))
            (kept,) = self._database.execute("SELECT key FROM holder").fetchone()
        except sqlite3.Error as error:
            raise CommandError(f"{path}: {error}; wanted this holder's answers, or no file", Exit.TRUST) from error
        path.chmod(0o600)
        if kept != holder:
            got = f"{path}: got the answers of {kept.hex()}"
            raise CommandError(f"{got}, wanted those of {holder.hex()}; name another --state", Exit.REFUSED)

    def find(self, owner: bytes, number: int) -> Answer | None:
        """What was given to a data owner (20 bytes) for a round, if anything. Raises OSError: it cannot be read now."""
        try:
            row = self._database.execute(
                "SELECT manifest, closed_set, share FROM answer WHERE owner = ? AND round = ?", (owner, number)
            ).fetchone()
        except sqlite3.Error as error:
            raise OSError(f"the answers cannot be read: {error}") from error
        return Answer(*row) if row else None

    def keep(self, owner: bytes, number: int, answer: Answer) -> Answer:
        """Store an answer unless there is one already; the one that holds, on the disk when this returns.

        Raises:
            OSError: it could not be stored, and must not be given.
        """
        try:
            self._database.execute("INSERT OR IGNORE INTO answer VALUES (?, ?, ?, ?, ?)", (owner, number, *answer))
        except sqlite3.Error as error:
            raise OSError(f"the answer is not stored: {error}") from error
        found = self.find(owner, number)
        assert found is not None
        return found

    def count(self) -> int:
        """How many were ever given."""
        return int(self._database.execute("SELECT count(*) FROM answer").fetchone()[0])

    def close(self) -> None:
        self._database.close()

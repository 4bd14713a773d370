"""A SQLite database's transaction: all of its statements or none, and a full disk is told apart from other errors.

A file that is damaged is never repaired nor replaced here: its name and what its loss would mean are said.
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gateway.errors import CommandError

T = TypeVar("T")

Statement = tuple[str, Sequence[tuple[Any, ...]]]
"""SQL, and the rows that it runs for."""


def write(database: sqlite3.Connection, statements: Sequence[Statement], full: Exception) -> None:
    """Run statements as one transaction.

    Raises:
        `full`: there is no space on the disk; nothing was kept. sqlite3.Error: as SQLite says.
    """
    try:
        with database:
            database.execute("BEGIN IMMEDIATE")
            for statement, rows in statements:
                database.executemany(statement, rows)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            raise full from error
        raise


def open_or_say(kind: Callable[[Path], T], path: Path, lost: str) -> T:
    """What `kind` makes of a file. CommandError: it is damaged; `lost` says what goes if it is moved away."""
    try:
        return kind(path)
    except sqlite3.DatabaseError as error:
        raise CommandError(f"{path}: {error}; if it is damaged, move it away: {lost}") from error

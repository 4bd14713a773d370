"""A SQLite database's transaction: all of its statements or none, and a full disk is told apart from other errors."""

import sqlite3
from collections.abc import Sequence
from typing import Any

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

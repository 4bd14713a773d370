"""Set-up codes of a site's labels, in SQLite: made here, kept as hashes only, burned when the device is bound.

Rules:
1. A code is 40 random bits, known to nobody once its label is drawn; what stays is scrypt (N 2^14, r 8, p 1) of device
   id and code under a salt of the label's own. Whoever reads the file still has 2^40 codes to try at 16 MiB each.
2. A device has one label. Another is made when that is asked for, and voids the one before.
3. A burned code opens nothing again, and only a new label of the site's operator gives the device another.

Source: RFC 7914 (scrypt).
"""

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gateway.database import write
from gateway.labels.payload import CODE_BITS

NAME = "labels.sqlite"
_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "maxmem": 32 << 20, "dklen": 32}
_SALT_BYTES = 16
_SCHEMA = """
CREATE TABLE IF NOT EXISTS label (device BLOB PRIMARY KEY, board TEXT NOT NULL, salt BLOB NOT NULL, hash BLOB) STRICT;
"""


class CodesFull(Exception):
    """There is no space on the disk; nothing was kept."""


class Labelled(NamedTuple):
    """A device with a label: id 20 octets, its board's name; hash is None once the code is burned."""

    device: bytes
    board: str
    salt: bytes
    hash: bytes | None


def new_code() -> int:
    """A set-up code nobody can guess, 0..2^40 - 1."""
    return secrets.randbits(CODE_BITS)


class Codes:
    """The table in SITE/labels.sqlite. Used by one thread at a time; other processes may have it open too."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / NAME, isolation_level=None, check_same_thread=False, timeout=10)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def keep(self, device: bytes, board: str, code: int) -> None:
        """Keep the hash of a device's new code, on the disk when this returns; the label before is void.

        Raises:
            CodesFull: no space; the label before is still good.
        """
        self.keep_all([(device, board, code)])

    def keep_all(self, made: Sequence[tuple[bytes, str, int]]) -> None:
        """As keep, of several (device, board, code): all of them or none."""
        salts = [secrets.token_bytes(_SALT_BYTES) for _ in made]
        rows = [(device, board, salt, _hash(device, salt, code))
                for (device, board, code), salt in zip(made, salts, strict=True)]  # fmt: skip
        write(self._database, [("INSERT OR REPLACE INTO label VALUES (?, ?, ?, ?)", rows)], _full())

    def find(self, device: bytes) -> Labelled | None:
        """The label of a device, None if it has none."""
        row = self._database.execute("SELECT * FROM label WHERE device = ?", (device,)).fetchone()
        return row and Labelled(*row)

    def devices(self) -> list[bytes]:
        """Ids of all devices with a label, burned or not."""
        return [device for (device,) in self._database.execute("SELECT device FROM label ORDER BY device")]

    def burn(self, device: bytes) -> None:
        """Forget a code for good; nothing happens if there is none.

        Raises:
            CodesFull: no space; the code is as it was.
        """
        statement = "UPDATE label SET hash = NULL WHERE device = ? AND hash NOT NULL"
        write(self._database, [(statement, [(device,)])], _full())


def is_code(labelled: Labelled, code: int) -> bool:
    """Whether it is this label's set-up code; takes some 50 ms, whatever the answer. Nothing is a burned label's."""
    return hmac.compare_digest(_hash(labelled.device, labelled.salt, code), labelled.hash or b"")


def _hash(device: bytes, salt: bytes, code: int) -> bytes:
    return hashlib.scrypt(device + code.to_bytes(CODE_BITS // 8, "big"), salt=salt, **_SCRYPT)


def _full() -> CodesFull:
    return CodesFull("the disk is full: nothing was kept; free some space and try again")

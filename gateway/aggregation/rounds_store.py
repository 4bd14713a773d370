"""Rounds of a gateway in SQLite: enrolments, ciphertexts, closed sets, shares, heads, answers; refuses to judge them.

Rules:
1. Each call is one transaction and returns after the sync, so what is acknowledged afterwards survives a power cut.
2. A call that finds no space raises StoreFull and keeps nothing.
3. Nothing is overwritten but a round's state, by `close_round`: a ciphertext, head or share that is there stays until
   its whole round is dropped (known.py says which).
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gateway.database import Statement, write

OPEN, PART, CLOSED, FAILED, ENDED = "open", "part", "closed", "failed", "ended"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS enrolment (digest BLOB PRIMARY KEY, owner BLOB NOT NULL, frame BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS round (manifest BLOB PRIMARY KEY, frame BLOB NOT NULL, is_part INTEGER NOT NULL,
    opened_ms INTEGER NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL, set_frame BLOB NOT NULL,
    aggregate BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS weight (manifest BLOB, device BLOB, weight INTEGER NOT NULL,
    PRIMARY KEY (manifest, device)) STRICT;
CREATE TABLE IF NOT EXISTS ciphertext (manifest BLOB, device BLOB, place INTEGER, digest BLOB NOT NULL,
    enrolment BLOB NOT NULL, frame BLOB NOT NULL, content BLOB NOT NULL,
    received_ms INTEGER NOT NULL, PRIMARY KEY (manifest, device, place)) STRICT;
CREATE TABLE IF NOT EXISTS share (manifest BLOB, holder INTEGER, set_digest BLOB, frame BLOB NOT NULL,
    PRIMARY KEY (manifest, set_digest, holder)) STRICT;
CREATE TABLE IF NOT EXISTS head (manifest BLOB PRIMARY KEY, frame BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS answer (manifest BLOB, device BLOB, place INTEGER, content BLOB NOT NULL,
    PRIMARY KEY (manifest, device, place)) STRICT;
CREATE TABLE IF NOT EXISTS trusted (digest BLOB PRIMARY KEY, configuration TEXT NOT NULL, state TEXT NOT NULL,
    total BLOB NOT NULL, set_frame BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS trusted_device (digest BLOB, device BLOB, PRIMARY KEY (digest, device)) STRICT;
"""


class StoreFull(Exception):
    """There is no space on the disk; nothing was kept, and the same can be tried again."""


class StoredRound(NamedTuple):
    """A round as it is kept: its manifest's frame, whether it is a part of several gateways', and how it ended."""

    manifest: bytes
    frame: bytes
    is_part: bool
    opened_ms: int
    state: str
    why: str
    set_frame: bytes
    aggregate: bytes


class Ciphertext(NamedTuple):
    """A device's ciphertext with its signed header (frame); place: its index; digest: SHA-256 of content."""

    manifest: bytes
    device: bytes
    place: int
    digest: bytes
    enrolment: bytes
    frame: bytes
    content: bytes
    received_ms: int


@dataclass(frozen=True)
class Answer:
    """Encrypted logits of a device's embedding: residues of c0, then of c1, each packed as a ciphertext."""

    device: bytes
    index: int
    ciphertext: bytes


class StoredTrusted(NamedTuple):
    """A gateway-trusted round: its configuration (JSON), how it ended, the encrypted total, the signed record."""

    digest: bytes
    configuration: str
    state: str
    total: bytes
    set_frame: bytes


class RoundsStore:
    """The tables. Who uses it from several threads holds a lock of its own."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def keep_enrolment(self, digest: bytes, owner: bytes, frame: bytes) -> None:
        self._write(("INSERT INTO enrolment VALUES (?, ?, ?) ON CONFLICT DO NOTHING", [(digest, owner, frame)]))

    def enrolments(self) -> list[tuple[bytes, bytes, bytes]]:
        """(digest, owner, frame) of each."""
        return list(self._database.execute("SELECT digest, owner, frame FROM enrolment ORDER BY rowid"))

    def keep_round(
        self, manifest: bytes, frame: bytes, weights: dict[bytes, int], is_part: bool, opened_ms: int
    ) -> None:
        row = (manifest, frame, is_part, opened_ms, OPEN, "", b"", b"")
        self._write(
            ("INSERT INTO round VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [row]),
            ("INSERT INTO weight VALUES (?, ?, ?)", [(manifest, *item) for item in sorted(weights.items())]),
        )

    def rounds(self) -> list[StoredRound]:
        """All, in the order in which they were opened."""
        rows = self._database.execute("SELECT * FROM round ORDER BY rowid")
        return [_round(row) for row in rows]

    def round(self, manifest: bytes) -> StoredRound:
        """One of those that `rounds` gives. Raises KeyError."""
        row = self._database.execute("SELECT * FROM round WHERE manifest = ?", (manifest,)).fetchone()
        if row is None:
            raise KeyError(manifest)
        return _round(row)

    def weights(self, manifest: bytes) -> dict[bytes, int]:
        return dict(self._database.execute("SELECT device, weight FROM weight WHERE manifest = ?", (manifest,)))

    def close_round(self, manifest: bytes, state: str, why: str, set_frame: bytes, aggregate: bytes) -> None:
        """Set how a round ended."""
        statement = "UPDATE round SET state = ?, why = ?, set_frame = ?, aggregate = ? WHERE manifest = ?"
        self._write((statement, [(state, why, set_frame, aggregate, manifest)]))

    def drop_round(self, manifest: bytes) -> None:
        """Forget a round and everything of it."""
        tables = ("round", "weight", "ciphertext", "share", "head", "answer")
        self._write(*((f"DELETE FROM {table} WHERE manifest = ?", [(manifest,)]) for table in tables))

    def add(self, ciphertexts: Iterable[Ciphertext]) -> None:
        """Keep ciphertexts, one sync for all of them."""
        self._write(("INSERT INTO ciphertext VALUES (?, ?, ?, ?, ?, ?, ?, ?)", list(ciphertexts)))

    def ciphertexts(self, manifest: bytes) -> Iterator[Ciphertext]:
        """Of a round, by device id and index."""
        rows = self._database.execute("SELECT * FROM ciphertext WHERE manifest = ? ORDER BY device, place", (manifest,))
        return (Ciphertext(*row) for row in rows)

    def places(self, manifest: bytes) -> list[tuple[bytes, int, bytes]]:
        """(device, index, digest) of a round's ciphertexts."""
        rows = self._database.execute("SELECT device, place, digest FROM ciphertext WHERE manifest = ?", (manifest,))
        return list(rows)

    def devices(self, manifest: bytes) -> list[bytes]:
        """Whose ciphertexts a round has, by id."""
        rows = self._database.execute(
            "SELECT DISTINCT device FROM ciphertext WHERE manifest = ? ORDER BY device", (manifest,)
        )
        return [row[0] for row in rows]

    def unanswered(self, manifest: bytes, most: int) -> list[Ciphertext]:
        """Ciphertexts of a round that have no answer yet, at most so many."""
        rows = self._database.execute(
            "SELECT * FROM ciphertext AS c WHERE manifest = ? AND NOT EXISTS (SELECT 1 FROM answer AS a"
            " WHERE a.manifest = c.manifest AND a.device = c.device AND a.place = c.place) LIMIT ?",
            (manifest, most),
        )
        return [Ciphertext(*row) for row in rows]

    def keep_share(self, manifest: bytes, holder: int, set_digest: bytes, frame: bytes) -> None:
        self._write(
            ("INSERT INTO share VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", [(manifest, holder, set_digest, frame)])
        )

    def shares(self, manifest: bytes, set_digest: bytes) -> dict[int, bytes]:
        """Frames of share-holders' answers about a set, by holder."""
        rows = self._database.execute(
            "SELECT holder, frame FROM share WHERE manifest = ? AND set_digest = ? ORDER BY holder",
            (manifest, set_digest),
        )
        return dict(rows)

    def keep_head(self, manifest: bytes, frame: bytes) -> None:
        self._write(("INSERT INTO head VALUES (?, ?) ON CONFLICT DO NOTHING", [(manifest, frame)]))

    def head(self, manifest: bytes) -> bytes | None:
        row = self._database.execute("SELECT frame FROM head WHERE manifest = ?", (manifest,)).fetchone()
        return None if row is None else bytes(row[0])

    def add_answers(self, manifest: bytes, answers: Iterable[Answer]) -> None:
        rows = [(manifest, answer.device, answer.index, answer.ciphertext) for answer in answers]
        self._write(("INSERT INTO answer VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", rows))

    def answers(self, manifest: bytes) -> list[Answer]:
        """Of a round, by device id and index."""
        rows = self._database.execute(
            "SELECT device, place, content FROM answer WHERE manifest = ? ORDER BY device, place", (manifest,)
        )
        return [Answer(*row) for row in rows]

    def count_answers(self, manifest: bytes) -> int:
        row = self._database.execute("SELECT count(*) FROM answer WHERE manifest = ?", (manifest,)).fetchone()
        return int(row[0])

    def keep_trusted(self, digest: bytes, configuration: str) -> None:
        row = (digest, configuration, OPEN, b"", b"")
        self._write(("INSERT INTO trusted VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", [row]))

    def trusted(self) -> list[StoredTrusted]:
        """All gateway-trusted rounds, in the order in which they were opened."""
        return [StoredTrusted(*row) for row in self._database.execute("SELECT * FROM trusted ORDER BY rowid")]

    def trusted_devices(self, digest: bytes) -> list[bytes]:
        """Whose values are in a gateway-trusted round's total, by id."""
        rows = self._database.execute("SELECT device FROM trusted_device WHERE digest = ? ORDER BY device", (digest,))
        return [row[0] for row in rows]

    def add_trusted(self, digest: bytes, device: bytes, total: bytes) -> None:
        """Count a device in, with the total that holds it; both or neither."""
        self._write(
            ("INSERT INTO trusted_device VALUES (?, ?)", [(digest, device)]),
            ("UPDATE trusted SET total = ? WHERE digest = ?", [(total, digest)]),
        )

    def drop_trusted(self, digest: bytes) -> None:
        """Forget a gateway-trusted round."""
        tables = ("trusted", "trusted_device")
        self._write(*((f"DELETE FROM {table} WHERE digest = ?", [(digest,)]) for table in tables))

    def close_trusted(self, digest: bytes, state: str, set_frame: bytes) -> None:
        self._write(("UPDATE trusted SET state = ?, set_frame = ? WHERE digest = ?", [(state, set_frame, digest)]))

    def _write(self, *statements: Statement) -> None:
        write(self._database, statements, StoreFull("rounds.sqlite: no space left, free some"))


def _round(row: tuple[Any, ...]) -> StoredRound:
    return StoredRound(*row)._replace(is_part=bool(row[2]))

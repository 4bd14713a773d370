"""The devices a site knows and how far each has come, in SQLite; refuses to grow with what strangers send.

Rules:
1. A device is enrolled by its own signed announce only (ingest checks it), and at most MAX_DEVICES of them.
2. The truth about heartbeats is the evidence. Progress and counts are saved with the place in the evidence up to which
   they are counted, in one transaction; what lies behind that place is counted again from the evidence at start, once.
3. Late records and what devices say of their resets lie in the same database: late_store.py.
4. What is rejected leaves nothing but a count by reason. Reasons are ours, so their number is bounded.
One thread writes. Others may copy `devices`, `progress` and `rejected`: their values are replaced, never changed.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gateway.database import Statement, write
from gateway.intake.late_store import LateStore

MAX_DEVICES = 4096
_SCHEMA = """
CREATE TABLE IF NOT EXISTS device (id BLOB PRIMARY KEY, public_key BLOB NOT NULL, board TEXT NOT NULL,
    core TEXT NOT NULL, firmware TEXT NOT NULL, model BLOB NOT NULL, source TEXT NOT NULL,
    boot INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS progress (id BLOB PRIMARY KEY, boot INTEGER NOT NULL, sequence INTEGER NOT NULL,
    heartbeats INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, frame BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS rejected (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS counted (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL,
    offset INTEGER NOT NULL) STRICT;
"""


class RegistryFull(Exception):
    """There is no space on the disk; nothing was saved."""


def _full() -> RegistryFull:
    return RegistryFull("state.sqlite: no space left, free some")


@dataclass(frozen=True)
class Device:
    """What a device announced: id 20 bytes, public key 33, model (binary CID) 36; `boot` is the last announce's."""

    id: bytes
    public_key: bytes
    board: str
    core: str
    firmware: str
    model: bytes
    source: str
    boot: int


class Progress(NamedTuple):
    """A device's last accepted heartbeat (`frame`, its COSE_Sign1 bytes) and its count of them since ever."""

    boot: int
    sequence: int
    heartbeats: int
    first_ms: int
    last_ms: int
    frame: bytes


class Registry:
    """The tables, and their content in memory.

    Attributes:
        devices: by id. progress: by id. rejected: count by reason.
        counted: (epoch, offset in its heartbeats file) up to which progress is saved.
        late: late records, what arrived and what is missing of each device, and its journals.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)
        self.devices = {row[0]: Device(*row) for row in self._database.execute("SELECT * FROM device")}
        self.progress = {row[0]: Progress(*row[1:]) for row in self._database.execute("SELECT * FROM progress")}
        self.rejected: Counter[str] = Counter(dict(self._database.execute("SELECT * FROM rejected")))
        row = self._database.execute("SELECT epoch, offset FROM counted").fetchone()
        self.counted: tuple[int, int] = row or (0, 0)
        self.late = LateStore(self._database, _full)
        self._unsaved: set[bytes] = set()

    def enroll(self, devices: Iterable[Device]) -> None:
        """Keep devices, new ones or ones whose announce changed, on the disk when this returns.

        Raises:
            RegistryFull: no space; none of them was kept.
        """
        rows = [tuple(vars(device).values()) for device in devices]
        if rows:
            self._write([("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)])
            self.devices.update({row[0]: Device(*row) for row in rows})

    def advance(self, progress: dict[bytes, Progress], heartbeats: Iterable[tuple[bytes, int, int]] = ()) -> None:
        """Take over progress whose heartbeats, (device, boot, sequence), are in the evidence; `save` keeps it."""
        self.progress.update(progress)
        self._unsaved.update(progress)
        self.late.count_live(heartbeats)

    def reject(self, reasons: Counter[str]) -> None:
        """Count what was rejected; `save` keeps it."""
        if reasons:
            self.rejected = self.rejected + reasons

    def save(self, epoch: int, offset: int) -> None:
        """Keep progress and counts, with the place in the evidence up to which they are counted.

        Raises:
            RegistryFull: no space; nothing was kept and the next call keeps it all.
        """
        moved = [(id, *self.progress[id]) for id in self._unsaved]
        self._write(
            [
                ("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?, ?)", moved),
                ("INSERT OR REPLACE INTO rejected VALUES (?, ?)", list(self.rejected.items())),
                ("INSERT OR REPLACE INTO counted VALUES (1, ?, ?)", [(epoch, offset)]),
                self.late.unsaved(),
            ]
        )
        self._unsaved.clear()
        self.late.saved()
        self.counted = epoch, offset

    def close(self) -> None:
        """Let go of the file; what was not saved is in the evidence."""
        self._database.close()

    def _write(self, statements: Sequence[Statement]) -> None:
        write(self._database, statements, _full())

"""Late records, accounts and journals of devices, in the registry's database; refuses to say it has what it has not.

Rules:
1. `keep` returns when what it took is on the disk; then it may be acknowledged. A batch of which nothing is new is not
   kept again.
2. What was live is saved with the registry's progress (`unsaved`). What a crash takes of it is counted again from the
   evidence, and counting twice changes nothing.
3. Batches are kept for 7 days, at most MAX_DEVICE_RECORDS of a device and MAX_RECORDS in all; older ones are forgotten
   and counted. Of journals a device's last 16 are kept.
One thread writes. Others may copy `accounts` and `journals`: their values are replaced, never changed.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from device.agent import cose, reports
from gateway.database import Statement, write
from gateway.intake.late import Account, LateBatch, Report

KEPT_MS = 7 * 24 * 3_600_000
MAX_DEVICE_RECORDS = 16_384
MAX_RECORDS = 1 << 20
JOURNALS = 16
_SCHEMA = """
CREATE TABLE IF NOT EXISTS late (number INTEGER PRIMARY KEY, id BLOB NOT NULL, boot INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, records INTEGER NOT NULL, receipt_ms INTEGER NOT NULL,
    frame BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS late_of ON late (id, number);
CREATE INDEX IF NOT EXISTS late_when ON late (receipt_ms);
CREATE TABLE IF NOT EXISTS account (id BLOB PRIMARY KEY, live INTEGER NOT NULL, late INTEGER NOT NULL,
    sequences INTEGER NOT NULL, dropped INTEGER NOT NULL, forgotten INTEGER NOT NULL, floor TEXT NOT NULL,
    spans TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS journal (number INTEGER PRIMARY KEY, id BLOB NOT NULL, receipt_ms INTEGER NOT NULL,
    frame BLOB NOT NULL, UNIQUE (id, frame)) STRICT;
"""
_SAVE = "INSERT OR REPLACE INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class LateStore:
    """The tables, and what is asked for often in memory.

    Attributes:
        accounts: by device. journals: by device, oldest first. kept: how many late records of each device are here.
    """

    def __init__(self, database: sqlite3.Connection, full: Callable[[], Exception]) -> None:
        """`full` makes what is raised when the disk is."""
        self._database, self._full = database, full
        database.executescript(_SCHEMA)
        self.accounts = {row[0]: _account(row[1:]) for row in database.execute("SELECT * FROM account")}
        self.kept: Counter[bytes] = Counter(dict(database.execute("SELECT id, SUM(records) FROM late GROUP BY id")))
        self.journals: dict[bytes, tuple[Report, ...]] = {}
        for device, receipt_ms, frame in database.execute("SELECT id, receipt_ms, frame FROM journal ORDER BY number"):
            self._remember(_report(device, receipt_ms, frame))
        self._unsaved: set[bytes] = set()

    def count_live(self, heartbeats: Iterable[tuple[bytes, int, int]]) -> None:
        """Take (device, boot, sequence) of heartbeats that are in the evidence; saved with what `unsaved` gives."""
        for device, boot, sequence in heartbeats:
            self.accounts[device] = self.accounts.get(device, Account()).take_live(boot, sequence)
            self._unsaved.add(device)

    def unsaved(self) -> Statement:
        """What saves the accounts that changed; tell with `saved` that it was done."""
        return _SAVE, [_row(device, self.accounts[device]) for device in self._unsaved]

    def saved(self) -> None:
        self._unsaved.clear()

    def keep(self, batches: Sequence[LateBatch], now_ms: int) -> int:
        """Keep what is new of batches, on the disk when this returns -> how many of them held nothing new.

        Raises:
            the error for a full disk: nothing of them was kept.
        """
        changed: dict[bytes, Account] = {}
        rows, kept = [], Counter(self.kept)
        for batch in batches:
            before = changed.get(batch.device) or self.accounts.get(batch.device, Account())
            after = before.take_late(batch.boot, batch.sequences, batch.dropped)
            if after.late > before.late:
                changed[batch.device] = after
                kept[batch.device] += len(batch.sequences)
                rows.append((batch.device, batch.boot, batch.sequences[0], batch.sequences[-1],
                             len(batch.sequences), batch.receipt_ms, batch.frame))  # fmt: skip
        if rows:
            old = list(self._old(kept, now_ms))
            for _, device, records in old:
                account = changed.get(device) or self.accounts[device]
                changed[device] = replace(account, forgotten=account.forgotten + records)
                kept[device] -= records
            insert = "INSERT INTO late (id, boot, first, last, records, receipt_ms, frame) VALUES (?, ?, ?, ?, ?, ?, ?)"
            self._write(
                [
                    ("DELETE FROM late WHERE number = ?", [(number,) for number, _, _ in old]),
                    (insert, rows),
                    (_SAVE, [_row(device, account) for device, account in changed.items()]),
                ]
            )
            self.accounts.update(changed)
            self.kept = kept
        return len(batches) - len(rows)

    def keep_journals(self, reports_: Sequence[Report]) -> None:
        """Keep what devices said of themselves, each text once; raises as `keep` does."""
        rows = [(report.device, report.receipt_ms, report.frame) for report in reports_]
        old = "DELETE FROM journal WHERE id = ?1 AND number NOT IN (SELECT number FROM journal WHERE id = ?1 "
        if rows:
            self._write(
                [
                    ("INSERT OR IGNORE INTO journal (id, receipt_ms, frame) VALUES (?, ?, ?)", rows),
                    (f"{old} ORDER BY number DESC LIMIT {JOURNALS})", [(row[0],) for row in rows]),
                ]
            )
        for report in reports_:
            self._remember(report)

    def batches(self, device: bytes) -> Iterator[tuple[int, bytes]]:
        """(receipt time in ms, COSE_Sign1 bytes) of the late records of a device that are kept, oldest first."""
        yield from self._database.execute("SELECT receipt_ms, frame FROM late WHERE id = ? ORDER BY number", (device,))

    def _old(self, kept: Counter[bytes], now_ms: int) -> Iterator[tuple[int, bytes, int]]:
        """(number, device, records) of each batch that has to go when `kept` are to be kept."""
        over: list[tuple[str, Any, int]] = [("receipt_ms < ?", now_ms - KEPT_MS, MAX_RECORDS)]
        over += [("id = ?", device, count - MAX_DEVICE_RECORDS) for device, count in kept.items()]
        over += [("?", 1, kept.total() - MAX_RECORDS)]
        gone = set()
        for which, value, surplus in over:
            if surplus <= 0:
                continue
            query = f"SELECT number, id, records FROM late WHERE {which} ORDER BY number"
            for number, device, records in self._database.execute(query, (value,)):
                if number not in gone:
                    gone.add(number)
                    yield number, device, records
                surplus -= records
                if surplus <= 0:
                    break

    def _remember(self, report: Report) -> None:
        known = self.journals.get(report.device, ())
        if all(report.frame != other.frame for other in known):
            self.journals[report.device] = (*known, report)[-JOURNALS:]

    def _write(self, statements: Sequence[Statement]) -> None:
        write(self._database, statements, self._full())


def _row(device: bytes, account: Account) -> tuple[Any, ...]:
    *counts, floor, spans = vars(account).values()
    return device, *counts, json.dumps(floor), json.dumps(spans)


def _account(row: tuple[Any, ...]) -> Account:
    live, late, sequences, dropped, forgotten, floor, spans = row
    kept = tuple((boot, first, last) for boot, first, last in json.loads(spans))
    return Account(live, late, sequences, dropped, forgotten, tuple(json.loads(floor)), kept)


def _report(device: bytes, receipt_ms: int, frame: bytes) -> Report:
    """Of a frame that was checked when it came."""
    boot, reason, lines = reports.decode_journal(cose.open_sign1(frame, reports.JOURNAL_MAX_BYTES)[1])
    return Report(device, boot, reason, tuple(lines), receipt_ms, frame)

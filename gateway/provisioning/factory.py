"""A batch through the factory, some boards at once: each tested, labelled and kept before the next step counts.

    list ─▶ plan ─▶ station ─▶ label's code (site) ─▶ journal ─▶ manifest, boards.csv, labels.pdf

What a killed batch finished stands in its journal, so the same command goes on with the rest. A board between its code
and its journal line gets another code then: nobody has seen the first.
"""

import csv
import io
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from gateway import curve
from gateway.labels import payload
from gateway.labels.codes import Codes, new_code
from gateway.labels.payload import Label
from gateway.progress import Progress
from gateway.provisioning import manifest
from gateway.provisioning.batch import OK, Refused, Row
from gateway.provisioning.journal import Journal, Record
from gateway.provisioning.shown import Dead
from gateway.provisioning.station import Station, Tested

MAX_REASON_BYTES = 240
MANIFEST, LIST, LABELS = "manifest.cose", "boards.csv", "labels.pdf"
LIST_COLUMNS = ("row", "serial", "board", "port", "name", "device", "result", "label", "code")


@dataclass
class Outcome:
    """What a batch came to: rows by what became of them, each as a dict of LIST_COLUMNS."""

    done: list[dict[str, Any]] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)


class Factory:
    """One batch.

    Args:
        codes: of the site that is to know the labels. key: the factory's.
    """

    def __init__(self, journal: Journal, station: Station, codes: Codes, key: PrivateKey, progress: Progress) -> None:
        self._journal, self._station, self._codes = journal, station, codes
        self._key, self._progress = key, progress
        self._lock = threading.Lock()
        self._count, self._of = 0, 0

    def run(self, rows: Sequence[Row], before: Sequence[Row], refused: Sequence[Refused], jobs: int) -> Outcome:
        """Provision `rows`, at most `jobs` at once. OSError, CodesFull: the disk is full; what is done is kept."""
        self._of = len(rows)
        for one in refused:
            self._progress.say(f"row {one.row.number} is refused: {one.reason}")
        pool = ThreadPoolExecutor(max_workers=jobs)
        try:
            records = list(pool.map(self._take, rows))
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C, or a full disk: what has begun ends, nothing else begins
        outcome = Outcome(refused=[_refused(one) for one in refused])
        outcome.before = [_line(self._journal.last[row.serial]) for row in before]
        for record in records:
            (outcome.done if record.result == OK else outcome.failed).append(_line(record))
        return outcome

    def _take(self, row: Row) -> Record:
        started_s = time.monotonic()
        try:
            tested = self._station.take(row)
            with self._lock:
                record = self._label(row, tested)
                self._journal.add(record)
        except Dead as error:
            reason = str(error).encode()[:MAX_REASON_BYTES].decode(errors="ignore")
            record = Record(row, reason or "dead", int(time.time()))
            with self._lock:
                self._journal.add(record)
        self._tell(record, started_s)
        return record

    def _label(self, row: Row, tested: Tested) -> Record:
        """The record of a board that passed, its label's code kept; raises Dead: it is another row's."""
        serial = self._journal.serial_of(tested.device.hex())
        if serial not in (None, row.serial):
            raise Dead(f"this device left as serial {serial} before: one board is in the list twice")
        label = Label(tested.device, payload.board_digest(row.board), new_code())
        self._codes.keep(tested.device, row.board, label.code)
        kept = self._codes.find(tested.device)
        assert kept and kept.hash
        return Record(
            row,
            OK,
            int(time.time()),
            device=tested.device.hex(),
            firmware=tested.firmware.hex(),
            version=tested.version,
            salt=kept.salt.hex(),
            hash=kept.hash.hex(),
            label=payload.encode(label),
            code=payload.manual_code(label),
        )

    def _tell(self, record: Record, started_s: float) -> None:
        with self._lock:
            self._count += 1
            took = f"({time.monotonic() - started_s:.1f} s, {self._count} of {self._of})"
        what = f"0x{record.device[:8]}…" if record.result == OK else f"failed: {record.result}"
        self._progress.say(f"{record.row.serial}: {what} {took}")

    def records(self) -> list[Record]:
        """All that the journal holds, by serial number."""
        return sorted(self._journal.last.values(), key=lambda record: record.row.serial)

    def write(self, folder: Path, page: str = "") -> None:
        """The manifest of all that the journal holds, the list, and the labels where their package is installed.

        Args:
            page: that the labels open (payload.check_page), "" for none.
        """
        records = self.records()
        address = curve.address_of(self._key.secret)
        entries = [record.entry() for record in records]
        signed = manifest.sign(entries, address, lambda digest: self._key.sign_recoverable(digest, hasher=None))
        _replace(folder / MANIFEST, signed)
        text = io.StringIO()
        writer = csv.DictWriter(text, LIST_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_line(record) for record in records)
        _replace(folder / LIST, text.getvalue().encode())
        self._draw(folder, [record for record in records if record.result == OK], page)

    def _draw(self, folder: Path, records: Sequence[Record], page: str) -> None:
        try:
            from gateway.labels import printing
            from gateway.labels.layout import lay_out
        except ImportError:
            self._progress.say("no labels are drawn: pip install 'tinyren[labels]', then the same command again")
            return
        layouts = [lay_out(payload.decode(record.label), record.row.board, page) for record in records]
        if layouts:
            _replace(folder / LABELS, printing.pdf(layouts, on_sheets=True))


def _line(record: Record) -> dict[str, Any]:
    row = record.row
    device = f"0x{record.device}" if record.device else ""
    cells = (row.number, row.serial, row.board, row.port, row.name, device, record.result, record.label, record.code)
    return dict(zip(LIST_COLUMNS, cells, strict=True))


def _refused(one: Refused) -> dict[str, Any]:
    row = one.row
    cells = (row.number, row.serial, row.board, row.port, row.name, "", one.reason, "", "")
    return dict(zip(LIST_COLUMNS, cells, strict=True))


def _replace(path: Path, content: bytes) -> None:
    """Replace a file in one step, readable by its user alone."""
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)

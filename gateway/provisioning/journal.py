"""What a batch has come to, one line a board in a file that only grows; each line is on the disk before it counts.

It holds the labels' set-up codes, so that a batch that was killed can still print them: its user alone may read it, and
it is to be kept as a key is. A line that a power cut tore is cut off when the file is opened. One process at a time.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.errors import CommandError, Exit
from gateway.provisioning.batch import OK, Row
from gateway.provisioning.manifest import Entry

NAME = "journal.jsonl"


@dataclass(frozen=True)
class Record:
    """One board's outcome. Of the label, `label` is the QR code's text and `code` the manual code; bytes are hex."""

    row: Row
    result: str
    when_s: int
    device: str = ""
    firmware: str = ""
    version: str = ""
    salt: str = ""
    hash: str = ""
    label: str = ""
    code: str = ""

    def __repr__(self) -> str:
        return f"Record({self.row.serial}, {self.device}, {self.result})"

    def entry(self) -> Entry:
        """The board's line of the manifest, which holds no code."""
        device, firmware, salt, hash_ = map(bytes.fromhex, (self.device, self.firmware, self.salt, self.hash))
        return Entry(
            self.row.serial, device, self.row.board, firmware, self.version, salt, hash_, self.when_s, self.result
        )


class Journal:
    """The file in a folder, which is made.

    Attributes:
        last: the newest record of each serial number.
    """

    def __init__(self, folder: Path) -> None:
        """Raises CommandError: another process has it, or a line of it is none."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / NAME
        self._file = open(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise CommandError(
                f"{folder}: another `tinyren provision` writes here; wait for it", Exit.REFUSED
            ) from None
        self.last: dict[str, Record] = {}
        self._read()

    def close(self) -> None:
        self._file.close()

    def add(self, record: Record) -> None:
        """Keep a record; it is on the disk when this returns. OSError: it is not, and the file is as it was."""
        line = json.dumps(asdict(record)).encode() + b"\n"
        size = os.fstat(self._file.fileno()).st_size
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), size)
            raise
        self.last[record.row.serial] = record

    def done(self) -> dict[str, Row]:
        """Rows that are finished, by serial number: a board that failed is none."""
        return {serial: record.row for serial, record in self.last.items() if record.result == OK}

    def serial_of(self, device: str) -> str | None:
        """The serial number under which a device (hex) left; None if it did not."""
        found = (serial for serial, record in self.last.items() if record.device == device and record.result == OK)
        return next(found, None)

    def _read(self) -> None:
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.ftruncate(self._file.fileno(), len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                fields = json.loads(line)
                record = Record(**fields | {"row": Row(**fields["row"])})
                record.entry()
            except (ValueError, TypeError, KeyError) as error:
                what = "mend it by hand, or name another --out"
                raise CommandError(f"{self._path}: line {number} is none ({error}); {what}", Exit.TRUST) from error
            self.last[record.row.serial] = record

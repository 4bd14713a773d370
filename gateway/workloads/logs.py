"""What a run said, in files that never take more than they were given; what went over is dropped and that is said.

A log is `log` and `log.1`, each up to half of the limit. Lines of a container are those of conmon's k8s-file: time,
stream, F or P (a part of a long line), text. conmon begins its own file anew when it is full.
"""

import os
import shutil
from pathlib import Path

LONGEST_TAIL_BYTES = 1 << 20
GAP = b"[more was said here than the log may hold]\n"


class Rotated:
    """One run's log within a folder; one writer."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._path, self._half = folder / "log", limit_bytes // 2
        folder.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Add bytes; of more than fits at once only the end stays. OSError: no space, and nothing else happened."""
        if len(data) > self._half:
            data = data[len(data) - self._half :]
        if self._file.tell() + len(data) > self._half:
            self._file.close()
            os.replace(self._path, self._path.with_suffix(".1"))
            self._file = self._path.open("ab", buffering=0)
        self._file.write(data)

    def close(self) -> None:
        self._file.close()


def files(folder: Path) -> list[Path]:
    """The files of a log, oldest first."""
    return [path for name in ("log.1", "log") if (path := folder / name).exists()]


class Followed:
    """Copies a container's log, which its monitor writes and begins anew, into a rotated one, a piece at each look."""

    def __init__(self, source: Path, folder: Path, limit_bytes: int) -> None:
        self._source, self._place = source, folder / "copied"
        self._log = Rotated(folder, limit_bytes)
        self._inode, self._at = self._read_place()

    def look(self) -> bool:
        """Copy what is new, up to a piece; whether there may be more. OSError: no space; the next look tries again."""
        try:
            file = self._source.open("rb")
        except FileNotFoundError:
            return False
        with file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode or status.st_size < self._at:
                if self._inode:
                    self._log.write(GAP)
                self._inode, self._at = status.st_ino, 0
            file.seek(self._at)
            new = file.read(LONGEST_TAIL_BYTES)
            if new:
                self._log.write(new)
                self._at += len(new)
                self._place.write_text(f"{self._inode} {self._at}")
            return len(new) == LONGEST_TAIL_BYTES

    def close(self) -> None:
        self._log.close()

    def _read_place(self) -> tuple[int, int]:
        try:
            inode, at = self._place.read_text().split()
            return int(inode), int(at)
        except (FileNotFoundError, ValueError):
            return 0, 0


def tail(paths: list[Path], lines: int) -> list[str]:
    """The last lines of files, oldest first; what is no UTF-8 or steers a terminal is shown as what it is."""
    data = b""
    for path in paths:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LONGEST_TAIL_BYTES))
            data = (data + file.read(LONGEST_TAIL_BYTES))[-LONGEST_TAIL_BYTES:]
    texts = data.decode("utf-8", "backslashreplace").split("\n")
    rows = texts[:-1] if texts[-1] == "" else texts
    return ["".join(map(_shown, row)) for row in rows[-lines:]] if lines > 0 else []


def _shown(letter: str) -> str:
    return letter if letter.isprintable() or letter == "\t" else repr(letter)[1:-1]


def remove(folder: Path) -> None:
    """Remove a run's folder with what it said."""
    shutil.rmtree(folder, ignore_errors=True)

"""The evidence of a site: append-only files of what devices signed and when; refuses to judge, change or forget.

An epoch has two files, both CBOR sequences (RFC 8742), readable with any CBOR library:
    epoch-N.cborseq          [receipt time in ms, COSE_Sign1 bytes], in the order in which they were accepted
    epoch-N.windows.cborseq  {"epoch", "windows", "window_ms", "opened_ms"}, then for each opened window
                             [window, opened_ms, block number, block hash, beacon], closed by {"closed_ms", "block"}

Rules:
1. `append` returns after fdatasync, so what is acknowledged afterwards survives a power cut. One sync a batch.
2. A batch is stored whole or not at all: a write or sync that fails is rolled back and raises `EvidenceFull`.
3. After a crash, `resume` cuts what is no whole item from the end. At most one batch can be torn, so more damage than
   that is not a crash, and it raises instead of cutting.
4. The windows file appears by a rename, its header in it: an epoch exists with its header or not at all.
"""

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from gateway.intake import evidence_file
from gateway.intake.evidence_file import EpochWindows, EvidenceDamaged, encode_item, read, read_windows
from gateway.oracle.availability import Window

__all__ = ["EpochWindows", "Evidence", "EvidenceDamaged", "EvidenceFull", "Window", "digest", "read", "read_windows"]

MAX_BATCH_BYTES = 4 << 20
MAX_WINDOW_ITEM_BYTES = 256
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NAME = re.compile(r"epoch-([1-9][0-9]{0,9})\.windows\.cborseq")


class EvidenceFull(Exception):
    """There is no space for a batch; nothing of it was stored, and the same batch can be tried again."""


def heartbeats_path(folder: Path, epoch: int) -> Path:
    """Where the signed heartbeats of an epoch lie."""
    return folder / f"epoch-{epoch}.cborseq"


def windows_path(folder: Path, epoch: int) -> Path:
    """Where the windows of an epoch lie."""
    return folder / f"epoch-{epoch}.windows.cborseq"


def digest(folder: Path, epoch: int) -> bytes:
    """SHA-256 of the two files' SHA-256, 32 bytes: what the root of the epoch commits to. Reads both as streams."""
    both = b""
    for path in (heartbeats_path(folder, epoch), windows_path(folder, epoch)):
        with path.open("rb") as file:
            both += hashlib.file_digest(file, "sha256").digest()
    return hashlib.sha256(both).digest()


def digests_at(folder: Path, epoch: int, lengths: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """{(bytes of the heartbeats, bytes of the windows): `digest` of so much of the two files}; each is read once.

    Lengths beyond a file's end are left out.
    """
    wanted = set(lengths)
    heartbeats = _hashes_at(heartbeats_path(folder, epoch), {first for first, _ in wanted})
    windows = _hashes_at(windows_path(folder, epoch), {second for _, second in wanted})
    return {
        (first, second): hashlib.sha256(heartbeats[first] + windows[second]).digest()
        for first, second in wanted
        if first in heartbeats and second in windows
    }


def _hashes_at(path: Path, lengths: set[int]) -> dict[int, bytes]:
    found, sofar, at = {}, hashlib.sha256(), 0
    with path.open("rb") as file:
        for length in sorted(lengths):
            while at < length and (part := file.read(min(length - at, 1 << 20))):
                sofar.update(part)
                at += len(part)
            if at == length:
                found[length] = sofar.digest()
    return found


def last_epoch(folder: Path) -> int:
    """Number of the newest epoch in the folder, 0 where there is none."""
    found = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return max((int(match[1]) for match in found if match), default=0)


def last_closed(folder: Path) -> int:
    """Number of the newest epoch in the folder that is closed; 0 where there is none. One whose end is torn is open."""
    newest = last_epoch(folder) if folder.is_dir() else 0
    try:
        return newest if not newest or read_windows(windows_path(folder, newest)).is_closed else newest - 1
    except EvidenceDamaged:
        return newest - 1


class Evidence:
    """The open epoch's files, written by one thread.

    Attributes:
        epoch: number of the open epoch, or None.
        length_bytes: size of its heartbeats file.
        cut_bytes: what `resume` cut from torn ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.epoch: int | None = None
        self.cut_bytes = 0
        self._heartbeats: _AppendOnly | None = None
        self._windows: _AppendOnly | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def length_bytes(self) -> int:
        return self._heartbeats.length if self._heartbeats else 0

    def resume(self) -> EpochWindows | None:
        """Open the newest epoch again if it is not closed: cut torn ends, return its windows. None: no epoch is open.

        Raises:
            EvidenceDamaged: more is unreadable than a crash can tear.
        """
        epoch = last_epoch(self.folder)
        if epoch == 0:
            return None
        path = windows_path(self.folder, epoch)
        whole = evidence_file.whole_bytes(evidence_file.walk_objects(path))
        self._cut(path, whole, MAX_WINDOW_ITEM_BYTES)
        windows = read_windows(path)
        if windows.epoch != epoch:
            raise EvidenceDamaged(path, 0, f"header of epoch {windows.epoch}")
        if windows.is_closed:
            return None
        heartbeats = heartbeats_path(self.folder, epoch)
        self._cut(heartbeats, evidence_file.whole_bytes(evidence_file.walk(heartbeats)), MAX_BATCH_BYTES)
        self._use(epoch)
        return windows

    def open_epoch(self, epoch: int, count: int, window_ms: int, opened_ms: int) -> None:
        """Make the files of a new epoch of `count` windows.

        Raises:
            ValueError: an epoch is open, or `epoch` is not behind the last. A further gateway that was away passes
                over those that it did not hear.
            EvidenceFull: no space.
        """
        least = last_epoch(self.folder) + 1
        if self.epoch is not None or epoch < least:
            raise ValueError(f"epoch {epoch}: epoch {self.epoch} is open, wanted {least} or later")
        header = {"epoch": epoch, "windows": count, "window_ms": window_ms, "opened_ms": opened_ms}
        part = self.folder / "epoch.part"
        try:
            for path, content in ((heartbeats_path(self.folder, epoch), b""), (part, encode_item(header))):
                path.write_bytes(content)
                _sync(path)
        except OSError as error:
            if error.errno in _FULL:
                raise EvidenceFull(f"{part}: no space left, free some") from error
            raise
        os.replace(part, windows_path(self.folder, epoch))
        _sync(self.folder)
        self._use(epoch)

    def open_window(self, window: Window) -> None:
        """Record that a window was opened, before its beacon is told to anyone.

        Raises:
            EvidenceFull: no space; the window is not open.
        """
        item = [window.window, window.opened_ms, window.block, window.block_hash, window.beacon]
        _opened(self._windows).append(encode_item(item))

    def append(self, items: Sequence[tuple[int, bytes]]) -> None:
        """Store a batch of (receipt time in ms, COSE_Sign1 bytes), whole, on the disk when this returns.

        Raises:
            EvidenceFull: no space; nothing was stored.
            ValueError: no epoch is open, the batch is over MAX_BATCH_BYTES, or an item is over MAX_COSE_BYTES.
        """
        batch = b"".join([evidence_file.encode_heartbeat(receipt_ms, cose) for receipt_ms, cose in items])
        if len(batch) > MAX_BATCH_BYTES:
            raise ValueError(f"batch: {len(batch)} bytes, at most {MAX_BATCH_BYTES}")
        _opened(self._heartbeats).append(batch)

    def commitment(self) -> tuple[int, int, bytes]:
        """Bytes of the heartbeats and of the windows of the open epoch, and their `digest`, as they are on the disk."""
        heartbeats, windows = _opened(self._heartbeats), _opened(self._windows)
        both = heartbeats.sha256.digest() + windows.sha256.digest()
        return heartbeats.length, windows.length, hashlib.sha256(both).digest()

    def close_epoch(self, closed_ms: int, block: int) -> None:
        """End the open epoch; its bindings are read at `block`.

        Raises:
            EvidenceFull: no space; the epoch is still open.
        """
        _opened(self._windows).append(encode_item({"closed_ms": closed_ms, "block": block}))
        self.release()

    def release(self) -> None:
        """Let go of the files, the epoch left as it is; nothing is lost by not calling it."""
        for file in (self._heartbeats, self._windows):
            if file is not None:
                file.close()
        self._heartbeats = self._windows = self.epoch = None

    def _use(self, epoch: int) -> None:
        self._heartbeats = _AppendOnly(heartbeats_path(self.folder, epoch))
        self._windows = _AppendOnly(windows_path(self.folder, epoch))
        self.epoch = epoch

    def _cut(self, path: Path, whole_bytes: int, at_most: int) -> None:
        torn = path.stat().st_size - whole_bytes
        if torn > at_most:
            raise EvidenceDamaged(path, whole_bytes, f"{torn} unreadable bytes, a crash tears at most {at_most}")
        if torn:
            os.truncate(path, whole_bytes)
            _sync(path)
            self.cut_bytes += torn


class _AppendOnly:
    """A file that grows by whole, synced batches; `length` and `sha256` are of what is known to be on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self.length = os.fstat(self._file).st_size
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256")

    def append(self, batch: bytes) -> None:
        written = 0
        try:
            while written < len(batch):
                written += os.pwrite(self._file, batch[written:], self.length + written)
            os.fdatasync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self.length)
            if error.errno in _FULL:
                raise EvidenceFull(f"{self._path}: no space left, free some") from error
            raise
        self.length += len(batch)
        self.sha256.update(batch)

    def close(self) -> None:
        os.close(self._file)


def _opened(file: _AppendOnly | None) -> _AppendOnly:
    if file is None:
        raise ValueError("no epoch is open")
    return file


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

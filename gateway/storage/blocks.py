"""Blocks by their SHA-256 on a disk; refuses bytes that are not what their name says, coming in and going out.

Rules:
1. Blocks lie in packs, a CAR v1 file of up to PACK_BYTES each, so that one sync serves many and any IPFS tool can read
   them. A pack is written beside, synced, renamed, its folder synced; then the index learns of its blocks. What is torn
   by a crash is a `.part`, or a pack that the index does not know; both go with the next collection.
2. `put` returns before that. What `flush` has returned for is on the disk.
3. Each block is hashed when it comes in and again when it is read. Damaged ones are written anew when put again.
4. Writers share the store's lock, a collection has it alone, between processes too: it cannot take what a writer has
   found here and not pinned yet.
While one pack is being written the next is being filled, so a writer holds two packs of memory, no more.
Packs go around the page cache where the file system allows it (O_DIRECT): copying into it costs what hashing costs.
"""

import errno
import fcntl
import hashlib
import mmap
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.storage.cid import MAX_BLOCK_BYTES, RAW, cid_from, digest_of, encode_text
from gateway.storage.errors import Damaged, Missing, Refused, StoreError
from gateway.storage.index import Index, Row
from gateway.storage.varint import encode_varint

PACK_BYTES = 16 << 20
_PAGE_BYTES = 4096
PACK_HEADER = bytes.fromhex("11a265726f6f7473806776657273696f6e01")  # CAR v1: {"roots": [], "version": 1}


class Blocks:
    """The blocks of one folder. Any number of threads and processes may use it."""

    def __init__(self, folder: Path) -> None:
        """Open a folder, made if there is none; StoreError if it cannot be had."""
        self._packs, self._lock = folder / "packs", folder / "lock"
        try:
            self._packs.mkdir(parents=True, exist_ok=True)
            self._lock.touch()
        except OSError as error:
            raise StoreError(f"{folder}: {error.strerror}") from error
        self.index = Index(folder / "index.sqlite")
        sync_folder(folder)

    def close(self) -> None:
        self.index.close()

    def has(self, cid: bytes) -> bool:
        """Whether a block was put here; it is not read."""
        return self.size(cid) is not None

    def size(self, cid: bytes) -> int | None:
        """Bytes of a block as it was put here, or None."""
        row = self.index.find(digest_of(cid))
        return row.size if row else None

    def get(self, cid: bytes) -> bytes:
        """A block's bytes.

        Raises:
            Missing, Damaged.
        """
        data = self._read(digest_of(cid)) or self._read(digest_of(cid))  # a collection may just have moved it
        if data is None:
            raise Missing(f"block {encode_text(cid)} is not here")
        if hashlib.sha256(data).digest() != digest_of(cid):
            raise Damaged(f"block {encode_text(cid)} is damaged")
        return data

    def is_good(self, digest: bytes) -> bool:
        """Whether a block is here and what its name says."""
        data = self._read(digest)
        return data is not None and hashlib.sha256(data).digest() == digest

    @contextmanager
    def writing(self) -> Iterator["Writing"]:
        """A writer. Leaving it without an exception flushes; with one, what is not flushed is dropped."""
        with self._locked(fcntl.LOCK_SH), self._writer() as writer:
            yield writer

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes meanwhile; waits for those who do."""
        with self._locked(fcntl.LOCK_EX):
            yield

    def sweep(self, live: set[bytes]) -> tuple[list[bytes], int]:
        """Forget all blocks whose digest is not in `live`; to be called within `alone`.

        A pack goes when nothing in it lives. One more than half dead is then written anew, if the disk has room.
        Returns:
            (CIDs of the blocks forgotten, bytes the packs are smaller by).
        """
        before, forgotten = self._disk_bytes(), []
        self._drop_unknown()
        for _, rows in self.index.packs():
            dead = [row for row in rows if row.digest not in live]
            self.index.forget(dead)
            forgotten += [cid_from(row.digest, row.codec) for row in dead]
        self._drop_unknown()
        for pack, rows in self.index.packs():
            path = self._path(pack)
            if path.exists() and sum(row.size for row in rows) * 2 < path.stat().st_size:
                with suppress(StoreError):
                    self._copy(rows)
        self._drop_unknown()
        return forgotten, before - self._disk_bytes()

    def check(self) -> Iterator[tuple[bytes, int, bool]]:
        """Read every block: (its CID, its bytes, whether they are right)."""
        for _, rows in self.index.packs():
            for row in rows:
                yield cid_from(row.digest, row.codec), row.size, self.is_good(row.digest)

    def write_pack(self, pack: "Pack") -> None:
        """Put a pack on the disk, durably; StoreError if it cannot be done, and nothing changed."""
        number = secrets.randbits(62)
        part = self._path(number).with_suffix(".part")
        try:
            _write_synced(part, pack.buffer, pack.buffer.tell())
            os.rename(part, self._path(number))
            sync_folder(self._packs)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise StoreError(f"{part.parent}: {error.strerror}") from error
        self.index.put(Row(digest, codec, number, *place) for digest, (codec, *place) in pack.blocks.items())

    def _copy(self, rows: list[Row]) -> None:
        """Write blocks into new packs; a damaged one stays where it is, and so does its pack."""
        with self._writer() as writer:
            for row in rows:
                try:
                    writer.append(row.digest, row.codec, self.get(cid_from(row.digest, row.codec)))
                except (Missing, Damaged):
                    continue

    def _drop_unknown(self) -> None:
        known = {self._path(pack) for pack in self.index.pack_numbers()}
        for path in self._packs.iterdir():
            if path not in known:
                path.unlink()

    @contextmanager
    def _writer(self) -> Iterator["Writing"]:
        with ThreadPoolExecutor(1) as pool:
            writer = Writing(self, pool)
            yield writer
            writer.flush()

    def _read(self, digest: bytes) -> bytes | None:
        row = self.index.find(digest)
        if row is None:
            return None
        try:
            with self._path(row.pack).open("rb", buffering=0) as file:
                return os.pread(file.fileno(), row.size, row.offset)
        except FileNotFoundError:
            return None
        except OSError:  # the disk cannot read it: what is here is not the block
            return b""

    def _path(self, pack: int) -> Path:
        return self._packs / f"{pack:016x}.car"

    def _disk_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._packs.iterdir())

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        with self._lock.open("rb") as file:
            fcntl.flock(file, how)
            yield


class Pack:
    """A pack in memory: its bytes up to the buffer's place, and {digest: (codec, offset, bytes)}."""

    def __init__(self) -> None:
        self.buffer = mmap.mmap(-1, PACK_BYTES + MAX_BLOCK_BYTES + _PAGE_BYTES)
        self.blocks: dict[bytes, tuple[int, int, int]] = {}
        self.clear()

    def clear(self) -> None:
        self.blocks.clear()
        self.buffer.seek(0)
        self.buffer.write(PACK_HEADER)

    def append(self, digest: bytes, codec: int, data: bytes) -> bool:
        """Whether the pack is full now."""
        cid = cid_from(digest, codec)
        self.buffer.write(encode_varint(len(cid) + len(data)) + cid)
        self.blocks[digest] = codec, self.buffer.tell(), len(data)
        self.buffer.write(data)
        return self.buffer.tell() >= PACK_BYTES


class Writing:
    """One writer, of one thread; `Blocks.writing` makes it."""

    def __init__(self, blocks: Blocks, pool: ThreadPoolExecutor) -> None:
        self._blocks, self._pool = blocks, pool
        self._filling, self._going = Pack(), Pack()
        self._gone: Future[None] | None = None

    def put(self, data: bytes, codec: int = RAW) -> bytes:
        """Write a block; its CID. Refused: it is too large. StoreError: it, or one before it, cannot be written."""
        digest = hashlib.sha256(data).digest()
        if len(data) > MAX_BLOCK_BYTES:
            raise Refused(f"block: got {len(data)} bytes, wanted at most {MAX_BLOCK_BYTES}")
        if not self._is_coming(digest) and not self._blocks.is_good(digest):
            self.append(digest, codec, data)
        return cid_from(digest, codec)

    def append(self, digest: bytes, codec: int, data: bytes) -> None:
        """Write a block without asking whether it is here."""
        if self._filling.append(digest, codec, data):
            self._go()

    def has(self, cid: bytes) -> bool:
        return self._is_coming(digest_of(cid)) or self._blocks.has(cid)

    def flush(self) -> None:
        """Wait until every block is on the disk; StoreError if one cannot be written."""
        if self._filling.blocks:
            self._go()
        self._wait()

    def _is_coming(self, digest: bytes) -> bool:
        return digest in self._filling.blocks or digest in self._going.blocks

    def _go(self) -> None:
        self._wait()
        self._filling, self._going = self._going, self._filling
        self._gone = self._pool.submit(self._blocks.write_pack, self._going)

    def _wait(self) -> None:
        gone, self._gone = self._gone, None
        try:
            if gone is not None:
                gone.result()
        finally:
            self._going.clear()


def _write_synced(path: Path, buffer: mmap.mmap, size: int) -> None:
    """A new file of the first `size` bytes of a buffer, on the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_DIRECT, 0o600)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        path.unlink(missing_ok=True)  # some file systems make the file before they refuse
        descriptor = os.open(path, flags, 0o600)
    try:
        at, end = 0, -(-size // _PAGE_BYTES) * _PAGE_BYTES
        with memoryview(buffer) as view:
            while at < end:
                at += os.write(descriptor, view[at:end])
        os.ftruncate(descriptor, size)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

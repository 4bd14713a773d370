"""One artifact's way into the idle bank: copied or fetched in chunks, then hashed; it decides nothing about it.

Rules (UPDATE.md, section 3):
  1. Chunks are taken in order. Four are asked for at once, and again 3 s after the last that helped.
  2. Where the fetch stands is the caller's to keep, each 4,096 bytes: `fetched` never passes what is in the memory.
  3. What is read back from the memory is hashed, in portions, so that neither sensors nor watchdog wait.
"""

import hashlib

from . import suit, ticks
from .cbor import const

ASK_MS = const(3000)
PORTION_BYTES = const(4096)  # that are copied or hashed in one turn

_BUFFER_BYTES = const(256)


class Fetch:
    """manifest (a Manifest), fetched (bytes that are in the bank), is_right (None until all of it was hashed, then
    whether its digest is the manifest's), is_fresh (whether all of it came by chunks in this boot).
    """

    def __init__(self, manifest, bank, fetched: int, source, now_ms: int):
        """
        Args:
            bank: banks.Bank that was begun with this manifest. fetched: bytes that it holds already.
            source: another Bank, which holds the same artifact, or None.
        """
        self.manifest = manifest
        self.fetched = fetched
        self.is_right = None
        self.is_fresh = not fetched and source is None
        self._bank = bank
        self._source = source
        self._asked = fetched
        self._helped_ms = ticks.add(now_ms, -ASK_MS)
        self._hash = hashlib.sha256()
        self._hashed = 0

    @property
    def is_fetching(self) -> bool:
        """Whether chunks are still to come."""
        return self._source is None and self.fetched < self.manifest.size

    def want(self, now_ms: int):
        """(offset, count) of chunks to ask for now, or None. Asked for, they are waited for."""
        is_late = ticks.diff(now_ms, self._helped_ms) >= ASK_MS
        if not self.is_fetching or (self._asked > self.fetched and not is_late):
            return None
        left = self.manifest.size - self.fetched
        count = min(suit.CHUNKS_MAX, (left + suit.CHUNK_BYTES - 1) // suit.CHUNK_BYTES)
        self._asked = self.fetched + count * suit.CHUNK_BYTES
        self._helped_ms = now_ms
        return self.fetched, count

    def ms_left(self, now_ms: int) -> int:
        """Milliseconds until something is to be done, while online."""
        if not self.is_fetching or self._asked <= self.fetched:
            return 0
        return max(0, ASK_MS - ticks.diff(now_ms, self._helped_ms))

    def take(self, start: bytes, offset: int, data, now_ms: int) -> bool:
        """Take a chunk -> whether it was the next one.

        Raises:
            OSError, ValueError: the memory's.
        """
        size = min(suit.CHUNK_BYTES, self.manifest.size - offset)
        if not self.is_fetching or start != self.manifest.digest[:8] or offset != self.fetched or len(data) != size:
            return False
        self._bank.write(offset, data)
        self.fetched += size
        self._helped_ms = now_ms
        return True

    def work(self):
        """Copy or hash one portion, once there are no chunks to come.

        Raises:
            OSError, ValueError: the memory's.
        """
        size = self.manifest.size
        if self.fetched < size:
            end = min(size, self.fetched + PORTION_BYTES)
            buffer = bytearray(_BUFFER_BYTES)
            for at in range(self.fetched, end, _BUFFER_BYTES):
                part = memoryview(buffer)[: min(_BUFFER_BYTES, end - at)]
                self._source.read(at, part)
                self._bank.write(at, part)
            self.fetched = end
            return
        end = min(size, self._hashed + PORTION_BYTES)
        for at in range(self._hashed, end, _BUFFER_BYTES):
            self._bank.hash_into(self._hash, at, min(end, at + _BUFFER_BYTES))
        self._hashed = end
        if end == size:
            self.is_right = not size or self._hash.digest() == self.manifest.digest

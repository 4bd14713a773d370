"""The banks of a device and the record that says what each holds (UPDATE.md, sections 6 and 7); it decides nothing.

Rules:
  1. Only the idle bank of a kind is ever written. Its header goes first and away first, so that a header stands for
     nothing but the content that follows it.
  2. A record is kept whole before anything rests on it. What cannot be kept is undone in RAM too.
  3. Trust and what was confirmed are kept in two records, so that no one damaged record brings back what was before.

This is the core's: agents of other versions use it, so it raises nothing of this package, but OSError and ValueError.
"""

import hashlib
import struct
from binascii import crc32

from .cbor import const
from .phases import AGENT, KINDS, MODEL, REASON_BYTES
from .records import Records

HEADER_BYTES = const(512)
_FRAME_MAX_BYTES = const(448)
RECORD_BYTES = const(281)
SLOT_BYTES = const(512)
_BUFFER_BYTES = const(256)

_HEAD = b"tu\x01\x00"
_BANK_HEAD = b"tb\x01\x00"
_STATE = ">20sIBBB64s"
_STATE_AT = const(8)
_UNIT = ">BBBBIIIIIB64s"
_UNIT_AT = const(99)
_UNIT_BYTES = const(89)


class Unit:
    """What is known of a kind: bank (0: the firmware's own, 1, 2) and sequence that are confirmed, highest (sequence
    ever confirmed), phase of what is in the idle bank, wanted (its sequence), fetched (bytes of it), tries (boots that
    began with it), failed (sequence that failed last), failures (how often it did), reason.
    """

    def __init__(self, values):
        self.bank, self.phase, self.tries, self.failures = values[:4]
        self.sequence, self.highest, self.wanted, self.fetched, self.failed = values[4:9]
        self.reason = _text(values[9], values[10])

    @property
    def idle(self) -> int:
        """Number of the bank that may be written, 1 or 2."""
        return 2 if self.bank == 1 else 1

    def values(self):
        reason = self.reason.encode()
        return (
            self.bank, self.phase, self.tries, self.failures, self.sequence, self.highest, self.wanted, self.fetched,
            self.failed, len(reason), reason,
        )  # fmt: skip


class Bank:
    """A place for one artifact: size (bytes that it takes at most), offset (of the artifact in memory), memory."""

    def __init__(self, memory):
        """memory: as Records takes; of NOR flash the first sector is the header's. ValueError: it is too small."""
        self.memory = memory
        self.offset = memory.erase_bytes or HEADER_BYTES
        self.size = memory.size - self.offset
        if self.offset < HEADER_BYTES or self.size <= 0:
            raise ValueError(f"bank: got {memory.size} bytes, sectors of {memory.erase_bytes}, wanted more")

    def frame(self):
        """The manifest's frame (bytes) of what is in the bank; None if nothing is."""
        header = bytearray(HEADER_BYTES)
        self.memory.read(0, header)
        end = 6 + (header[4] << 8 | header[5])
        if bytes(header[:4]) != _BANK_HEAD or end > 6 + _FRAME_MAX_BYTES:
            return None
        crc = crc32(memoryview(header)[:end]) & 0xFFFFFFFF
        return bytes(header[6:end]) if crc == int.from_bytes(bytes(header[end : end + 4]), "big") else None

    def begin(self, frame: bytes, keeps_content: bool):
        """Make the bank that of a manifest's frame; its content is then to be written, unless it is kept as it is.

        Raises:
            OSError: the memory's.
        """
        memory = self.memory
        if memory.erase_bytes:
            memory.erase(0)
            if not keeps_content:
                for at in range(self.offset, memory.size, memory.erase_bytes):
                    memory.erase(at)
        header = _BANK_HEAD + len(frame).to_bytes(2, "big") + frame
        memory.write(0, header + (crc32(header) & 0xFFFFFFFF).to_bytes(4, "big"))

    def read(self, offset: int, buffer):
        """Fill buffer with the artifact's bytes from offset on."""
        self.memory.read(self.offset + offset, buffer)

    def write(self, offset: int, data):
        """Write the artifact's bytes from offset on."""
        self.memory.write(self.offset + offset, data)

    def digest(self, size: int) -> bytes:
        """SHA-256 of the artifact's first size bytes."""
        digest = hashlib.sha256()
        for at in range(0, size, _BUFFER_BYTES):
            self.hash_into(digest, at, min(size, at + _BUFFER_BYTES))
        return digest.digest()

    def hash_into(self, digest, start: int, end: int):
        """Feed the artifact's bytes start..end, at most 256 of them, to a hash."""
        buffer = bytearray(end - start)
        self.read(start, buffer)
        digest.update(buffer)


class Banks:
    """key (update key's address, 20 bytes) and number of the trust, number 0 for none; is_open (a boot began and no
    heartbeat of it was accepted), bad (boots in a row that ended so), reason of the last of them; units: {kind: Unit}.
    """

    def __init__(self, area, models, agents):
        """Read what is kept.

        Args:
            area: memory of the record: 8 slots of 512 bytes at least, or two sectors of them.
            models, agents: two memories each, a bank a memory, or () on a device that takes no such update.
        Raises:
            ValueError: a memory is too small. OSError: the memory's.
        """
        self._records = Records(area, RECORD_BYTES, SLOT_BYTES, {_HEAD: RECORD_BYTES - 4})
        for memories in (models, agents):
            for memory in memories:
                Bank(memory)  # refuses one that is too small; the bank itself is made when it is asked for
        self._memories = {MODEL: models, AGENT: agents}
        self.load()

    @property
    def is_used(self) -> bool:
        """Whether anything was ever kept."""
        return self._records.slot >= 0

    def takes(self, kind: int) -> bool:
        """Whether this device has banks of a kind."""
        return bool(self._memories[kind])

    def bank(self, kind: int, number: int):
        """Bank 1 or 2 of a kind."""
        return Bank(self._memories[kind][number - 1])

    def idle(self, kind: int):
        """The bank of a kind that may be written."""
        return self.bank(kind, self.units[kind].idle)

    def load(self):
        """Read what is kept, and forget what is not. Where nothing ever was, a boot counts as open."""
        is_kept = self._records.find()
        record = self._records.record
        self.key, self.number, self.is_open, self.bad, size, reason = struct.unpack_from(_STATE, record, _STATE_AT)
        self.reason = _text(size, reason)
        self.units = {
            kind: Unit(struct.unpack_from(_UNIT, record, _UNIT_AT + _UNIT_BYTES * (kind - 1))) for kind in KINDS
        }
        if not is_kept:
            self.is_open = 1

    def keep(self, is_twice: bool = False):
        """Store all of it; when this returns, no power cut loses it.

        Raises:
            OSError: it could not be stored, and is again what it was.
        """
        reason = self.reason.encode()
        state = (self.key, self.number, self.is_open, self.bad, len(reason), reason)
        record = self._records.record
        record[:4] = _HEAD
        struct.pack_into(_STATE, record, _STATE_AT, *state)
        for kind in KINDS:
            struct.pack_into(_UNIT, record, _UNIT_AT + _UNIT_BYTES * (kind - 1), *self.units[kind].values())
        try:
            for _ in range(2 if is_twice else 1):
                self._records.append()
        except OSError:
            self.load()
            raise


def _text(size, data):
    try:
        return str(bytes(data[: min(size, REASON_BYTES)]), "utf-8")
    except UnicodeError:
        return ""

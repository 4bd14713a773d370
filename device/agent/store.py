"""The device's record of key, boot number and owner, safe from a power cut at any byte; refuses to lose a key silently.

Rules (WIRE.md, "Store"):
  1. A record is written where no valid newest record lies, and counts only when its CRC is right: a torn write leaves
     the state before it. After each write the record is read back.
  2. The valid record of the highest serial is the state. Only a store with no valid record at all gets a new key.
  3. No two boots have the same number. It is stored before it is used, and a slot with a damaged record, which may once
     have been the newest, moves it on by one more.

Memory is an object with size and erase_bytes (0: every byte can be written, as in EEPROM; else NOR flash, whose bits
only go from 1 to 0 until their sector is erased), read(addr, buf), write(addr, data), erase(addr).
"""

from binascii import crc32

from .cbor import const
from .errors import StoreError

SLOT_BYTES = const(128)
RECORD_BYTES = const(68)
RING_SLOTS = const(8)
SECTOR_SLOTS = const(16)

_BODY_BYTES = const(64)
_HEAD = b"tr\x01"
_SERIAL = const(4)
_BOOT = const(8)
_SECRET = const(12)
_OWNER = const(44)


class Store:
    """boot (u32), owner (20 bytes, or None) and damaged (slots that hold something else than a record), after open."""

    def __init__(self, memory):
        """Raises StoreError if the memory is too small for a ring of 8 slots, or for two sectors of whole slots."""
        sector = memory.erase_bytes
        self._sector_slots = min(sector // SLOT_BYTES, SECTOR_SLOTS)
        self._slots = self._sector_slots * 2 if sector else RING_SLOTS
        if not self._slots or sector % SLOT_BYTES or memory.size < (sector * 2 or RING_SLOTS * SLOT_BYTES):
            raise StoreError(f"memory: got {memory.size} bytes, sectors of {sector}, wanted 8 slots or 2 sectors")
        self._memory = memory
        self._slot = -1
        self._record = bytearray(RECORD_BYTES)
        self._check = bytearray(RECORD_BYTES)
        self.boot = 0
        self.owner = None
        self.damaged = 0

    def open(self, new_secret):
        """Find the state, count this boot in it and return the secret key (32 bytes).

        Args:
            new_secret: function -> 32 bytes, called only if no slot holds a valid record.
        Raises:
            StoreError: the boot could not be stored.
        """
        self._find()
        if self._slot < 0:
            self._record[:3] = _HEAD
            self._record[_SECRET:_OWNER] = new_secret()
        elif self._record[3]:
            self.owner = bytes(self._record[_OWNER:_BODY_BYTES])
        boot = self._number(_BOOT) + 1 + self.damaged
        self._put_number(_BOOT, boot)
        self._append()
        self.boot = boot
        return bytes(self._record[_SECRET:_OWNER])

    def bind(self, owner):
        """Store the owner (20 bytes); when this returns, no power cut loses it.

        Raises:
            StoreError: it could not be stored; the owner is what it was.
        """
        flag, before = self._record[3], bytes(self._record[_OWNER:_BODY_BYTES])
        self._record[3] = 1
        self._record[_OWNER:_BODY_BYTES] = owner
        try:
            self._append()
        except (OSError, StoreError) as error:
            # The serial stays moved on: the memory may hold the refused record after all, and the next must beat it.
            self._record[3] = flag
            self._record[_OWNER:_BODY_BYTES] = before
            raise StoreError(f"owner: not stored: {error}") from error
        self.owner = bytes(owner)

    def _find(self):
        """Read the newest valid record into _record and its place into _slot (-1: none); count damaged slots."""
        serial = -1
        for slot in range(self._slots):
            self._memory.read(self._address(slot), self._check)
            if not _is_valid(self._check):
                if not (_is_filled(self._check, 0xFF) or _is_filled(self._check, 0)):
                    self.damaged += 1
            elif int.from_bytes(bytes(self._check[_SERIAL:_BOOT]), "big") > serial:
                self._record[:] = self._check
                self._slot = slot
                serial = self._number(_SERIAL)

    def _append(self):
        """Write _record with the next serial into a free slot; a slot that does not hold it is passed over."""
        self._put_number(_SERIAL, self._number(_SERIAL) + 1)
        self._put_number(_BODY_BYTES, crc32(memoryview(self._record)[:_BODY_BYTES]) & 0xFFFFFFFF)
        slot = self._slot
        for _ in range(self._slots - 1):
            slot = (slot + 1) % self._slots
            if self._is_free(slot):
                self._memory.write(self._address(slot), self._record)
                self._memory.read(self._address(slot), self._check)
                if self._check == self._record:
                    self._slot = slot
                    return
        raise StoreError("memory: got no slot that holds a record, wanted one")

    def _is_free(self, slot):
        """Whether a record may be written there. A sector's first slot is freed by erasing all of it, but never the
        sector that holds the newest record.
        """
        if not self._sector_slots:
            return True
        if slot % self._sector_slots == 0:
            if self._slot >= 0 and self._slot // self._sector_slots == slot // self._sector_slots:
                return False
            self._memory.erase(self._address(slot))
        self._memory.read(self._address(slot), self._check)
        return _is_filled(self._check, 0xFF)

    def _address(self, slot):
        if not self._sector_slots:
            return slot * SLOT_BYTES
        sector, slot = divmod(slot, self._sector_slots)
        return sector * self._memory.erase_bytes + slot * SLOT_BYTES

    def _number(self, at):
        return int.from_bytes(bytes(self._record[at : at + 4]), "big")

    def _put_number(self, at, value):
        self._record[at : at + 4] = value.to_bytes(4, "big")


def _is_valid(record):
    body = memoryview(record)[:_BODY_BYTES]
    if bytes(body[:3]) != _HEAD or record[3] > 1:
        return False
    return crc32(body) & 0xFFFFFFFF == int.from_bytes(bytes(record[_BODY_BYTES:]), "big")


def _is_filled(record, byte):
    return all(value == byte for value in record)

"""The device's record of key, owner and its counts, safe from a power cut at any byte; refuses to lose a key silently.

Rules (WIRE.md, "Store"):
  1. A record is written where no valid newest record lies, and counts only when its CRC is right: a torn write leaves
     the state before it. After each write the record is read back.
  2. The valid record of the highest serial is the state. Only a store with no valid record at all gets a new key.
  3. No two boots have the same number. It is stored before it is used, and a slot with a damaged record, which may once
     have been the newest, moves it on by one more.
  4. EDIL's round only rises under one number of an enrolment; a higher number is stored in one record with round 0. A
     round is stored twice before it is used, so that no one damaged record brings it back.
  5. A record of version 1, which had neither number nor round, is read as one with both 0.

Memory is an object with size and erase_bytes (0: every byte can be written, as in EEPROM; else NOR flash, whose bits
only go from 1 to 0 until their sector is erased), read(addr, buf), write(addr, data), erase(addr).
"""

from binascii import crc32

from .cbor import const
from .errors import StoreError

SLOT_BYTES = const(128)
RECORD_BYTES = const(76)
RING_SLOTS = const(8)
SECTOR_SLOTS = const(16)

_BODY_BYTES = const(72)
_HEAD = b"tr\x02"
_OLD_BODY_BYTES = const(64)  # of version 1, which ended with the owner
_OLD_HEAD = b"tr\x01"
_SERIAL = const(4)
_BOOT = const(8)
_SECRET = const(12)
_OWNER = const(44)
_NUMBER = const(64)
_ROUND = const(68)


class Store:
    """After open: boot (u32), owner (20 bytes, or None), number of the last enrolment and round (u32, 0 for none), and
    damaged (slots that hold something else than a record).
    """

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
        self.number = 0
        self.round = 0
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
            self.owner = bytes(self._record[_OWNER:_NUMBER])
        self.number, self.round = self._number(_NUMBER), self._number(_ROUND)
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
        before = bytes(self._record)
        self._record[3] = 1
        self._record[_OWNER:_NUMBER] = owner
        self._keep("owner", before)
        self.owner = bytes(owner)

    def enrol(self, number: int):
        """Store the number of an enrolment (u32, above the stored one), and round 0 with it; raises as bind does."""
        before = bytes(self._record)
        self._put_number(_NUMBER, number)
        self._put_number(_ROUND, 0)
        self._keep("number", before)
        self.number, self.round = number, 0

    def take_part(self, round_: int):
        """Store a round (u32, above the stored one); when this returns, it counts as used. Raises as bind does."""
        before = bytes(self._record)
        self._put_number(_ROUND, round_)
        self._keep("round", before)
        self._keep("round", before)
        self.round = round_

    def _keep(self, name, before):
        """Write _record; if it cannot be, what it holds is `before` again."""
        try:
            self._append()
        except (OSError, StoreError) as error:
            # The serial stays moved on: the memory may hold the refused record after all, and the next must beat it.
            serial = self._number(_SERIAL)
            self._record[:] = before
            self._put_number(_SERIAL, serial)
            raise StoreError(f"{name}: not stored: {error}") from error

    def _find(self):
        """Read the newest valid record into _record and its place into _slot (-1: none); count damaged slots."""
        serial = -1
        for slot in range(self._slots):
            self._memory.read(self._address(slot), self._check)
            body_bytes = _body_bytes(self._check)
            if not body_bytes:
                if not (_is_filled(self._check, 0xFF) or _is_filled(self._check, 0)):
                    self.damaged += 1
            elif int.from_bytes(bytes(self._check[_SERIAL:_BOOT]), "big") > serial:
                self._record[:body_bytes] = memoryview(self._check)[:body_bytes]
                self._record[body_bytes:] = bytes(RECORD_BYTES - body_bytes)
                self._record[:3] = _HEAD
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


def _body_bytes(record):
    """Bytes before the CRC of a valid record; 0 if it is none."""
    for head, size_bytes in ((_HEAD, _BODY_BYTES), (_OLD_HEAD, _OLD_BODY_BYTES)):
        if bytes(record[:3]) == head and record[3] <= 1:
            crc = int.from_bytes(bytes(record[size_bytes : size_bytes + 4]), "big")
            return size_bytes if crc32(memoryview(record)[:size_bytes]) & 0xFFFFFFFF == crc else 0
    return 0


def _is_filled(record, byte):
    return all(value == byte for value in record)

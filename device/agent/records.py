"""A ring of records in EEPROM or NOR flash, safe from a power cut at any byte; it knows nothing of what a record holds.

A record: 4 bytes of head, serial u32 BE, more, CRC-32 (that of zlib) u32 BE of all before. Rules:
  1. A record is written where no valid newest record lies, and counts only when its CRC is right: a torn write leaves
     the state before it. After each write the record is read back.
  2. The valid record of the highest serial is the newest.

Memory is an object with size and erase_bytes (0: every byte can be written, as in EEPROM; else NOR flash, whose bits
only go from 1 to 0 until their sector is erased), read(addr, buf), write(addr, data), erase(addr).
"""

from binascii import crc32

from .cbor import const

RING_SLOTS = const(8)
_SECTOR_SLOTS = const(16)

_SERIAL = const(4)
_CRC_BYTES = const(4)


class Records:
    """record: bytearray, the newest after find (zeros if there is none) and what append writes, but for serial and CRC;
    slot: where it lies, -1 for nowhere; damaged: slots that hold something else than a record.
    """

    def __init__(self, memory, record_bytes: int, slot_bytes: int, bodies):
        """
        Args:
            bodies: {head (4 bytes): bytes before the CRC} of what is a record; a shorter one is filled up with zeros.
        Raises:
            ValueError: the memory is too small for a ring of 8 slots, or for two sectors of whole slots.
        """
        sector = memory.erase_bytes
        self._sector_slots = min(sector // slot_bytes, _SECTOR_SLOTS)
        self._slots = self._sector_slots * 2 if sector else RING_SLOTS
        if not self._slots or sector % slot_bytes or memory.size < (sector * 2 or RING_SLOTS * slot_bytes):
            raise ValueError(f"memory: got {memory.size} bytes, sectors of {sector}, wanted 8 slots or 2 sectors")
        self._memory = memory
        self._bodies = bodies
        self._slot_bytes = slot_bytes
        self.record = bytearray(record_bytes)
        self.slot = -1
        self.damaged = 0

    @property
    def serial(self) -> int:
        return _serial_of(self.record)

    def find(self) -> bool:
        """Read the newest record -> whether there is one."""
        self.slot, self.damaged = -1, 0
        self.record[:] = bytes(len(self.record))
        for slot in range(self._slots):
            found = self._read(slot)
            body_bytes = self._body_bytes(found)
            if not body_bytes:
                if not (is_filled(found, 0xFF) or is_filled(found, 0)):
                    self.damaged += 1
            elif self.slot < 0 or _serial_of(found) > self.serial:
                self.record[:] = bytes(len(self.record))
                self.record[:body_bytes] = memoryview(found)[:body_bytes]
                self.slot = slot
        return self.slot >= 0

    def append(self):
        """Write the record with the next serial into a free slot; a slot that does not hold it is passed over.

        Raises:
            OSError: no slot holds it, or the memory's own; the newest is what it was, or this.
        """
        record = self.record
        record[_SERIAL : _SERIAL + 4] = (self.serial + 1).to_bytes(4, "big")
        body = memoryview(record)[:-_CRC_BYTES]
        record[len(body) :] = _crc(body)
        slot = self.slot
        for _ in range(self._slots - 1):
            slot = (slot + 1) % self._slots
            if self._is_free(slot):
                self._memory.write(self._address(slot), record)
                if self._read(slot) == record:
                    self.slot = slot
                    return
        raise OSError(5, "memory: got no slot that holds a record, wanted one")

    def _read(self, slot):
        found = bytearray(len(self.record))
        self._memory.read(self._address(slot), found)
        return found

    def _body_bytes(self, found):
        """Bytes before the CRC of the valid record in a slot's content; 0 if it is none."""
        size = self._bodies.get(bytes(found[:4]), 0)
        crc = bytes(found[size : size + _CRC_BYTES])
        return size if size and crc == _crc(memoryview(found)[:size]) else 0

    def _is_free(self, slot):
        """Whether a record may be written there. A sector's first slot is freed by erasing all of it, but never the
        sector that holds the newest record.
        """
        if not self._sector_slots:
            return True
        if slot % self._sector_slots == 0:
            if self.slot >= 0 and self.slot // self._sector_slots == slot // self._sector_slots:
                return False
            self._memory.erase(self._address(slot))
        return is_filled(self._read(slot), 0xFF)

    def _address(self, slot):
        if not self._sector_slots:
            return slot * self._slot_bytes
        sector, slot = divmod(slot, self._sector_slots)
        return sector * self._memory.erase_bytes + slot * self._slot_bytes


def is_filled(data, byte: int) -> bool:
    """Whether all bytes of data are this one."""
    return all(value == byte for value in data)


def _serial_of(record):
    return int.from_bytes(bytes(record[_SERIAL : _SERIAL + 4]), "big")


def _crc(body):
    return (crc32(body) & 0xFFFFFFFF).to_bytes(4, "big")

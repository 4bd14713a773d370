"""Late records in the device's memory until the gateway has them; refuses to lose one without counting it.

Rules (WIRE.md, "Ring"):
  1. Memory is pages of 32 slots of 32 bytes, written one after the other, round and round, so that every slot wears
     alike. A slot counts only if its CRC is right, which covers its kind and its page's serial too: neither what a
     power cut tore nor what an earlier round left there is one.
  2. A page begins with its head. What records have in common, boot and beacon, stands once before them.
  3. Records have numbers, from 0. A head holds the number of its page's first record and of the oldest that is kept, so
     what a power cut or the next round destroyed is counted by what is still there.
  4. Where the next page holds records, they make room and are counted as dropped; on flash all those of its sector.

Memory is as store.Store's.
"""

from binascii import crc32

from .cbor import const
from .errors import StoreError

SLOT_BYTES = const(32)
_PAGE_SLOTS = const(32)
PAGE_BYTES = const(1024)
RECORD_BYTES = const(28)
PAGE_RECORDS = const(30)  # of a page whose records have everything in common

_HEAD = const(1)
_COMMON = const(2)
_RECORD = const(3)
_MARK = const(4)
_COMMON_BYTES = const(18)


class Ring:
    """After open: held (records that are kept) and dropped (those that were lost, since ever)."""

    def __init__(self, memory):
        """Raises StoreError if the memory is not two pages, or two sectors of whole pages, at least."""
        sector = memory.erase_bytes
        self._sector_pages = max(1, sector // PAGE_BYTES)
        self._pages = memory.size // (self._sector_pages * PAGE_BYTES) * self._sector_pages
        if sector % PAGE_BYTES or self._pages < 2 * self._sector_pages:
            raise StoreError(f"ring: got {memory.size} bytes, sectors of {sector}, wanted 2 KiB or 2 sectors of pages")
        self._memory = memory
        self._slot = bytearray(SLOT_BYTES)
        self._check = bytearray(SLOT_BYTES)
        self._serial = 0  # of the page that is written; 0: none yet
        self._next = _PAGE_SLOTS  # its first free slot
        self._common = None  # what is in force there
        self._count = 0  # the next record's number
        self._tail = 0  # the oldest kept record's number
        self._from = (0, 0, None)  # where to look for it: page's serial, slot, what is in force
        self._batch = (0, 0, self._from)  # numbers from and to, and where to look on
        self.dropped = 0

    @property
    def held(self) -> int:
        return self._count - self._tail

    @property
    def room(self) -> int:
        """How many records can be added, all with the same in common, before one is dropped."""
        if not self._serial:
            return (self._pages - self._sector_pages) * PAGE_RECORDS
        oldest = self._from[0] if self.held else self._serial
        used = self._serial // self._sector_pages - oldest // self._sector_pages + 1
        pages = self._pages - used * self._sector_pages + self._sector_pages - 1 - self._serial % self._sector_pages
        return pages * PAGE_RECORDS + max(0, _PAGE_SLOTS - 1 - self._next)

    def open(self):
        """Find what is kept. Reads a slot of each page, the newest page, and the one with the oldest kept record.

        Raises:
            OSError: as memory does.
        """
        for place in range(self._pages):
            serial, *numbers = self._read_head(place)
            if serial > self._serial:
                self._serial = serial
                self._count, self._tail, self.dropped = numbers
        if self._serial:
            self._find_end()
            self._find_tail(max(1, self._serial - self._pages + 1))

    def append(self, boot: int, beacon: bytes, record: bytes):
        """Keep a record (28 bytes) of a boot, made when `beacon` (14 bytes) was the last.

        Raises:
            StoreError: no slot of two pages held it. OSError: as memory does. What is kept stays.
        """
        common = boot.to_bytes(4, "big") + beacon
        for _ in range(2):
            is_common = common == self._common
            if self._next + (1 if is_common else 2) > _PAGE_SLOTS:
                self._turn()
                is_common = False
            if not self.held:
                self._from = (self._serial, self._next, self._common)
            if (is_common or self._put_common(common)) and self._put(_RECORD, record):
                self._count += 1
                return
            self._next = _PAGE_SLOTS
        raise StoreError("ring: got no slot that holds a record, wanted one")

    def batch(self, most: int):
        """The oldest records with everything in common -> (boot, beacon, bytes of 1 to `most` records), or None.

        Raises:
            OSError: as memory does.
        """
        if not self.held:
            return None
        records, shared = bytearray(), None
        for number, common, serial, slot in self._records(self._tail, *self._from):
            if not records:
                self._lose(number)
                shared = common
            elif common != shared or number != self._tail + len(records) // RECORD_BYTES:
                break
            records.extend(memoryview(self._check)[:RECORD_BYTES])
            self._batch = (self._tail, number + 1, (serial, slot, common))
            if len(records) == most * RECORD_BYTES:
                break
        if not records:
            self._lose(self._count)
            return None
        return int.from_bytes(shared[:4], "big"), shared[4:], bytes(records)

    def free(self):
        """Give up the records of the last `batch`, which the gateway has.

        Those that had to make room meanwhile are not counted as dropped any more. If the memory raises StoreError or
        OSError they are free all the same; after a reset they may come again.
        """
        start, end, where = self._batch
        if start == end:
            return
        self._batch = (end, end, where)
        self.dropped -= max(0, min(self._tail, end) - start)
        if end > self._tail:
            self._tail, self._from = end, where
        if self._next < _PAGE_SLOTS:
            self._put(_MARK, _numbers(self._tail, self.dropped))
        else:
            self._turn(may_drop=False)  # where that cannot be, a later head tells

    def lose(self):
        """Count a record that could not be kept."""
        self.dropped += 1

    # Where records are

    def _find_end(self):
        """Count the newest page's records, take its last mark, and find the slot behind its last."""
        self._next = 1
        for slot in range(1, _PAGE_SLOTS):
            kind = self._read(self._serial, slot)
            if kind == _RECORD:
                self._count += 1
            elif kind == _MARK:
                self._tail, self.dropped = _take_numbers(self._check, 2)
            if kind or (self._memory.erase_bytes and not self._is_blank()):
                self._next = slot + 1

    def _find_tail(self, serial):
        """Look for the oldest kept record from the page `serial` on, beginning with the last that can hold it."""
        start = serial
        while serial <= self._serial:
            found, first, _, _ = self._read_head(serial % self._pages)
            if found == serial and first > self._tail:
                break
            if found == serial:
                start = serial
            serial += 1
        for number, common, found, slot in self._records(0, start, 0, None):
            if number >= self._tail:
                self._lose(number)
                self._from = (found, slot - 1, common)
                return
        self._lose(self._count)

    def _records(self, number, serial, slot, common):
        """For each record from a place on: (number, what it has in common, serial, slot behind it); it is in _check."""
        while serial <= self._serial:
            if not slot:
                found, number, _, _ = self._read_head(serial % self._pages)
                slot, common = (1 if found == serial else _PAGE_SLOTS), None
            end = self._next if serial == self._serial else _PAGE_SLOTS
            while slot < end:
                kind = self._read(serial, slot)
                slot += 1
                if kind == _COMMON:
                    common = bytes(self._check[:_COMMON_BYTES])
                elif kind == _RECORD:
                    if common:
                        yield number, common, serial, slot
                    number += 1
            serial, slot = serial + 1, 0

    def _lose(self, number):
        """The oldest record that can be read is `number`: those from the tail to it are lost."""
        self.dropped += number - self._tail
        self._tail = number

    # Pages

    def _turn(self, may_drop=True):
        """Begin the next page that takes a head. Records in its place are dropped, or it is not begun."""
        for _ in range(self._pages):
            serial = self._serial + 1 if self._serial else self._pages  # the first begins a sector, which is erased
            is_new = serial % self._sector_pages == 0
            oldest = serial - self._pages + self._sector_pages
            if is_new and self.held and self._from[0] < oldest:
                if not may_drop:
                    return
                self._find_tail(oldest)
            if is_new and self._memory.erase_bytes:
                self._memory.erase(serial % self._pages * PAGE_BYTES)
            self._serial, self._next, self._common = serial, _PAGE_SLOTS, None
            head = _numbers(serial, self._count, self._tail, self.dropped)
            if (is_new or self._is_free(serial)) and self._write(0, _HEAD, head):
                self._next = 1
                return
        raise StoreError("ring: got no page that takes a head, wanted one")

    def _is_free(self, serial):
        self._memory.read(serial % self._pages * PAGE_BYTES, self._check)
        return self._is_blank()

    # Slots

    def _put_common(self, common):
        if self._put(_COMMON, common):
            self._common = common
        return self._common == common

    def _put(self, kind, body):
        """Write the next slot -> whether it holds what was written."""
        self._next += 1
        return self._write(self._next - 1, kind, body)

    def _write(self, slot, kind, body):
        self._slot[:RECORD_BYTES] = bytes(body) + bytes(RECORD_BYTES - len(body))
        self._slot[RECORD_BYTES:] = _crc(kind, self._serial, self._slot).to_bytes(4, "big")
        address = self._serial % self._pages * PAGE_BYTES + slot * SLOT_BYTES
        self._memory.write(address, self._slot)
        self._memory.read(address, self._check)
        return self._check == self._slot

    def _read(self, serial, slot):
        """Read a slot of a page into _check -> its kind, 0 if it is none."""
        self._memory.read(serial % self._pages * PAGE_BYTES + slot * SLOT_BYTES, self._check)
        return self._kind(serial, _COMMON, _RECORD, _MARK)

    def _read_head(self, place):
        """(serial, first, tail, dropped) of the page at a place, all 0 if it has no head."""
        self._memory.read(place * PAGE_BYTES, self._check)
        numbers = _take_numbers(self._check, 4)
        return numbers if numbers[0] % self._pages == place and self._kind(numbers[0], _HEAD) else (0, 0, 0, 0)

    def _kind(self, serial, *kinds):
        crc = int.from_bytes(bytes(self._check[RECORD_BYTES:]), "big")
        for kind in kinds:
            if crc == _crc(kind, serial, self._check):
                return kind
        return 0

    def _is_blank(self):
        return all(byte == 0xFF for byte in self._check)


def _crc(kind, serial, slot):
    return crc32(memoryview(slot)[:RECORD_BYTES], crc32(bytes((kind,)) + serial.to_bytes(4, "big"))) & 0xFFFFFFFF


def _numbers(*numbers):
    return b"".join([(number & 0xFFFFFFFF).to_bytes(4, "big") for number in numbers])


def _take_numbers(data, count):
    return tuple([int.from_bytes(bytes(data[at : at + 4]), "big") for at in range(0, 4 * count, 4)])

"""Parallel NOR flash with Intel's command set (CFI 01), two 16-bit chips side by side on a 32-bit bus, as a memory.

Both chips get each command at once, in the two halves of a word. A write may only clear bits: what would set one is
refused, though QEMU's model would do it. No block locks, no buffered writes.

Source: JEDEC JESD68 for the query; Intel's 28F128J3 data sheet for the commands and the status register.
"""

_READ_ARRAY = 0x00FF00FF
_QUERY = 0x00980098
_PROGRAM = 0x00400040
_ERASE = 0x00200020
_CONFIRM = 0x00D000D0
_CLEAR_STATUS = 0x00500050
_READY = 0x00800080
_FAULTS = 0x003A003A  # erase, program, supply, locked
_POLLS = 1000000


class CfiFlash:
    """The first sectors of a pair of chips.

    Args:
        words: a word at each byte address, as MicroPython's machine.mem32.
        bytes_at: (address, length) -> the bytes there, not copied, as MicroPython's uctypes.bytearray_at.
        base: the address of the pair.
        sectors: how many are used, from the first.
    Raises:
        OSError: no such flash there.
    """

    def __init__(self, words, bytes_at, base, sectors=2):
        self._words = words
        self._base = base
        self._words[base + 4 * 0x55] = _QUERY
        query = bytes([self._words[base + 4 * at] & 0xFF for at in (0x10, 0x11, 0x12, 0x13, 0x2F, 0x30)])
        self._words[base] = _READ_ARRAY
        if query[:4] != b"QRY\x01":
            raise OSError(19, f"flash at {base:#x}: query 0x10: got {query[:4]}, wanted b'QRY\\x01'")
        self.erase_bytes = 2 * 256 * (query[4] | query[5] << 8)
        self.size = sectors * self.erase_bytes
        self._array = memoryview(bytes_at(base, self.size))

    def read(self, address, buffer):
        """Fill buffer with the bytes at address. ValueError: beyond size."""
        self._check(address, len(buffer))
        memoryview(buffer)[:] = self._array[address : address + len(buffer)]

    def write(self, address, data):
        """Store data at address, which must be erased wherever data has a 1, and return when it is stored.

        Raises:
            ValueError: beyond size, or not erased; nothing was written.
            OSError: the chip reports a fault.
        """
        start = address & ~3
        words = bytearray((address - start + len(data) + 3) & ~3)
        self._check(address, len(data))
        self.read(start, words)
        for i in range(len(data)):
            at = address - start + i
            if data[i] & ~words[at]:
                raise ValueError(f"flash: {address + i:#x}: got {data[i]:#x} over {words[at]:#x}, wanted it erased")
            words[at] = data[i]
        for i in range(0, len(words), 4):
            self._command(start + i, _PROGRAM, int.from_bytes(words[i : i + 4], "little"))

    def erase(self, address):
        """Set the sector that holds address to 0xFF. ValueError: beyond size; OSError: the chip reports a fault."""
        self._check(address, 1)
        self._command(address // self.erase_bytes * self.erase_bytes, _ERASE, _CONFIRM)

    def _command(self, address, first, second):
        address += self._base
        self._words[address] = first
        self._words[address] = second
        for _ in range(_POLLS):
            status = self._words[address]
            if status & _READY == _READY:
                break
        self._words[address] = _CLEAR_STATUS
        self._words[address] = _READ_ARRAY
        if status & _READY != _READY or status & _FAULTS:
            raise OSError(5, f"flash at {address:#x}: status register: got {status:#x}, wanted {_READY:#x}")

    def _check(self, address, length):
        if not 0 <= address <= self.size - length:
            raise ValueError(f"flash: got {length} bytes at {address:#x}, wanted them within {self.size:#x}")

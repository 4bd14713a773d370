"""AT24C serial EEPROM over I2C, those with 16-bit addresses (AT24C32 to AT24C512), as a memory that needs no erasing.

A write is split at the chip's pages and returns when the chip has stored the last of them. It is no journal: a power
cut in a write leaves some of its pages.

Source: Microchip's AT24C512C data sheet: page write, and acknowledge polling (a page takes at most 5 ms).
"""

_POLLS = 400  # each is 27 bits: more than the 5 ms of a page even at 1 MHz


class At24c:
    """One chip.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x50..0x57, by its pins.
        size: of the chip, in bytes.
        page_bytes: what it stores at once: 128 for AT24C512, 64 for AT24C128 and 256, 32 for AT24C32 and 64.
    """

    erase_bytes = 0

    def __init__(self, i2c, address=0x50, size=65536, page_bytes=128):
        self._i2c = i2c
        self._address = address
        self.size = size
        self._page_bytes = page_bytes

    def read(self, address, buffer):
        """Fill buffer with the bytes at address. OSError: no answer; ValueError: beyond the chip's end."""
        self._check(address, len(buffer))
        try:
            self._i2c.readfrom_mem_into(self._address, address, buffer, addrsize=16)
        except OSError as error:
            self._fail(error, f"read at {address:#x}: no answer")

    def write(self, address, data):
        """Store data at address and return when it is stored. OSError: no answer; ValueError: beyond the chip's end."""
        self._check(address, len(data))
        data = memoryview(data)
        while len(data):
            page = data[: self._page_bytes - address % self._page_bytes]
            try:
                self._i2c.writeto_mem(self._address, address, page, addrsize=16)
            except OSError as error:
                self._fail(error, f"write at {address:#x}: no answer")
            self._wait(address)
            address += len(page)
            data = data[len(page) :]

    def _wait(self, address):
        pointer = address.to_bytes(2, "big")
        for _ in range(_POLLS):
            try:
                self._i2c.writeto(self._address, pointer)
                return
            except OSError as error:
                busy = error
        self._fail(busy, f"write at {address:#x}: not done after {_POLLS} polls")

    def _fail(self, error, what):
        raise OSError(error.args[0], f"at24c at {self._address:#x}: {what}") from error

    def _check(self, address, length):
        if not 0 <= address <= self.size - length:
            raise ValueError(f"at24c: got {length} bytes at {address:#x}, wanted them within {self.size:#x}")

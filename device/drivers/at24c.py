"""AT24C serial EEPROMs over I2C, those with 16-bit addresses (AT24C32 to AT24C512), as a memory that needs no erasing.

A write is split at the chips' pages and returns when the last of them is stored. It is no journal: a power cut in a
write leaves some of its pages.

Source: Microchip's AT24C512C data sheet: page write, and acknowledge polling (a page takes at most 5 ms).
"""

_POLLS = 400  # each is 27 bits: more than the 5 ms of a page even at 1 MHz


class At24c:
    """Chips of one kind at addresses that follow each other, as one memory.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: of the first, 0x50..0x57, by its pins.
        chip_bytes: size of each.
        page_bytes: what a chip stores at once: 128 for AT24C512, 64 for AT24C128 and 256, 32 for AT24C32 and 64.
        chips: how many there are.
    """

    erase_bytes = 0

    def __init__(self, i2c, address=0x50, chip_bytes=65536, page_bytes=128, chips=1):
        self._i2c = i2c
        self._address = address
        self._chip_bytes = chip_bytes
        self._page_bytes = page_bytes
        self.size = chips * chip_bytes

    def read(self, address, buffer):
        """Fill buffer with the bytes at address. OSError: no answer; ValueError: beyond the last chip's end."""
        self._check(address, len(buffer))
        buffer = memoryview(buffer)
        while len(buffer):
            chip, at = divmod(address, self._chip_bytes)
            part = buffer[: self._chip_bytes - at]
            try:
                self._i2c.readfrom_mem_into(self._address + chip, at, part, addrsize=16)
            except OSError as error:
                self._fail(error, chip, f"read at {at:#x}: no answer")
            address += len(part)
            buffer = buffer[len(part) :]

    def write(self, address, data):
        """Store data at address and return when it is stored; raises as read."""
        self._check(address, len(data))
        data = memoryview(data)
        while len(data):
            chip, at = divmod(address, self._chip_bytes)
            page = data[: self._page_bytes - at % self._page_bytes]
            try:
                self._i2c.writeto_mem(self._address + chip, at, page, addrsize=16)
            except OSError as error:
                self._fail(error, chip, f"write at {at:#x}: no answer")
            self._wait(chip, at)
            address += len(page)
            data = data[len(page) :]

    def _wait(self, chip, at):
        pointer = at.to_bytes(2, "big")
        for _ in range(_POLLS):
            try:
                self._i2c.writeto(self._address + chip, pointer)
                return
            except OSError as error:
                busy = error
        self._fail(busy, chip, f"write at {at:#x}: not done after {_POLLS} polls")

    def _fail(self, error, chip, what):
        raise OSError(error.args[0], f"at24c at {self._address + chip:#x}: {what}") from error

    def _check(self, address, length):
        if not 0 <= address <= self.size - length:
            raise ValueError(f"at24c: got {length} bytes at {address:#x}, wanted them within {self.size:#x}")

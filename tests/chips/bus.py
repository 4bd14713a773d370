"""An I2C bus with models of chips on it, as machine.I2C; it runs on CPython and MicroPython.

A chip has write(data) and read(count) -> bytes; what it does not acknowledge it raises as OSError. `fault` is what goes
wrong at the bus: an errno that each transfer raises (110: a line held low, as a controller's time-out), or None.
`vanish` is after how many more bytes read the chips lose their power: from then on a line is high, and nobody answers.
"""


class Bus:
    def __init__(self, chips):
        self.chips = chips  # by address
        self.fault = None
        self.vanish = None

    def writeto(self, address, data):
        self._chip(address).write(bytes(data))

    def writeto_mem(self, address, register, data, addrsize=8):
        self._chip(address).write(register.to_bytes(addrsize // 8, "big") + bytes(data))

    def readfrom_into(self, address, buffer):
        data = self._chip(address).read(len(buffer))
        assert len(data) == len(buffer)
        if self.vanish is not None:
            data = data[: self.vanish] + b"\xff" * (len(data) - self.vanish)
            self.vanish = max(0, self.vanish - len(data))
        for i in range(len(buffer)):
            buffer[i] = data[i]

    def readfrom_mem_into(self, address, register, buffer, addrsize=8):
        self.writeto_mem(address, register, b"", addrsize)
        self.readfrom_into(address, buffer)

    def _chip(self, address):
        if self.fault is not None:
            raise OSError(self.fault)
        if self.vanish == 0 or address not in self.chips:
            raise OSError(19)
        return self.chips[address]


class RegisterFile:
    """256 registers of a byte and a pointer, as most chips have them.

    Args:
        contents: bytes by their first register, at reset.
        settings: registers that can be written; what is written elsewhere has no effect, as in the chips.
        counts: whether the pointer counts up within a transfer.
    """

    def __init__(self, contents, settings=(), counts=True):
        self.memory = bytearray(256)
        self.settings = settings
        self.counts = counts
        self.pointer = 0
        for register, data in contents.items():
            self.put(register, data)

    def put(self, register, data):
        for byte in data:
            self.memory[register] = byte
            register += 1

    def write(self, data):
        self.pointer = data[0]
        for byte in data[1:]:
            if self.pointer in self.settings:
                self.memory[self.pointer] = byte
            self.pointer += self.counts

    def read(self, count):
        data = bytes([self.memory[(self.pointer + i * self.counts) & 0xFF] for i in range(count)])
        self.pointer = (self.pointer + count * self.counts) & 0xFF
        return data


def words(values, order="big"):
    """Two's complement numbers of 16 bits, as bytes."""
    return b"".join([(value & 0xFFFF).to_bytes(2, order) for value in values])

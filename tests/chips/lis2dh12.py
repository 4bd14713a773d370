"""LIS2DH12: the address counts up only when its high bit is set; without power of the axes there are zeros."""

from tests.chips.bus import RegisterFile, words


class Model:
    address = 0x18
    identities = (0x0F,)

    def __init__(self):
        self.file = RegisterFile({0x0F: b"\x33", 0x20: b"\x07"}, range(0x1E, 0x26))

    def show(self, x, y, z):
        """1/1000 g; 12 bits, left-justified, if the mode is that and the range +-2 g."""
        measures = self.file.memory[0x20] & 0xF0 and self.file.memory[0x23] & 0x38 == 0x08
        self.file.put(0x28, words([value << 4 if measures else 0 for value in (x, y, z)], "little"))

    def write(self, data):
        self.file.counts = bool(data[0] & 0x80)
        self.file.write(bytes([data[0] & 0x7F]) + data[1:])

    def read(self, count):
        return self.file.read(count)

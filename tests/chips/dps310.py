"""DPS310: coefficients, settings and 24-bit results; a read of a result takes its ready bit away.

The coefficients are those that QEMU's model of the chip has.
"""

from tests.chips.bus import RegisterFile

COEFFICIENTS = bytes(
    [0x0E, 0x1E, 0xDD, 0x13, 0xCA, 0x5F, 0x21, 0x52, 0xF9, 0xC6, 0x04, 0xD1, 0xDB, 0x47, 0x00, 0x5B, 0xFB, 0x3A]
)


class Model:
    address = 0x77
    identities = (0x0D,)

    def __init__(self):
        contents = {0x08: b"\xc0", 0x0D: b"\x10", 0x10: COEFFICIENTS, 0x28: b"\x80"}
        self.file = RegisterFile(contents, (0x06, 0x07, 0x09))

    def show(self, pressure, temperature):
        """Raw results of 24 bits, which the chip has when it measures."""
        self.file.put(0, (pressure & 0xFFFFFF).to_bytes(3, "big") + (temperature & 0xFFFFFF).to_bytes(3, "big"))
        self.file.memory[0x08] |= 0x30

    def write(self, data):
        self.file.write(data)
        if data[0] == 0x08 and len(data) > 1:
            self.file.memory[0x08] = self.file.memory[0x08] & 0xF0 | data[1] & 0x07

    def read(self, count):
        if self.file.pointer == 0:
            self.file.memory[0x08] &= 0xCF
        return self.file.read(count)

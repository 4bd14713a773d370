"""TMP421: a read at a temperature's high byte gives its low byte next; faults are in the low bytes."""

from tests.chips.bus import RegisterFile


class Model:
    address = 0x4C
    identities = (0xFE, 0xFF)

    def __init__(self):
        self.file = RegisterFile({0x0B: b"\x07", 0xFE: b"\x55\x21"}, (0x09, 0x0A, 0x0B), counts=False)
        self.write = self.file.write
        self.file.memory[0x09] = 0x04  # as if somebody had set the extended range
        self.show(0, 0)

    def show(self, local, remote=0, faults=0):
        """1/256 degC, in steps of 16."""
        for register, value, flag in ((0x00, local, 0), (0x01, remote, faults)):
            self.file.put(register, bytes([value >> 8 & 0xFF]))
            self.file.put(register + 0x10, bytes([value & 0xF0 | flag]))

    def read(self, count):
        at = self.file.pointer
        if at <= 1 and count == 2:
            extended = 64 if self.file.memory[0x09] & 4 else 0
            return bytes([(self.file.memory[at] + extended) & 0xFF, self.file.memory[at + 0x10]])
        return self.file.read(count)

"""DS1338: BCD registers and 56 bytes of memory; the clock stands still. At the first power OSF is set."""

from tests.chips.bus import RegisterFile

ABSENT = (0x00, 0x80, 0x80, 0xF8, 0xC0, 0xE0, 0x00, 0x4C)  # bits without memory


class Model:
    address = 0x68

    def __init__(self):
        self.file = RegisterFile({0: b"\x00\x00\x00\x01\x01\x01\x00\xb3"}, range(64))
        self.read = self.file.read

    def show(self, year, month, day, hour, minute, second):
        fields = [second, minute, hour, 1, day, month, year % 100]
        self.file.put(0, bytes([field // 10 << 4 | field % 10 for field in fields]) + b"\x00")

    def write(self, data):
        self.file.write(data)
        for register in range(8):
            self.file.memory[register] &= 0xFF ^ ABSENT[register]

"""Two 16-bit CFI 01 chips side by side; programming clears bits, and status comes ready at the second look."""

BASE = 0x22000000


class Model:
    SECTOR = 1024

    def __init__(self, sectors=3, faults=0):
        self.memory = bytearray(b"\xff" * sectors * self.SECTOR)
        self.mode, self.looks, self.faults = "array", 0, faults

    def bytes_at(self, address, length):
        return memoryview(self.memory)[address - BASE : address - BASE + length]

    def __getitem__(self, address):
        at = address - BASE
        if self.mode == "query":
            table = {0x10: 0x51, 0x11: 0x52, 0x12: 0x59, 0x13: 1, 0x2F: self.SECTOR // 512, 0x30: 0}
            return table[at // 4] * 0x10001
        if self.mode == "status":
            self.looks += 1
            return (0x80 | self.faults) * 0x10001 if self.looks > 1 else 0x00000080
        return int.from_bytes(self.memory[at : at + 4], "little")

    def __setitem__(self, address, word):
        at = address - BASE
        if self.mode == "program":
            old = int.from_bytes(self.memory[at : at + 4], "little")
            self.memory[at : at + 4] = (old & word).to_bytes(4, "little")
        elif self.mode == "erase":
            assert word == 0x00D000D0
            start = at // self.SECTOR * self.SECTOR
            self.memory[start : start + self.SECTOR] = b"\xff" * self.SECTOR
        if self.mode in ("program", "erase"):
            self.mode, self.looks = "status", 0
        else:
            modes = {0xFF: "array", 0x98: "query", 0x40: "program", 0x20: "erase", 0x50: "array"}
            assert word >> 16 == word & 0xFFFF
            self.mode = modes[word & 0xFFFF]

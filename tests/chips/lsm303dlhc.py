"""LSM303DLHC's magnetometer: twelve registers, big-endian x, z, y; one register a write."""

from tests.chips.bus import RegisterFile, words


class Model:
    address = 0x1E
    identities = (0x0A, 0x0B, 0x0C)

    def __init__(self):
        self.file = RegisterFile({0: b"\x10\x20\x03", 9: b"\x01H43"}, (0, 1, 2))
        self.read = self.file.read

    def show(self, x, y, z):
        self.file.put(3, words((x, z, y)))

    def write(self, data):
        assert len(data) <= 2
        self.file.write(data)

"""MPU-6050: asleep at reset, when it measures nothing; ranges other than the finest scale the results down."""

from tests.chips.bus import RegisterFile, words


class Model:
    address = 0x68
    identities = (0x75,)

    def __init__(self):
        self.file = RegisterFile(
            {0x75: b"\x68", 0x6B: b"\x40", 0x1B: b"\x18", 0x1C: b"\x18"}, (0x19, 0x1A, 0x1B, 0x1C, 0x6B)
        )
        self.write = self.file.write
        self.read = self.file.read

    def show(self, *values):
        """Acceleration x, y, z in 1/16384 g, rotation x, y, z in 1/131 degrees a second; the die is at 36.53 degC."""
        memory = self.file.memory
        acceleration = [value >> (memory[0x1C] >> 3 & 3) for value in values[:3]]
        rotation = [value >> (memory[0x1B] >> 3 & 3) for value in values[3:]]
        if not memory[0x6B] & 0x40:
            self.file.put(0x3B, words(acceleration + [0] + rotation))

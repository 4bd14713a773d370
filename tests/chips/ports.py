"""A board's own converters and buses, as MicroPython's machine.ADC, machine.I2S and machine.SPI give them."""


class Pin:
    """machine.ADC."""

    def __init__(self, value):
        self.value = value

    def read_u16(self):
        return self.value


class I2s:
    """machine.I2S with a handler: readinto returns at once, and `finish` fills the block and calls the handler.

    slots: 32-bit slots as the microphone sends them, 24 bits at their left; they are repeated.
    """

    def __init__(self, slots):
        self.slots = slots
        self.block = None
        self.handler = None

    def irq(self, handler):
        self.handler = handler

    def readinto(self, block):
        assert self.block is None
        self.block = block

    def finish(self):
        block, self.block = self.block, None
        for i in range(len(block) // 2):
            slot = self.slots[i % len(self.slots)] & 0xFFFFFFFF
            for half in (0, 1):
                value = slot >> 16 * half & 0xFFFF
                block[2 * i + half] = value - 0x10000 if value & 0x8000 else value
        self.handler(self)


class Spi:
    """machine.SPI whose data line is a PDM microphone's: `level(i)` in -1000..1000 of full scale at clock i.

    The bits are those of a first-order sigma-delta modulator.
    """

    def __init__(self, level):
        self.level = level
        self.error = 0
        self.clock = 0

    def readinto(self, buffer):
        for i in range(len(buffer)):
            byte = 0
            for _ in range(8):
                self.error += self.level(self.clock)
                bit = self.error >= 0
                self.error -= 1000 if bit else -1000
                byte = byte << 1 | bit
                self.clock += 1
            buffer[i] = byte


def wave(clock):
    """A square wave of 40 % on an offset of 10 %, 500 periods a second at 1 MHz."""
    return 100 + (400 if clock // 1000 % 2 else -400)

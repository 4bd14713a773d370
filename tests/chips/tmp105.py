"""TMP105: pointer register, then temperature (two bytes) and configuration (one)."""


class Model:
    address = 0x48

    def __init__(self, keeps=0xFF):
        self.raw = 0
        self.configuration = 0
        self.keeps = keeps
        self.pointer = 0

    def show(self, raw):
        """1/256 degC; the chip has steps of 16 at 12 bits."""
        self.raw = raw

    def write(self, data):
        self.pointer = data[0]
        if self.pointer == 1 and len(data) > 1:
            self.configuration = data[1] & self.keeps

    def read(self, count):
        step = 0x80 >> (self.configuration >> 5 & 3)
        temperature = (self.raw & 0xFFFF & -step).to_bytes(2, "big")
        return (temperature + temperature if self.pointer == 0 else bytes([self.configuration]) * 2)[:count]

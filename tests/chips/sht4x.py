"""SHT4x: commands; while it converts it acknowledges nothing, and a result is there once."""


def crc(data):
    """CRC-8, polynomial 0x31, from 0xFF."""
    value = 0xFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value << 1 ^ (0x131 if value & 0x80 else 0)
    return value


class Model:
    address = 0x44

    def __init__(self, converts=3):
        self.converts = converts  # transfers that a conversion lasts when nobody waits
        self.busy = 0
        self.measured = (0, 0)
        self.answer = None

    def show(self, temperature, humidity):
        """Raw words of 16 bits, of the conversion that is under way as well; it is done at once."""
        self.measured = (temperature, humidity)
        self.busy = 0
        if self.answer:
            self.answer = self._answer(self.measured)

    def write(self, data):
        self._transfer()
        assert data in (b"\x89", b"\xfd")
        self.busy = self.converts
        self.answer = self._answer((0x1234, 0x5678) if data == b"\x89" else self.measured)

    def read(self, count):
        self._transfer()
        if self.answer is None:
            raise OSError(19)
        answer, self.answer = self.answer, None
        return answer[:count]

    def _answer(self, pair):
        parts = [word.to_bytes(2, "big") for word in pair]
        return b"".join([part + bytes([crc(part)]) for part in parts])

    def _transfer(self):
        if self.busy:
            self.busy -= 1
            raise OSError(19)

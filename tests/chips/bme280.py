"""BME280: trimming words, settings that count as the data sheet says, and results of 20, 20 and 16 bits.

A write is pairs of register and value. config is ignored in normal mode; ctrl_hum counts after a write of ctrl_meas.
The words of temperature and pressure are those of Bosch's worked example (BMP280 data sheet, 3.12); those of humidity
are of the usual size.
"""

from tests.chips.bus import RegisterFile, words

WORDS = (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
HUMIDITY = (75, 370, 0, 313, 50, 30)
MEASURED = 0xF7


class Model:
    address = 0x76
    identities = (0xD0,)

    def __init__(self, temperature_pressure=WORDS, humidity=HUMIDITY):
        h1, h2, h3, h4, h5, h6 = humidity
        more = words((h2,), "little") + bytes([h3, h4 >> 4 & 0xFF, h4 & 15 | (h5 & 15) << 4, h5 >> 4 & 0xFF, h6 & 0xFF])
        contents = {0x88: words(temperature_pressure, "little"), 0xA1: bytes([h1]), 0xE1: more, 0xD0: b"\x60"}
        contents[MEASURED] = b"\x80\x00\x00\x80\x00\x00\x80\x00"
        self.file = RegisterFile(contents)
        self.read = self.file.read
        self.humidity_on = False

    def show(self, temperature, pressure, humidity):
        """Raw results, which the chip has when it measures."""
        memory = self.file.memory
        if memory[0xF4] & 3 == 3 and memory[0xF4] & 0xE0 and memory[0xF4] & 0x1C:
            results = (pressure << 4).to_bytes(3, "big") + (temperature << 4).to_bytes(3, "big")
            self.file.put(MEASURED, results + (humidity if self.humidity_on else 0x8000).to_bytes(2, "big"))

    def write(self, data):
        memory = self.file.memory
        self.file.pointer = data[0]
        for i in range(1, len(data), 2):
            register = data[i - 1]
            if register in (0xF2, 0xF4) or register == 0xF5 and not memory[0xF4] & 3:
                memory[register] = data[i]
            if register == 0xF4:
                self.humidity_on = memory[0xF2] & 7 != 0

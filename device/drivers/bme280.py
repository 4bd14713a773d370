"""BME280 over I2C: temperature, pressure and relative humidity, some 14 times a second, no filter.

Compensation is the data sheet's in 32 bits, but products that could pass 2**30 are made of two halves
(`scaled`), so that a 32-bit MicroPython allocates nothing. A BMP280 has another identity and is refused.

Source: Bosch Sensortec's BME280 data sheet, BST-BME280-DS002: sections 4.2.2, 4.2.3, 5.4 and appendix 8.2.
"""

from .registers import Registers, clamp16, int16, scaled

_IDENTITY = 0xD0
_STATUS = 0xF3  # bit 0: the chip copies its trimming words, for 2 ms after power-up
_CALIBRATION = ((0x88, 26), (0xE1, 7))
_MEASURED = 0xF7  # pressure 20 bits, temperature 20, humidity 16
# ctrl_meas: asleep, or config may be ignored; config: 62.5 ms pause; ctrl_hum, which counts after ctrl_meas: each once
_SETTINGS = ((0xF4, 0x00), (0xF5, 0x20), (0xF2, 0x01), (0xF4, 0x27))
_NEVER = 0x80000  # both pressure and temperature, before the first conversion


class Bme280:
    """One chip.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x76 or 0x77, by its pin SDO.
    Raises:
        OSError: the chip does not answer, is another one, does not keep its settings, or (11) is not ready yet.
    """

    name = "bme280"
    units = ("1/256 degC", "4 Pa", "1/256 %RH")

    def __init__(self, i2c, address=0x76):
        self._registers = Registers(self.name, i2c, address)
        self._bytes = bytearray(8)
        self._registers.expect(_IDENTITY, 0x60)
        if self._registers.get(_STATUS) & 1:
            self._registers.fail(11, _STATUS, "trimming words not ready, begin again in 2 ms")
        calibration = bytearray()
        for register, length in _CALIBRATION:
            part = bytearray(length)
            self._registers.read(register, part)
            calibration += part
        self._t, self._p, self._h = _words(calibration)
        for register, value in _SETTINGS:
            self._registers.keep(register, value)

    def read(self, out, offset=0):
        """Write temperature, pressure and humidity, int16 in `units`, to out[offset:offset + 3].

        Raises:
            OSError: no answer, or (11) nothing is measured yet, 10 ms after the start; out is unchanged.
        """
        data = self._bytes
        self._registers.read(_MEASURED, data)
        pressure = data[0] << 12 | data[1] << 4 | data[2] >> 4
        temperature = data[3] << 12 | data[4] << 4 | data[5] >> 4
        if pressure == temperature == _NEVER:
            self._registers.fail(11, _MEASURED, "nothing is measured yet, read again in 10 ms")
        fine = self._fine(temperature)  # t_fine, 1/5120 degC
        out[offset + 1] = clamp16(self._pascal(fine, pressure) >> 2)
        out[offset + 2] = self._humidity(fine, data[6] << 8 | data[7])
        out[offset] = clamp16(fine // 20)

    def _fine(self, raw):
        t1, t2, t3 = self._t
        distance = (raw >> 4) - t1
        return (((raw >> 3) - (t1 << 1)) * t2 >> 11) + ((distance * distance >> 12) * t3 >> 14)

    def _pascal(self, fine, raw):
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self._p
        a = (fine >> 1) - 64000
        quarter = a >> 2
        b = (scaled(quarter, quarter, 11) * p6 + (a * p5 << 1) >> 2) + (p4 << 16)
        # The data sheet's var1 with 5 more bits, and then with 3: its own steps are up to 3 Pa.
        a = ((p3 * scaled(quarter, quarter, 13) >> 3 + 7) + scaled(p2, a, 8)) >> 6
        a = scaled(p1, (32768 << 5) + a, 17)
        if a <= 0:
            return 0
        rest = (0x100000 - raw - (b >> 12)) * 1000
        pascal = rest // a * 50 + rest % a * 50 // a
        a = p9 * scaled(pascal >> 3, pascal >> 3, 13) >> 12
        return pascal + (a + ((pascal >> 2) * p8 >> 13) + p7 >> 4)

    def _humidity(self, fine, raw):
        h1, h2, h3, h4, h5, h6 = self._h
        fine -= 76800
        slope = ((fine * h6 >> 10) * ((fine * h3 >> 11) + 32768) >> 10) + 0x200000
        v = ((raw << 14) - (h4 << 20) - h5 * fine + 16384 >> 15) * (slope * h2 + 8192 >> 14)
        v -= ((v >> 15) * (v >> 15) >> 7) * h1 >> 4
        return max(0, min(25600, v >> 14))


def _words(data):
    words = [int16(data[i + 1], data[i]) for i in range(0, 24, 2)]
    words[0] &= 0xFFFF
    words[3] &= 0xFFFF
    h = data[26:]
    h4 = int16(h[3], h[4] << 4 & 0xF0) >> 4
    h5 = int16(h[5], h[4] & 0xF0) >> 4
    h6 = h[6] - 256 if h[6] & 0x80 else h[6]
    return tuple(words[:3]), tuple(words[3:]), (data[25], int16(h[1], h[0]), h[2], h4, h5, h6)

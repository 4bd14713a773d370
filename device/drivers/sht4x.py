"""SHT4x (SHT40, SHT41, SHT45) over I2C: temperature and relative humidity of high precision. Its heater stays off.

The chip has commands, not registers. `read` takes the result of the conversion that the `read` before it began, and
begins the next: nothing waits, and values are as old as that call. A failed `read` begins a conversion too.

Source: Sensirion's SHT4x data sheet: commands, CRC-8 (polynomial 0x31), conversion formulas.
"""

_SERIAL = b"\x89"
_MEASURE = b"\xfd"  # takes up to 8.3 ms, in which the chip does not acknowledge
_POLLS = 1000  # each is 9 bits: more than 8.3 ms even at 1 MHz


def crc8(data, start):
    """The check sum of data[start] and data[start + 1]."""
    crc = 0xFF
    for i in range(start, start + 2):
        crc ^= data[i]
        for _ in range(8):
            crc = (crc << 1 ^ 0x31 if crc & 0x80 else crc << 1) & 0xFF
    return crc


class Sht4x:
    """One chip.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x44, 0x45 or 0x46, by its part number.
    Raises:
        OSError: the chip does not answer, or not as this chip does.
    """

    name = "sht4x"
    units = ("1/256 degC", "1/256 %RH")

    def __init__(self, i2c, address=0x44):
        self._i2c = i2c
        self._address = address
        self._bytes = bytearray(6)
        for call, argument in ((i2c.writeto, _SERIAL), (i2c.readfrom_into, self._bytes)):
            self._poll(call, argument)
        self._check()
        self._poll(i2c.writeto, _MEASURE)

    def read(self, out, offset=0):
        """Write temperature and humidity, int16 in 1/256 degC and 1/256 %RH, to out[offset:offset + 2].

        Raises:
            OSError: no answer (also within 9 ms of the last call), or a wrong check sum; out is unchanged.
        """
        data = self._bytes
        try:
            try:
                self._i2c.readfrom_into(self._address, data)
            finally:
                self._i2c.writeto(self._address, _MEASURE)
        except OSError as error:
            self._fail(error.args[0], "no answer")
        self._check()
        # -45 + 175 * raw / 65535 degC and -6 + 125 * raw / 65535 %RH; 65535 is 5 * 13107
        humidity = (data[3] << 8 | data[4]) * 6400 // 13107 - 6 * 256
        out[offset] = min(0x7FFF, (data[0] << 8 | data[1]) * 8960 // 13107 - 45 * 256)
        out[offset + 1] = max(0, min(100 * 256, humidity))

    def _poll(self, call, argument):
        for _ in range(_POLLS):
            try:
                return call(self._address, argument)
            except OSError as error:
                busy = error
        self._fail(busy.args[0], "no answer")

    def _check(self):
        for at in (0, 3):
            if crc8(self._bytes, at) != self._bytes[at + 2]:
                got, wanted = self._bytes[at + 2], crc8(self._bytes, at)
                self._fail(5, f"check sum of word {at // 3}: got {got:#x}, wanted {wanted:#x}")

    def _fail(self, errno, what):
        raise OSError(errno, f"{self.name} at {self._address:#x}: {what}")

"""DS1338 clock over I2C: date and time that a battery keeps. It knows no time zone and no century but this one.

A sensor whose values are the calendar's. A clock that has stopped since it was set is an error, never a wrong time. The
chip has no identity register, so the bits that it has no memory for are looked at instead.

Source: Maxim's DS1338 data sheet: BCD registers 0 to 6, control 7; a burst from 0 is one moment.
"""

from .registers import Registers

_SECONDS = 0x00  # bit 7: the oscillator is halted
_CONTROL = 0x07
_STOPPED = 0x20  # OSF, of control
_ABSENT = b"\x00\x80\x80\xf8\xc0\xe0\x00\x4c"  # bits that read as 0
_PLACES = b"\x06\x05\x04\x02\x01\x00"  # registers of year, month, day, hour, minute, second
_LEAST = b"\x00\x01\x01\x00\x00\x00"
_MOST = b"\x63\x0c\x1f\x17\x3b\x3b"  # 99, 12, 31, 23, 59, 59


class Ds1338:
    """One chip.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x68, fixed.
    Raises:
        OSError: the chip does not answer, or is another one.
    """

    name = "ds1338"
    units = ("year", "month", "day", "hour", "minute", "second")

    def __init__(self, i2c, address=0x68):
        self._registers = Registers(self.name, i2c, address)
        self._bytes = bytearray(8)
        for register in range(8):
            self._registers.expect(register, 0, _ABSENT[register])

    def read(self, out, offset=0):
        """Write year (2000..2099), month, day, hour, minute and second to out[offset:offset + 6].

        Raises:
            OSError: no answer, the clock has stopped, or what it holds is no time; out is unchanged.
        """
        data = self._bytes
        self._registers.read(_SECONDS, data)
        if data[_SECONDS] & 0x80 or data[_CONTROL] & _STOPPED:
            self._registers.fail(5, _CONTROL, "the clock has stopped, set it")
        for i in range(6):
            self._number(i)
        for i in range(6):
            out[offset + i] = self._number(i) + (2000 if i == 0 else 0)

    def set(self, year, month, day, hour, minute, second):
        """Set the clock and let it run. ValueError: a field out of range, nothing was written; OSError: no answer."""
        fields = (year - 2000, month, day, hour, minute, second)
        data = bytearray(b"\x00\x00\x00\x01\x00\x00\x00\x00")  # the day of the week is not kept: always 1
        for i in range(6):
            if not _LEAST[i] <= fields[i] <= _MOST[i]:
                got = fields[i] + (2000 if i == 0 else 0)
                raise ValueError(f"{self.units[i]}: got {got}, wanted it within its range")
            data[_PLACES[i]] = fields[i] // 10 << 4 | fields[i] % 10
        self._registers.write(_SECONDS, *data)

    def _number(self, i):
        byte = self._bytes[_PLACES[i]]
        number = 10 * (byte >> 4) + (byte & 15)
        if byte & 15 > 9 or not _LEAST[i] <= number <= _MOST[i]:
            self._registers.fail(5, _PLACES[i], f"got {byte:#x} as {self.units[i]}, wanted BCD in its range (24 hours)")
        return number

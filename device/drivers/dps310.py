"""DPS310 over I2C: temperature and pressure, 8 times a second, pressure of 8 conversions. No FIFO, no interrupts.

What Infineon's library writes to undocumented registers, against a fault of some chips' thermometer, is not done here.
Scaled readings are kept as integers over 2**19: the factor of single conversions is 2**19, that of 8 is 15 times it.

Source: Infineon's DPS310 data sheet: how to calculate compensated values, scale factors, register map.
"""

from .registers import Registers, clamp16, int16, scaled

_MEASURED = 0x00  # pressure 24 bits, temperature 24 bits
_STATUS = 0x08  # MEAS_CFG
_COEFFICIENTS_READY = 0x80
_MEASURED_READY = 0x30
_IDENTITY = 0x0D
_COEFFICIENTS = 0x10
_WHICH_THERMOMETER = 0x28  # bit 7: which the coefficients are for
_PRESSURE_RATE = (0x06, 0x33)
_TEMPERATURE_RATE = (0x07, 0x30)
_BOTH_ALWAYS = 0x07


class Dps310:
    """One chip.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x77 or 0x76, by its pin SDO.
    Raises:
        OSError: the chip does not answer, is another one, does not keep its settings, or (11) has its power for less
            than 40 ms and does not know its coefficients yet.
    """

    name = "dps310"
    units = ("1/256 degC", "4 Pa")

    def __init__(self, i2c, address=0x77):
        self._registers = registers = Registers(self.name, i2c, address)
        self._bytes = bytearray(6)
        self._ready = 0
        registers.expect(_IDENTITY, 0x10)
        if not registers.get(_STATUS) & _COEFFICIENTS_READY:
            registers.fail(11, _STATUS, "coefficients not ready, begin again in 40 ms")
        data = bytearray(18)
        registers.read(_COEFFICIENTS, data)
        self._c = _coefficients(data)
        registers.keep(*_PRESSURE_RATE)
        which = registers.get(_WHICH_THERMOMETER) & 0x80
        registers.keep(_TEMPERATURE_RATE[0], _TEMPERATURE_RATE[1] | which)
        registers.keep(_STATUS, _BOTH_ALWAYS, 0x07)

    def read(self, out, offset=0):
        """Write temperature and pressure, int16 in 1/256 degC and 4 Pa, to out[offset:offset + 2].

        Raises:
            OSError: no answer, or (11) nothing is measured yet, 20 ms after the start; out is unchanged.
        """
        data = self._bytes
        if self._ready != _MEASURED_READY:
            self._ready |= self._registers.get(_STATUS) & _MEASURED_READY
            if self._ready != _MEASURED_READY:
                self._registers.fail(11, _STATUS, "nothing is measured yet, read again in 20 ms")
        self._registers.read(_MEASURED, data)
        c0, c1, c00, c10, c01, c11, c20, c21, c30 = self._c
        p = (int16(data[0], data[1]) << 8 | data[2]) // 15
        t = int16(data[3], data[4]) << 8 | data[5]
        pascal = c00 + scaled(c10 + scaled(c20 + scaled(c30, p, 19), p, 19), p, 19)
        pascal += scaled(c01 + scaled(c11 + scaled(c21, p, 19), p, 19), t, 19)
        out[offset] = clamp16(c0 * 128 + (c1 * (t >> 3) >> 8))
        out[offset + 1] = clamp16(pascal >> 2)


def _signed(value, bits):
    return value - (1 << bits) if value >> bits - 1 else value


def _coefficients(data):
    """c0, c1 (12 bits), c00, c10 (20), c01, c11, c20, c21, c30 (16), as they lie from register 0x10 on."""
    c0 = _signed(data[0] << 4 | data[1] >> 4, 12)
    c1 = _signed((data[1] & 15) << 8 | data[2], 12)
    c00 = _signed(data[3] << 12 | data[4] << 4 | data[5] >> 4, 20)
    c10 = _signed((data[5] & 15) << 16 | data[6] << 8 | data[7], 20)
    return (c0, c1, c00, c10) + tuple([int16(data[i], data[i + 1]) for i in range(8, 18, 2)])

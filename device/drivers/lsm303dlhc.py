"""LSM303DLHC magnetometer over I2C: three axes at 75 Hz and the finest gain, in raw counts. Not its accelerometer.

The axes lie in the registers in the order x, z, y, and the address counts up by itself within them. Gain is as at reset
(1100 counts a gauss in x and y, 980 in z); a field beyond it reads -4096. Registers are written one at a time.

Source: STMicroelectronics' LSM303DLHC data sheet, DocID018771.
"""

from .registers import Registers, int16

_FIELD = 0x03  # OUT_X_H_M
_IDENTITY = ((0x0A, 0x48), (0x0B, 0x34), (0x0C, 0x33))  # IRA_REG_M, IRB, IRC: "H43"
_SETTINGS = ((0x00, 0x18), (0x01, 0x20), (0x02, 0x00))  # CRA, CRB, MR: 75 Hz; +-1.3 gauss; continuous


class Lsm303dlhc:
    """One chip's magnetometer.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x1E, fixed.
    Raises:
        OSError: the chip does not answer, or is another one.
    """

    name = "lsm303dlhc"
    units = ("1/1100 gauss", "1/1100 gauss", "1/980 gauss")

    def __init__(self, i2c, address=0x1E):
        self._registers = Registers(self.name, i2c, address)
        self._bytes = bytearray(6)
        for register, value in _IDENTITY:
            self._registers.expect(register, value)
        for register, value in _SETTINGS:
            self._registers.write(register, value)

    def read(self, out, offset=0):
        """Write x, y, z, int16 counts in -2048..2047 (-4096: too strong), to out[offset:offset + 3].

        Raises:
            OSError: the chip does not answer; out is unchanged.
        """
        data = self._bytes
        self._registers.read(_FIELD, data)
        out[offset] = int16(data[0], data[1])
        out[offset + 1] = int16(data[4], data[5])
        out[offset + 2] = int16(data[2], data[3])

"""LSM303DLHC magnetometer over I2C: three axes at 75 Hz and the finest gain, in raw counts. Not its accelerometer.

The axes lie in the registers in the order x, z, y, and the address counts up by itself within them. Gain is as at reset
(1100 counts a gauss in x and y, 980 in z); a field beyond it reads -4096. Registers are written one at a time.

Source: STMicroelectronics' LSM303DLHC data sheet, DocID018771.
"""

_RATE = 0x00  # CRA_REG_M
_GAIN = 0x01  # CRB_REG_M
_MODE = 0x02  # MR_REG_M
_FIELD = 0x03  # OUT_X_H_M
_IDENTITY = 0x0A  # IRA_REG_M, then IRB, IRC
_SETTINGS = ((_RATE, 0x18), (_GAIN, 0x20), (_MODE, 0x00))  # 75 Hz; +-1.3 gauss; continuous


class Lsm303dlhc:
    """One chip's magnetometer.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x1E, fixed.
    Raises:
        OSError: the chip does not answer, or is another one.
    """

    name = "lsm303dlhc"

    def __init__(self, i2c, address=0x1E):
        self._i2c = i2c
        self._address = address
        self._bytes = bytearray(6)
        identity = bytearray(3)
        self._read_into(_IDENTITY, identity)
        if identity != b"H43":
            raise OSError(19, f"lsm303dlhc at {address:#x}: register 0xa: got {bytes(identity)}, wanted b'H43'")
        for register, value in _SETTINGS:
            try:
                i2c.writeto_mem(address, register, bytes([value]))
            except OSError as error:
                self._fail(error, register)

    def read(self, out, offset=0):
        """Write x, y, z, int16 counts in -2048..2047 (-4096: too strong), to out[offset:offset + 3].

        Raises:
            OSError: the chip does not answer; out is unchanged.
        """
        self._read_into(_FIELD, self._bytes)
        for axis, at in ((0, 0), (1, 4), (2, 2)):
            value = self._bytes[at] << 8 | self._bytes[at + 1]
            out[offset + axis] = value - 0x10000 if value & 0x8000 else value

    def _read_into(self, register, buffer):
        try:
            self._i2c.readfrom_mem_into(self._address, register, buffer)
        except OSError as error:
            self._fail(error, register)

    def _fail(self, error, register):
        raise OSError(error.args[0], f"lsm303dlhc at {self._address:#x}: register {register:#x}: no answer") from error

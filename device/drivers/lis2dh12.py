"""LIS2DH12 and LIS3DH accelerometers over I2C: three axes, +-2 g, 12 bits at 100 Hz. No FIFO, no interrupts.

Both chips have these registers and the same identity. Before the first conversion (10 ms) they give zeros.

Source: STMicroelectronics' LIS2DH12 data sheet, DocID025056, and LIS3DH's, DocID17530: high-resolution mode has 1 mg a
digit, left-justified; with block data update both bytes of an axis are of one conversion.
"""

from .registers import Registers, int16

_IDENTITY = 0x0F  # WHO_AM_I
_ACCELERATION = 0x28 | 0x80  # OUT_X_L; the high bit lets the address count up
_SETTINGS = ((0x20, 0x57), (0x23, 0x88))  # CTRL_REG1: 100 Hz, all axes; CTRL_REG4: BDU, +-2 g, high resolution


class Lis2dh12:
    """One chip.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x18 or 0x19, by its pin SA0.
    Raises:
        OSError: the chip does not answer, is another one, or does not keep its settings.
    """

    name = "lis2dh12"
    units = ("1/1000 g",) * 3

    def __init__(self, i2c, address=0x18):
        self._registers = Registers(self.name, i2c, address)
        self._bytes = bytearray(6)
        self._registers.expect(_IDENTITY, 0x33)
        for register, value in _SETTINGS:
            self._registers.keep(register, value)

    def read(self, out, offset=0):
        """Write x, y, z, int16 in 1/1000 g in -2048..2047, to out[offset:offset + 3]. OSError: no answer."""
        data = self._bytes
        self._registers.read(_ACCELERATION, data)
        for axis in range(3):
            out[offset + axis] = int16(data[2 * axis + 1], data[2 * axis]) >> 4

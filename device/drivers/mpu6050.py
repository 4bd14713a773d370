"""MPU-6050 over I2C: acceleration (+-2 g) and rotation (+-250 degrees a second), raw. No FIFO, no motion processor.

The chip starts asleep; it is woken on the gyroscope's clock, filtered to 21 Hz and sampled at 50 Hz. Until the first
sample, some 30 ms later, it gives zeros.

Source: InvenSense's MPU-6000/MPU-6050 register map, RM-MPU-6000A, and product specification, PS-MPU-6000A.
"""

from .registers import Registers, int16

_IDENTITY = 0x75  # WHO_AM_I
_MEASURED = 0x3B  # acceleration, temperature, rotation, two bytes each
_PLACES = b"\x00\x02\x04\x08\x0a\x0c"  # without the temperature, which is the die's
# PWR_MGMT_1: awake, clock of gyroscope x; SMPLRT_DIV: 1 kHz / 20; CONFIG: 21 Hz; GYRO_CONFIG, ACCEL_CONFIG: the finest
_SETTINGS = ((0x6B, 0x01), (0x19, 0x13), (0x1A, 0x04), (0x1B, 0x00), (0x1C, 0x00))


class Mpu6050:
    """One chip.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x68 or 0x69, by its pin AD0.
    Raises:
        OSError: the chip does not answer, is another one, or does not keep its settings.
    """

    name = "mpu6050"
    units = ("1/16384 g",) * 3 + ("1/131 deg/s",) * 3

    def __init__(self, i2c, address=0x68):
        self._registers = Registers(self.name, i2c, address)
        self._bytes = bytearray(14)
        self._registers.expect(_IDENTITY, 0x68)
        for register, value in _SETTINGS:
            self._registers.keep(register, value)

    def read(self, out, offset=0):
        """Write acceleration x, y, z and rotation x, y, z, int16, to out[offset:offset + 6]. OSError: no answer."""
        data = self._bytes
        self._registers.read(_MEASURED, data)
        for i in range(6):
            out[offset + i] = int16(data[_PLACES[i]], data[_PLACES[i] + 1])

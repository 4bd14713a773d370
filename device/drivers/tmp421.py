"""TMP421 thermometer over I2C: its own temperature and that of a diode or transistor at its remote pins, 12 bits each.

Standard range (-40 to 127 degC), 8 conversions a second, as at reset. No ideality correction, no one-shot, no alert.

Source: Texas Instruments' TMP421 data sheet, SBOS398: two-byte reads of a temperature, faults in its low byte.
"""

from .registers import Registers, int16

_LOCAL = 0x00  # the high byte, and the low byte after it
_REMOTE = 0x01
_CONFIGURATION = 0x09  # bit 6 shutdown, bit 2 extended range
_IDENTITY = ((0xFE, 0x55), (0xFF, 0x21))
_VALUE = 0xF0  # of a low byte
_FAULTS = 0x03


class Tmp421:
    """One chip.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x1C..0x1F, 0x2A, 0x2B or 0x4C..0x4F, by the pins A0 and A1.
        channels: 1 for its own temperature, 2 for the remote one as well.
    Raises:
        OSError: the chip does not answer, is another one, or does not keep its settings.
        ValueError: channels.
    """

    name = "tmp421"

    def __init__(self, i2c, address=0x4C, channels=1):
        if channels not in (1, 2):
            raise ValueError(f"channels: got {channels}, wanted 1 or 2")
        self.units = ("1/256 degC",) * channels
        self._registers = Registers(self.name, i2c, address)
        self._local = bytearray(2)
        self._remote = bytearray(2)
        for register, value in _IDENTITY:
            self._registers.expect(register, value)
        self._registers.keep(_CONFIGURATION, 0)

    def read(self, out, offset=0):
        """Write the temperatures, int16 in 1/256 degC in steps of 16, to out[offset:].

        Raises:
            OSError: no answer, nothing at the remote pins, or the supply is too low; out is unchanged.
        """
        self._measure(_LOCAL, self._local)
        if len(self.units) == 2:
            self._measure(_REMOTE, self._remote)
            out[offset + 1] = int16(self._remote[0], self._remote[1] & _VALUE)
        out[offset] = int16(self._local[0], self._local[1] & _VALUE)

    def _measure(self, register, data):
        self._registers.read(register, data)
        faults = data[1] & _FAULTS
        if faults:
            what = f"got fault {faults}, wanted none (1: nothing at DXP and DXN, 2: the supply is too low)"
            self._registers.fail(5, register, what)

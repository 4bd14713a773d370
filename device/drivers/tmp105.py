"""TMP105 thermometer over I2C: its 12-bit temperature, continuously converted. No alert, no shutdown, no averaging.

The chip has no identity register, so the configuration is read back instead.

Source: Texas Instruments' TMP105 data sheet, SBOS648 (12 bits take some 220 ms; `read` gives the last conversion).
"""

from .registers import Registers, int16

_TEMPERATURE = 0
_CONFIGURATION = 1
_TWELVE_BITS = 0x60  # R1 R0 = 11; shutdown, one-shot and the alert's bits zero
_CHECKED = 0x7F  # all but the one-shot bit, which reads as 0 or 1, by revision


class Tmp105:
    """One chip.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x48..0x4F, by the pins A0 to A2.
    Raises:
        OSError: the chip does not answer, or does not keep its configuration.
    """

    name = "tmp105"
    units = ("1/256 degC",)

    def __init__(self, i2c, address=0x48):
        self._registers = Registers(self.name, i2c, address)
        self._bytes = bytearray(2)
        self._registers.keep(_CONFIGURATION, _TWELVE_BITS, _CHECKED)

    def read(self, out, offset=0):
        """Write the temperature, int16 in 1/256 degC in steps of 16, to out[offset]. OSError: no answer."""
        self._registers.read(_TEMPERATURE, self._bytes)
        out[offset] = int16(self._bytes[0], self._bytes[1])

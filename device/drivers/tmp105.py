"""TMP105 thermometer over I2C: its 12-bit temperature, continuously converted. No alert, no shutdown, no averaging.

The chip has no identity register, so the configuration is read back instead.

Source: Texas Instruments' TMP105 data sheet (12 bits take some 220 ms; `read` gives the last conversion).
"""

_TEMPERATURE = 0
_CONFIGURATION = 1
_TWELVE_BITS = 0x60  # R1 R0 = 11; shutdown, one-shot and the alert's bits zero
_ONE_SHOT = 0x80  # reads as 0 or 1, by revision


class Tmp105:
    """One chip.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x48..0x4F, by the pins A0 to A2.
    Raises:
        OSError: the chip does not answer, or does not keep its configuration.
    """

    name = "tmp105"

    def __init__(self, i2c, address=0x48):
        self._i2c = i2c
        self._address = address
        self._bytes = bytearray(2)
        try:
            i2c.writeto_mem(address, _CONFIGURATION, bytes([_TWELVE_BITS]))
            got = i2c.readfrom_mem(address, _CONFIGURATION, 1)[0] & ~_ONE_SHOT
        except OSError as error:
            raise OSError(error.args[0], f"tmp105 at {address:#x}: configuration register: no answer") from error
        if got != _TWELVE_BITS:
            raise OSError(19, f"tmp105 at {address:#x}: configuration register: got {got:#x}, wanted {_TWELVE_BITS:#x}")

    def read(self, out, offset=0):
        """Write the temperature, int16 in 1/256 degC in steps of 16, to out[offset]. OSError: no answer."""
        try:
            self._i2c.readfrom_mem_into(self._address, _TEMPERATURE, self._bytes)
        except OSError as error:
            raise OSError(error.args[0], f"tmp105 at {self._address:#x}: temperature register: no answer") from error
        value = self._bytes[0] << 8 | self._bytes[1]
        out[offset] = value - 0x10000 if value & 0x8000 else value

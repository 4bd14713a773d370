"""EMC1413 thermometer over I2C: its own temperature and those of two diodes, 11 bits each. No limits, no alert.

Default range (0 to 127 degC are specified, below it counts on to -64), 4 conversions a second, as at reset.

Source: Microchip's (SMSC's) EMC1412/EMC1413/EMC1414 data sheet: reading a high byte holds its low byte.
"""

from .registers import Registers, int16

_HIGH = b"\x00\x01\x23"  # registers: internal, external 1, external 2
_LOW = b"\x29\x10\x24"
_CONFIGURATION = 0x03  # bit 6 stop, bit 2 extended range
_DIODE_FAULT = 0x1B  # bit 1: external 1, bit 2: external 2
_IDENTITY = ((0xFD, 0x21), (0xFE, 0x5D))
_VALUE = 0xE0  # of a low byte


class Emc1413:
    """One chip.

    Args:
        i2c: MicroPython's machine.I2C or its like.
        address: 0x4C for EMC1413-1, 0x4D for EMC1413-2, others by the resistor at its pin.
        channels: 1 for its own temperature, 2 and 3 for those of the diodes as well.
    Raises:
        OSError: the chip does not answer, is another one, or does not keep its settings.
        ValueError: channels.
    """

    name = "emc1413"

    def __init__(self, i2c, address=0x4C, channels=1):
        if channels not in (1, 2, 3):
            raise ValueError(f"channels: got {channels}, wanted 1, 2 or 3")
        self.units = ("1/256 degC",) * channels
        self._registers = Registers(self.name, i2c, address)
        self._bytes = bytearray(2 * channels)
        for register, value in _IDENTITY:
            self._registers.expect(register, value)
        self._registers.keep(_CONFIGURATION, 0)

    def read(self, out, offset=0):
        """Write the temperatures, int16 in 1/256 degC in steps of 32, to out[offset:].

        Raises:
            OSError: no answer, or a diode is open or shorted; out is unchanged.
        """
        registers, data, channels = self._registers, self._bytes, len(self.units)
        for channel in range(channels):
            data[2 * channel] = registers.get(_HIGH[channel])
            data[2 * channel + 1] = registers.get(_LOW[channel]) & _VALUE
        if channels > 1:
            faults = registers.get(_DIODE_FAULT) & ((1 << channels) - 2)
            if faults:
                registers.fail(5, _DIODE_FAULT, f"got {faults:#x}, wanted the diodes connected, or fewer channels")
        for channel in range(channels):
            out[offset + channel] = int16(data[2 * channel], data[2 * channel + 1])

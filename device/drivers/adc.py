"""Voltages at pins, as this board's converter reads them: raw, no calibration, no averaging.

Source: MicroPython's machine.ADC: read_u16 gives 0..65535 on every port, whatever the converter's own bits.
"""


class Adc:
    """Some pins.

    Args:
        pins: MicroPython's machine.ADC or its like, one a value.
    Raises:
        ValueError: no pins.
    """

    name = "adc"

    def __init__(self, *pins):
        if not pins:
            raise ValueError("pins: got none, wanted at least one machine.ADC")
        self.units = ("1/32768 of the reference",) * len(pins)
        self._pins = pins

    def read(self, out, offset=0):
        """Write each pin's voltage, 0..32767 in 1/32768 of the reference, to out[offset:]. It cannot fail."""
        for pin in self._pins:
            out[offset] = pin.read_u16() >> 1
            offset += 1

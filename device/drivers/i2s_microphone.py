"""A microphone on I2S (as INMP441, ICS-43434): how loud it is. It keeps no sound.

Sources: MicroPython's machine.I2S, whose readinto returns at once when there is an irq handler; TDK's INMP441 data
sheet: 24 bits, left in slots of 32.
"""

from array import array

from .level import UNITS, write_level


class I2sMicrophone:
    """A microphone on I2S. It hears a block, then nothing until `read` has taken it.

    A `read` of 256 frames takes some 700,000 instructions (Cortex-M3, emulated).

    Args:
        i2s: MicroPython's machine.I2S or its like, begun with mode=I2S.RX, bits=32, format=I2S.MONO.
        frames: in a block, 2 or more.
    Raises:
        ValueError: frames.
    """

    name = "i2s_microphone"
    units = UNITS

    def __init__(self, i2s, frames=256):
        if frames < 2:
            raise ValueError(f"frames: got {frames}, wanted 2 or more")
        self._i2s = i2s
        self._block = array("h", bytes(4 * frames))  # low and high half of each slot; the high one counts
        self._full = False
        i2s.irq(self._filled)
        i2s.readinto(self._block)

    def read(self, out, offset=0):
        """Write mean and peak, 0..32767, to out[offset:offset + 2], and begin the next block.

        Raises:
            OSError: (11) the block is not full yet, or all its frames are alike; out is unchanged.
        """
        if not self._full:
            raise OSError(11, f"{self.name}: the block is not full yet, read again when its frames have come")
        try:
            write_level(self.name, self._block, 1, 2, out, offset)
        finally:
            self._full = False
            self._i2s.readinto(self._block)

    def _filled(self, i2s):
        self._full = True

"""A microphone with PDM (as MP34DT01, SPH0641) on an SPI bus's clock and data: how loud it is. It keeps no sound.

Source: STMicroelectronics' MP34DT01-M data sheet: a bit a clock, full scale at all ones and at all zeros.
"""

from array import array

from .level import UNITS, write_level

_ONES = b"\x00\x01\x01\x02\x01\x02\x02\x03\x01\x02\x02\x03\x02\x03\x03\x04"  # set bits of four
_BYTES = 8  # of a bit stream, that make a frame


class PdmMicrophone:
    """A PDM microphone whose clock and data are those of an SPI bus. It hears during `read` alone.

    A frame is 128 bits under a triangle, one each 64 bits (CIC of second order), so at 1 MHz a block of 512 bytes is
    4 ms and 15,600 frames a second; its `read` takes some 1,100,000 instructions (Cortex-M3, emulated).

    Args:
        spi: MicroPython's machine.SPI or its like, at the microphone's clock (1 to 3.2 MHz).
        length: bytes of a block, a multiple of 8, 32 or more.
    Raises:
        ValueError: length.
    """

    name = "pdm_microphone"
    units = UNITS

    def __init__(self, spi, length=512):
        if length % _BYTES or length < 4 * _BYTES:
            raise ValueError(f"length: got {length}, wanted a multiple of {_BYTES}, {4 * _BYTES} or more")
        self._spi = spi
        self._bits = bytearray(length)
        self._frames = array("h", bytes(2 * (length // _BYTES - 1)))

    def read(self, out, offset=0):
        """Hear a block and write its mean and peak, 0..32767, to out[offset:offset + 2].

        Raises:
            OSError: all frames are alike; out is unchanged.
        """
        self._spi.readinto(self._bits)
        first = second = before = slope = 0
        for i in range(len(self._bits)):
            first += _ONES[self._bits[i] >> 4] + _ONES[self._bits[i] & 15]
            second += first
            if i % _BYTES == _BYTES - 1:
                if i >= _BYTES:
                    # 0..512 ones under the triangle, 256 at silence
                    self._frames[i // _BYTES - 1] = (second - before - slope - 256) * 127
                slope = second - before
                before = second
        write_level(self.name, self._frames, 0, 1, out, offset)

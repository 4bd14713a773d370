"""Samples of a board without sensors: waves that are computed, which its source's name says; they measure nothing."""

from micropython import const

_TURN = const(512)
_HIGH = const(1000)
_WARM = const(5376)  # 21 degC in 1/256


class Waves:
    """A source of samples: a temperature that stays, and three triangles of 1/1000 g, a third of a turn apart."""

    name = "waves, computed"

    def __init__(self):
        self._at = 0

    def read(self, out):
        """Write a sample to out, array('h') of 4 -> True."""
        self._at = (self._at + 1) % _TURN
        out[0] = _WARM
        for axis in range(3):
            place = (self._at * (axis + 1) + axis * _TURN // 3) % _TURN
            out[1 + axis] = abs(place - _TURN // 2) * 4 * _HIGH // _TURN - _HIGH
        return True

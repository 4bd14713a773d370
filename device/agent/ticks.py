"""Arithmetic of a millisecond clock that wraps at 2**30; refuses to know absolute time.

Two ticks compare rightly while they lie less than 2**29 ms (6.2 days) apart; nothing here waits longer.
Source: MicroPython's time.ticks_diff and ticks_add.
"""

from .cbor import const

PERIOD = const(0x40000000)
HALF = const(0x20000000)


def add(ticks, delta_ms):
    """ticks + delta_ms, wrapped."""
    return (ticks + delta_ms) & (PERIOD - 1)


def diff(end, start):
    """Milliseconds from start to end, in -2**29 .. 2**29 - 1."""
    return ((end - start + HALF) & (PERIOD - 1)) - HALF


class Uptime:
    """s: whole seconds since it was made, as far as `tick` saw them pass; a clock that goes back takes none away."""

    def __init__(self, now_ms):
        self.s = 0
        self._at_ms = now_ms

    def tick(self, now_ms):
        seconds = diff(now_ms, self._at_ms) // 1000
        self.s += max(0, seconds)
        self._at_ms = add(self._at_ms, 1000 * seconds)

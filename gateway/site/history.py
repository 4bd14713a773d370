"""What a running site remembers for its page's plots, bounded and pure; it is no evidence, and ends with the site.

What is paid is read from the evidence alone (oracle/). A restart begins with nothing. One thread tells it, others read
copies.
"""

import struct
from collections import deque
from typing import Any

POINTS = 96
OUTPUTS = 48
_POINT = struct.Struct("<qi")
_UNKNOWN = -1

Place = tuple[int, int]
"""Epoch and window."""


class History:
    """The last windows of the site, the last heartbeats and outputs of each device; 1,000 devices take some 6 MB."""

    def __init__(self) -> None:
        self._answered: dict[Place, int] = {}
        self._points: dict[bytes, deque[bytes]] = {}
        self._outputs: dict[bytes, deque[tuple[int, bytes, int]]] = {}

    def opened(self, place: Place) -> None:
        """A window was opened; the oldest of more than POINTS is forgotten."""
        self._answered.setdefault(place, 0)
        while len(self._answered) > POINTS:
            self._answered.pop(next(iter(self._answered)))

    def heard(self, device: bytes, place: Place, at_ms: int, after_ms: int | None) -> None:
        """A device's first heartbeat of a window; after_ms: since the window's opening, where that is known."""
        if place in self._answered:
            self._answered[place] += 1
        point = _POINT.pack(at_ms, _UNKNOWN if after_ms is None else after_ms)
        self._points.setdefault(device, deque(maxlen=POINTS)).append(point)

    def told(self, device: bytes, count: int, output: bytes, at_ms: int) -> None:
        """A device told an output of its encoder, int8 values; the same twice is one."""
        known = self._outputs.setdefault(device, deque(maxlen=OUTPUTS))
        if not known or known[-1] != (count, output, at_ms):
            known.append((count, output, at_ms))

    def windows(self) -> list[dict[str, int]]:
        """The last windows, oldest first, and how many devices answered each."""
        rows = self._answered.copy().items()
        return [{"epoch": epoch, "window": window, "answered": count} for (epoch, window), count in rows]

    def points(self, device: bytes) -> list[dict[str, int | None]]:
        """Each heartbeat that is remembered, oldest first: at_ms, and after_ms or None."""
        told = [_POINT.unpack(point) for point in self._points.get(device, deque[bytes]()).copy()]
        return [{"at_ms": at_ms, "after_ms": None if after == _UNKNOWN else after} for at_ms, after in told]

    def outputs(self, device: bytes) -> list[dict[str, Any]]:
        """Each output that is remembered, oldest first: count, at_ms, values of int8."""
        return [
            {"count": count, "at_ms": at_ms, "values": [(value ^ 0x80) - 0x80 for value in output]}
            for count, output, at_ms in self._outputs.get(device, deque[tuple[int, bytes, int]]()).copy()
        ]

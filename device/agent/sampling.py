"""Samples into windows, windows through the encoder, outputs into the chain; refuses to invent what is missing.

A sample is int16[4] of raw units. A model says how many channels it has, of which it takes the last ones (of
temperature, x, y, z one of three takes x, y, z), how long a window is and how far apart its samples are. A window is
int8[samples, channels], each value clamp((raw - offset) >> shift, -128, 127) with offset and shift of its channel.

A source has `name` (text, where its samples come from) and read(out) -> bool: it writes a sample to out, array('h') of
4, or says that there is none; it may raise OSError.

The last windows stay with their outputs in a ring of fixed size, so that one that a challenge names can be revealed.
"""

import hashlib
import struct
from array import array

from . import ticks
from .cbor import const

SAMPLE_MS = const(50)  # of a model that says nothing else
CHANNELS = const(4)  # of a sample
RING_SAMPLES = const(64)
RECEIPT_BYTES = const(1152)  # of the ring: 8 windows of the shipped encoder, with their outputs

_CHAIN_BYTES = const(16)
_SAMPLE_BYTES = const(8)


class Sampler:
    """count (inferences since boot), chain (their digest), counts of samples that are missing and why.

    listeners: functions (window, output) that are called after each inference; both are good until they return.
    """

    def __init__(self, source, model, offsets, shifts, now_ms: int, sample_ms: int = SAMPLE_MS):
        """
        Args:
            model: has run(window, out), input_bytes, output_bytes and cid, as `_tinyren.Model`. One whose is_attested
                is False may give other bytes elsewhere: then count and chain stay as at boot, and nothing is kept.
            offsets, shifts: one integer a channel, the model's, 1..4 of them. sample_ms: between two of its samples.
        Raises:
            ValueError: the model's input is no whole number of samples of so many channels.
        """
        channels = len(offsets)
        if not 0 < channels <= CHANNELS or len(shifts) != channels:
            raise ValueError("offsets, shifts: wanted one of each for 1 to 4 channels")
        if model.input_bytes % channels:
            raise ValueError("model: wanted an input of whole samples, as many values each as offsets")
        self.source = source
        self.count = 0
        self.counts = {"late": 0, "missing": 0, "source": 0}
        self.listeners = []
        self.input_bytes, self.output_bytes = model.input_bytes, model.output_bytes
        self._model = model
        self._offsets = offsets
        self._shifts = shifts
        self._sample = array("h", (0, 0, 0, 0))
        self._first = CHANNELS - channels
        self._sample_ms = sample_ms
        self._window = bytearray(model.input_bytes)
        self._filled = 0
        self._chained = bytearray(_CHAIN_BYTES + model.output_bytes)
        self._output = memoryview(self._chained)[_CHAIN_BYTES:]
        self._due_ms = now_ms
        self._is_attested = getattr(model, "is_attested", True)
        self._receipt = len(self._window) + model.output_bytes
        self._receipts = bytearray(max(1, RECEIPT_BYTES // self._receipt) * self._receipt)

    @property
    def chain(self) -> bytes:
        """16 bytes: zeros at boot, then after each inference SHA-256(chain | output)[:16]."""
        return bytes(self._chained[:_CHAIN_BYTES])

    @property
    def is_mid_window(self) -> bool:
        """Whether some but not all samples of a window are there."""
        return self._filled > 0

    def tick(self, now_ms: int):
        """Take the samples that are due. If more than a window is late, it is counted and left out."""
        late = ticks.diff(now_ms, self._due_ms) // self._sample_ms
        if late * len(self._offsets) > len(self._window):
            self.counts["late"] += late
            self._due_ms = now_ms
        while ticks.diff(now_ms, self._due_ms) >= 0:
            self._due_ms = ticks.add(self._due_ms, self._sample_ms)
            self._take()

    def ms_left(self, now_ms: int) -> int:
        """Milliseconds until the next sample is due, at least 0."""
        return max(0, ticks.diff(self._due_ms, now_ms))

    def reveal(self, count: int):
        """(window, output) of the inference that made `count` what it is given, both bytes; None if it is not kept.

        Kept are the last RECEIPT_BYTES // (bytes of window and output), at least one, of this boot.
        """
        if not 0 < count <= self.count or self.count - count >= len(self._receipts) // self._receipt:
            return None
        at = self._place(count)
        middle, end = at + len(self._window), at + self._receipt
        return bytes(self._receipts[at:middle]), bytes(self._receipts[middle:end])

    def _place(self, count):
        return (count - 1) * self._receipt % len(self._receipts)

    def _take(self):
        try:
            is_there = self.source.read(self._sample)
        except OSError:
            self.counts["source"] += 1
            return
        if not is_there:
            self.counts["missing"] += 1
            return
        for channel in range(len(self._offsets)):
            value = (self._sample[self._first + channel] - self._offsets[channel]) >> self._shifts[channel]
            self._window[self._filled] = min(127, max(-128, value)) & 0xFF
            self._filled += 1
        if self._filled == len(self._window):
            self._filled = 0
            self._model.run(self._window, self._output)
            if self._is_attested:
                self._keep()
            for listener in self.listeners:
                listener(self._window, self._output)

    def _keep(self):
        """Count the inference into the chain, and keep what went in and came out of it."""
        self._chained[:_CHAIN_BYTES] = hashlib.sha256(self._chained).digest()[:_CHAIN_BYTES]
        self.count += 1
        at = self._place(self.count)
        middle = at + len(self._window)
        self._receipts[at:middle] = self._window
        self._receipts[middle : at + self._receipt] = self._output


class LinkSource:
    """A source of samples that arrive over the link, for a board without a sensor bus; a ring of 64."""

    def __init__(self):
        self.name = "recorded over the link"
        self.dropped = 0
        self._ring = bytearray(RING_SAMPLES * _SAMPLE_BYTES)
        self._start = 0
        self._held = 0

    def push(self, name: str, samples: bytes):
        """Take samples (bytes of int16[n, 4], little-endian) from where `name` says; what does not fit is counted."""
        self.name = name
        for at in range(0, len(samples), _SAMPLE_BYTES):
            if self._held == RING_SAMPLES:
                self.dropped += (len(samples) - at) // _SAMPLE_BYTES
                return
            end = (self._start + self._held) % RING_SAMPLES * _SAMPLE_BYTES
            self._ring[end : end + _SAMPLE_BYTES] = samples[at : at + _SAMPLE_BYTES]
            self._held += 1

    def read(self, out) -> bool:
        if not self._held:
            return False
        sample = struct.unpack_from("<4h", self._ring, self._start * _SAMPLE_BYTES)
        for channel in range(CHANNELS):
            out[channel] = sample[channel]
        self._start = (self._start + 1) % RING_SAMPLES
        self._held -= 1
        return True

"""Samples into windows, windows through the encoder, outputs into the chain; refuses to invent what is missing.

A sample is int16[4] of raw units. A model says how many channels it has, of which it takes the last ones (of
temperature, x, y, z one of three takes x, y, z), how long a window is and how far apart its samples are. A window is
int8[samples, channels], each value clamp((raw - offset) >> shift, -128, 127) with offset and shift of its channel.

A source has `name` (text, where its samples come from) and read(out) -> bool: it writes a sample to out, array('h') of
4, or says that there is none; it may raise OSError.

The last windows before each of the last two heartbeats, and those since, stay with their outputs in memory of fixed
size, so that one that a challenge names can be revealed: a challenge comes when the next heartbeat may be sent already.
"""

import hashlib
import struct
from array import array

from . import ticks
from .cbor import const

SAMPLE_MS = const(50)  # of a model that says nothing else
CHANNELS = const(4)  # of a sample
RING_SAMPLES = const(64)
RECEIPT_BYTES = const(640)  # kept of a heartbeat: 4 windows of the shipped encoder, each with its output and chain

_CHAIN_BYTES = const(16)
_SAMPLE_BYTES = const(8)
_PARTS = const(3)  # since the last heartbeat, before it, and before the one before it


def kept_inferences(input_bytes: int, output_bytes: int) -> int:
    """How many of the inferences before a heartbeat every device keeps; none of a model whose windows are too large."""
    return RECEIPT_BYTES // (_CHAIN_BYTES + input_bytes + output_bytes)


class Sampler:
    """count (inferences since boot), chain (their digest), counts of samples that are missing and why; kept, of each
    heartbeat, so many inferences.

    listeners: functions (window, output) that are called after each inference; both are good until they return.
    """

    def __init__(self, source, model, offsets, shifts, now_ms: int, sample_ms: int = SAMPLE_MS, memory=None):
        """
        Args:
            model: has run(window, out), input_bytes, output_bytes and cid, as `_tinyren.Model`. One whose is_attested
                is False may give other bytes elsewhere: then count and chain stay as at boot, and nothing is kept.
            offsets, shifts: one integer a channel, the model's, 1..4 of them. sample_ms: between two of its samples.
            memory: at least 3 * RECEIPT_BYTES to keep windows in, overwritten; None: taken from the heap.
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
        self._receipt = _CHAIN_BYTES + len(self._window) + model.output_bytes
        self.kept = kept_inferences(model.input_bytes, model.output_bytes) if self._is_attested else 0
        self._receipts = memory or bytearray(_PARTS * self.kept * self._receipt)
        self._part = 0
        self._starts = [0] * _PARTS

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

    def pin(self):
        """A heartbeat has counted what is here: keep the last of it until the second heartbeat after it."""
        self._part = (self._part + 1) % _PARTS
        self._starts[self._part] = self.count

    def reveal(self, count: int):
        """(chain before, window, output) of the inference that made `count` what it is given; None if it is not kept.

        Kept are the last `kept` before each of the last two calls of `pin`, and since, of this boot.
        """
        end = self.count
        for back in range(_PARTS):
            part = (self._part - back) % _PARTS
            start = self._starts[part]
            if start < count <= end and end - count < self.kept:
                at = self._place(part, count)
                window = at + _CHAIN_BYTES
                output = window + len(self._window)
                receipt = memoryview(self._receipts)[: at + self._receipt]
                return bytes(receipt[at:window]), bytes(receipt[window:output]), bytes(receipt[output:])
            if not start:
                return None
            end = start
        return None

    def _place(self, part, count):
        return (part * self.kept + count % self.kept) * self._receipt

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
        self.count += 1
        if self.kept:
            at = self._place(self._part, self.count)
            window = at + _CHAIN_BYTES
            output = window + len(self._window)
            self._receipts[at:window] = self._chained[:_CHAIN_BYTES]
            self._receipts[window:output] = self._window
            self._receipts[output : at + self._receipt] = self._output
        self._chained[:_CHAIN_BYTES] = hashlib.sha256(self._chained).digest()[:_CHAIN_BYTES]


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

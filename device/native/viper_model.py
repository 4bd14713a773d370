"""Runs small artifacts (models/ARTIFACT.md) on MicroPython for which there is no native module; refuses every other.

It is the C kernels' arithmetic in viper code, several times slower, so nobody falls back to it unasked: whoever starts
an agent imports it by name where `_tinyren` and `tinyren_model` are missing, and says so. It takes narrow CONV and
DEPTHWISE, of which our encoders are made, and 50,000 multiply-accumulates at most.

An artifact is foreign bytes and viper code checks nothing, so every offset is checked when it is loaded. The file
needs no other of ours on the board. CPython, which has no viper, runs the same code as Python. Viper's integers have 32
bits on most cores and 64 on some: no step here leaves 32, and what is read of an array("i") is not negative.
"""

import hashlib
from array import array
from struct import unpack_from

try:
    import micropython
    from micropython import const
except ImportError:

    class micropython:
        @staticmethod
        def viper(function):
            return function

    def const(value):
        return value

    ptr8 = ptr32 = None


MACS_MAX = const(50000)
SIZE_MAX = const(16 << 20)
HEADER_BYTES = const(60)
RECORD_BYTES = const(48)
CHANNEL_BYTES = const(12)
DIGEST_BYTES = const(32)
RECORD = "<Bbbbb3B8B6H5I"
KINDS = ("CONV", "DEPTHWISE", "AVERAGE", "MAX", "MEAN", "ADD", "MUL", "LOOKUP", "SOFTMAX", "COPY")
NONE = 0xFFFFFFFF

# A layer's parameters: geometry as in its record, then int8 values with 128 added.
_KERNEL_H = const(0)
_KERNEL_W = const(1)
_STRIDE_H = const(2)
_STRIDE_W = const(3)
_DILATION_H = const(4)
_DILATION_W = const(5)
_PAD_TOP = const(6)
_PAD_LEFT = const(7)
_IN_H = const(8)
_IN_W = const(9)
_IN_C = const(10)
_OUT_H = const(11)
_OUT_W = const(12)
_OUT_C = const(13)
_IN_ZERO = const(14)
_OUT_ZERO = const(15)
_LOW = const(16)
_HIGH = const(17)
_IS_CONV = const(18)
_PATCH = const(19)  # bytes; CONV's is filled up to a multiple of 8


@micropython.viper
def _copy_patch(patch: ptr8, source: ptr8, p: ptr32, y: int, x: int) -> int:
    """The patch at (y, x), each value with 128 added; the sum of the values."""
    at = 0
    total = 0
    channels = p[_IN_C]
    ky = 0
    while ky < p[_KERNEL_H]:
        row = y + ky * p[_DILATION_H]
        kx = 0
        while kx < p[_KERNEL_W]:
            column = x + kx * p[_DILATION_W]
            end = at + channels
            if row < 0 or row >= p[_IN_H] or column < 0 or column >= p[_IN_W]:
                total += channels * (p[_IN_ZERO] - 128)
                while at < end:
                    patch[at] = p[_IN_ZERO]
                    at += 1
            else:
                i = (row * p[_IN_W] + column) * channels - at
                while at < end:
                    value = source[i + at] ^ 128
                    patch[at] = value
                    total += value - 128
                    at += 1
            kx += 1
        ky += 1
    while at < p[_PATCH]:
        patch[at] = 128
        at += 1
    return total


@micropython.viper
def _store_outputs(patch: ptr8, weights: ptr8, p: ptr32, table: ptr8, out: ptr8, at: int, total: int):
    """All channels of one patch, to out from `at` on; total: as _copy_patch gives it."""
    size = p[_PATCH]
    channels = p[_OUT_C]
    c = 0
    t = 0
    while c < channels:
        s = 0
        if p[_IS_CONV]:
            x = 0
            w = (c >> 2) * 4 * size + (c & 3) * 4
            while x < size:  # (weight + 128) * value; 128 * total is too much
                s += (weights[w] ^ 128) * (patch[x] - 128) + (weights[w + 1] ^ 128) * (patch[x + 1] - 128)
                s += (weights[w + 2] ^ 128) * (patch[x + 2] - 128) + (weights[w + 3] ^ 128) * (patch[x + 3] - 128)
                w += 16
                x += 4
            s -= total * 128
        else:
            x = c
            w = (c >> 2) * 4 * p[_KERNEL_H] * p[_KERNEL_W] + (c & 3)
            while x < size:
                s += ((weights[w] ^ 128) - 128) * (patch[x] - 128)
                w += 4
                x += channels
        s += (((table[t + 3] ^ 128) - 128) << 24) + (table[t + 2] << 16) + (table[t + 1] << 8) + table[t]
        # (s * multiplier + 2^30) >> 31, of products of 16 bits
        high = s >> 16
        low = s & 65535
        m_high = table[t + 6] + (table[t + 7] << 8)
        m_half = (table[t + 4] >> 1) + (table[t + 5] << 7)
        middle = low * m_high + ((low * m_half + ((low * (table[t + 4] & 1)) >> 1)) >> 15) + 16384
        other = high * (2 * m_half + (table[t + 4] & 1))
        y = high * m_high * 2 + (middle >> 15) + (other >> 15) + (((middle & 32767) + (other & 32767)) >> 15)
        # y / 2^-shift, ties away from zero; the shift is -1 to -31
        y = (y + (y >> 31)) >> (255 - table[t + 8])
        y = (y >> 1) + (y & 1) + p[_OUT_ZERO]
        if y < p[_LOW]:
            y = p[_LOW]
        if y > p[_HIGH]:
            y = p[_HIGH]
        out[at + c] = y ^ 128
        c += 1
        t += 12


def _header(artifact):
    """(layers, input bytes, output bytes, arena bytes) of an artifact that is whole; raises ValueError."""
    size = len(artifact)
    if size < HEADER_BYTES + DIGEST_BYTES or size > SIZE_MAX or unpack_from("<I", artifact, 4)[0] != size:
        raise ValueError("artifact is not as long as its header says")
    if bytes(artifact[:4]) != b"REN3":
        raise ValueError("artifact does not begin with REN3")
    if hashlib.sha256(artifact[:-DIGEST_BYTES]).digest() != bytes(artifact[-DIGEST_BYTES:]):
        raise ValueError("artifact: digest does not match, it is damaged")
    layers, *sizes = unpack_from("<IIII", artifact, 8)
    if not layers or not 0 < sizes[0] <= SIZE_MAX or not 0 < sizes[1] <= SIZE_MAX or sizes[2] > SIZE_MAX:
        raise ValueError("artifact's header names no layer, or an empty or too large window, embedding or arena")
    if HEADER_BYTES + layers * RECORD_BYTES > size - DIGEST_BYTES:
        raise ValueError("artifact is not as long as its header says")
    return [layers] + sizes


def _part(artifact, where, offset, size):
    if offset % 4 or offset + size > len(artifact) - DIGEST_BYTES:
        raise ValueError(where + ": weights or table outside the artifact or not aligned")
    return artifact[offset : offset + size]


class _Layer:
    """A checked record. source, target: where in the arena, or None for the window or the embedding."""

    def __init__(self, artifact, index, sizes):
        r = unpack_from(RECORD, artifact, HEADER_BYTES + index * RECORD_BYTES)
        name = KINDS[r[0] - 1] if 0 < r[0] <= len(KINDS) else f"of kind {r[0]}"
        where = f"layer {index} {name}"
        if r[0] > 2 or not r[0]:
            raise ValueError(where + ": wanted CONV or DEPTHWISE; others need the native module")
        if not r[5] & 1:
            raise ValueError(where + ": got one that is not narrow, wanted narrow; others need the native module")
        is_conv, geometry = r[0] == 1, r[8:22]
        kernel, in_c, out_c = r[8] * r[9], r[18], r[21]
        if 0 in r[8:14] or 0 in r[16:22] or r[3] > r[4] or not (is_conv or in_c == out_c):
            raise ValueError(where + ": shapes do not fit together")
        taps = kernel * in_c if is_conv else kernel
        self.patch_bytes = taps + 7 & ~7 if is_conv else taps * in_c
        self.macs = r[19] * r[20] * out_c * taps
        self.parameters = array("i", list(geometry) + [value + 128 for value in r[1:5]] + [is_conv, self.patch_bytes])
        in_bytes, out_bytes = r[16] * r[17] * in_c, r[19] * r[20] * out_c
        self.source = self._place(where, r[22], in_bytes, sizes[0], sizes[2])
        self.target = self._place(where, r[23], out_bytes, sizes[1], sizes[2])
        fours = out_c + 3 & ~3
        self.weights = _part(artifact, where, r[25], fours * (self.patch_bytes if is_conv else taps))
        self.table = _part(artifact, where, r[26], out_c * CHANNEL_BYTES)
        self._check_table(where, out_c)

    @staticmethod
    def _place(where, offset, size, wanted, arena_bytes):
        if size != wanted if offset == NONE else offset + size > arena_bytes:
            raise ValueError(where + ": outside the arena, window or embedding")
        return None if offset == NONE else (offset, offset + size)

    def _check_table(self, where, channels):
        for c in range(channels):
            _, multiplier, shift = unpack_from("<iii", self.table, c * CHANNEL_BYTES)
            if multiplier < 0 or not -31 <= shift <= -1:
                raise ValueError(where + ": a multiplier below 0 or a shift outside -31..-1")

    def run(self, source, out, patch):
        p = self.parameters
        at = 0
        y = -p[_PAD_TOP]
        for _ in range(p[_OUT_H]):
            x = -p[_PAD_LEFT]
            for _ in range(p[_OUT_W]):
                total = _copy_patch(patch, source, p, y, x)
                _store_outputs(patch, self.weights, p, self.table, out, at, total)
                at += p[_OUT_C]
                x += p[_STRIDE_W]
            y += p[_STRIDE_H]


class Model:
    """As `_tinyren.Model`: input_bytes, output_bytes, arena_bytes, cid (36 bytes) and run."""

    def __init__(self, artifact):
        """artifact: bytes, or a memoryview of memory that does not change, as of flash; it is used in place.

        Raises:
            ValueError: damaged, or outside what this module runs; the message names the layer.
        """
        artifact = memoryview(artifact)
        count, *sizes = _header(artifact)
        self.input_bytes, self.output_bytes, self.arena_bytes = sizes
        self.cid = bytes(artifact[24:HEADER_BYTES])
        layers, macs = [], 0
        for index in range(count):
            layers.append(_Layer(artifact, index, sizes))
            macs += layers[-1].macs
            if macs > MACS_MAX:
                raise ValueError(f"model: got {macs} multiply-accumulates or more, wanted at most {MACS_MAX}")
        self._patch = bytearray(max([layer.patch_bytes for layer in layers]))
        arena = memoryview(bytearray(self.arena_bytes))
        self._layers = [(layer, _region(arena, layer.source), _region(arena, layer.target)) for layer in layers]

    def run(self, window, out):
        """Encode one window; nothing is allocated.

        Args:
            window: input_bytes of int8 (bytes or bytearray), row-major; read only.
            out: output_bytes (bytearray), the caller's, overwritten; shares no memory with window.
        Raises:
            ValueError, TypeError: window or out is of another length, or out cannot be written; out is unchanged.
        """
        if len(out) != self.output_bytes:
            raise ValueError(f"out: got {len(out)} bytes, wanted {self.output_bytes}")
        if len(window) != self.input_bytes:
            raise ValueError(f"window: got {len(window)} bytes, wanted {self.input_bytes}")
        out[0] = out[0]  # viper would write into bytes, too
        for layer, source, target in self._layers:
            layer.run(window if source is None else source, out if target is None else target, self._patch)


def _region(arena, place):
    return None if place is None else arena[place[0] : place[1]]

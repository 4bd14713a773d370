"""A layer as the artifact holds it (ARTIFACT.md), and what every operator demands of its tensors before it becomes one.

It lowers nothing itself: lower.py and its neighbours do, for each operator.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import tflite

from models.graph import Graph, ModelRefused, Operator, Tensor

CONV, DEPTHWISE, AVERAGE, MAX, MEAN, ADD, MUL, LOOKUP, SOFTMAX, COPY = range(1, 11)
ELEMENTWISE = (ADD, MUL, LOOKUP, SOFTMAX)
NARROW, MINUS_SECOND, FILL = 1, 2, 1  # flags, each of its kinds
TAP_BYTES, LONE_TAP_BYTES = 5, 2  # of CONV's scratch: device/native/int8.h
SMALL, LARGE, TAPS_MAX = 255, 65535, 131064
BYTES_MAX = 16 << 20
REAL_MAX = 1 << 29  # so that a shift is at most 30

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Temporary:
    """A tensor between two layers of one operator; it is not in the model."""

    where: str
    size: int


@dataclass(frozen=True)
class Layer:
    """One layer. Shapes are (height, width, channels); inputs and output are tensors' indices or a Temporary.

    weights: int8 as the kernel reads them. table: int32. macs: of one run, padding included. fill: the COPY begins a
    tensor of which others may write the rest.
    """

    where: str
    kind: int
    inputs: tuple
    output: int | Temporary
    in_shape: Shape
    out_shape: Shape
    zeros: tuple[int, int] = (0, 0)
    clamp: tuple[int, int] = (-128, 127)
    flags: int = 0
    broadcast: int = 0
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    weights: np.ndarray | None = field(default=None, repr=False)
    table: np.ndarray | None = field(default=None, repr=False)
    macs: int = 0

    @property
    def constant_bytes(self) -> int:
        """What the artifact holds of the layer beside its record."""
        return sum(array.nbytes for array in (self.weights, self.table) if array is not None)

    @property
    def lead_bytes(self) -> int | None:
        """How far before its input the output must begin to overwrite only what was read; None: it never may.

        CONV and DEPTHWISE read from a patch's first byte on, and CONV writes two outputs at a time. Below the padding
        each row is like the one before it.
        """
        if self.kind not in (CONV, DEPTHWISE):
            return None
        (rows, width, channels), (_, in_w, in_c) = self.out_shape, self.in_shape

        def first_read(row: int, column: int) -> int:
            y, x = row * self.stride[0] - self.pad[0], column * self.stride[1] - self.pad[1]
            return (max(0, y) * in_w + max(0, x)) * in_c

        bend = self.pad[0] // self.stride[0]
        group = 2 if self.kind == CONV else 1
        return max(
            (row * width + column + group) * channels - min(first_read(row, column), first_read(row + 1, 0))
            for row in (max(0, min(row, rows - 1)) for row in (bend - 1, bend, bend + 1, rows))
            for column in range(width)
        )

    @property
    def scratch_bytes(self) -> int:
        """What the kernel needs beside input and output (device/native/int8.h)."""
        taps = self.kernel[0] * self.kernel[1] * self.in_shape[2]
        if self.kind == CONV:
            return (TAP_BYTES if self.out_shape[:2] != (1, 1) else LONE_TAP_BYTES) * (-(-taps // 8) * 8)
        if self.kind != DEPTHWISE:
            return 0
        ends = [
            (out - 1) * step + (count - 1) * gap
            for out, step, count, gap in zip(self.out_shape, self.stride, self.kernel, self.dilation, strict=False)
        ]
        inside = self.pad == (0, 0) and ends[0] < self.in_shape[0] and ends[1] < self.in_shape[1]
        return 0 if inside else taps


def demand_activation(operator: Operator, tensor: Tensor) -> None:
    """An int8 tensor of one scale, not too large; raises ModelRefused."""
    if tensor.kind != tflite.TensorType.INT8 or len(tensor.scales) != 1:
        kind = TYPE_NAMES.get(tensor.kind, tensor.kind)
        raise ModelRefused(
            f"{operator.where}: tensor {tensor.name} is not an int8 activation of one scale "
            f"(type {kind}, {len(tensor.scales)} scales)"
        )
    if tensor.scales[0] == 0 or not -128 <= tensor.zero_points[0] <= 127 or min(tensor.shape, default=1) < 1:
        raise ModelRefused(
            f"{operator.where}: tensor {tensor.name} has scale {tensor.scales[0]}, zero point "
            f"{tensor.zero_points[0]}, shape {tensor.shape}"
        )
    if tensor.size > BYTES_MAX:
        raise ModelRefused(
            f"{operator.where}: tensor {tensor.name} of shape {tensor.shape} has {tensor.size} bytes, "
            f"wanted at most {BYTES_MAX}"
        )


TYPE_NAMES = {code: name for name, code in vars(tflite.TensorType).items() if isinstance(code, int)}


def demand_fit(layer: Layer) -> None:
    """What a record's fields can hold (ARTIFACT.md); raises ModelRefused."""
    small = layer.kernel + layer.stride + layer.dilation
    if not all(1 <= value <= SMALL for value in small) or max(layer.pad) > SMALL:
        raise ModelRefused(
            f"{layer.where}: kernel {layer.kernel}, stride {layer.stride}, dilation {layer.dilation}, "
            f"padding {layer.pad}: wanted at most {SMALL} each"
        )
    if layer.kernel[0] * layer.kernel[1] * layer.in_shape[2] > TAPS_MAX:
        raise ModelRefused(
            f"{layer.where}: kernel {layer.kernel} over {layer.in_shape[2]} channels, wanted at most {TAPS_MAX} taps"
        )
    if not all(1 <= size <= LARGE for size in layer.in_shape + layer.out_shape):
        raise ModelRefused(f"{layer.where}: shape {layer.in_shape} to {layer.out_shape}: wanted 1 to {LARGE} each")


def image_shape(operator: Operator, tensor: Tensor) -> Shape:
    """(height, width, channels) of [1, h, w, c]; raises ModelRefused."""
    if len(tensor.shape) != 4 or tensor.shape[0] != 1:
        raise ModelRefused(f"{operator.where}: tensor {tensor.name} has shape {tensor.shape}, wanted [1, h, w, c]")
    return tensor.shape[1:]


def folded_shape(shape: tuple[int, ...]) -> Shape:
    """Any shape as (height, width, channels) in the same order of bytes: the last two as they are."""
    padded = (1, 1, *shape)
    return math.prod(padded[:-2]), padded[-2], padded[-1]


def constant(graph: Graph, operator: Operator, slot: int, kind: int) -> Tensor:
    """The constant input at a slot; raises ModelRefused."""
    index = operator.inputs[slot] if slot < len(operator.inputs) else -1
    tensor = graph.tensors[index] if index >= 0 else None
    if tensor is None or tensor.data is None or tensor.kind != kind:
        raise ModelRefused(f"{operator.where}: input {slot} is not a constant of type {TYPE_NAMES[kind]}")
    return tensor


def demand_same_scale(operator: Operator, tensors: list[Tensor]) -> None:
    """Kernels that move or choose values want one scale and zero point; raises ModelRefused."""
    if len({(tensor.scales, tensor.zero_points) for tensor in tensors}) != 1:
        raise ModelRefused(f"{operator.where}: input and output differ in scale or zero point")


def bounded_multiplier(operator: Operator, real: float) -> float:
    """A real multiplier whose shift a kernel takes; raises ModelRefused."""
    if not 0 <= real < REAL_MAX:
        raise ModelRefused(f"{operator.where}: real multiplier {real}, wanted below 2^29")
    return real


def activation_clamp(operator: Operator, target: Tensor, kind: int | None = None) -> tuple[int, int]:
    """The activation in output units; the quotient is float32 in the reference, ties away from zero."""
    scale, zero = np.float32(target.scales[0]), target.zero_points[0]

    def quantize(real: float) -> int:
        with np.errstate(over="ignore"):
            steps = math.floor(min(float(np.float32(abs(real)) / scale), 512.0) + 0.5)
        return zero + (steps if real > 0 else -steps)

    kinds = tflite.ActivationFunctionType
    kind = operator.options["FusedActivationFunction"] if kind is None else kind
    if kind == kinds.NONE:
        return -128, 127
    if kind == kinds.RELU:
        return max(-128, zero), 127
    if kind == kinds.RELU6:
        return max(-128, zero), min(127, quantize(6.0))
    if kind == kinds.RELU_N1_TO_1:
        return max(-128, quantize(-1.0)), min(127, quantize(1.0))
    raise ModelRefused(f"{operator.where}: fused activation {kind}, wanted NONE, RELU, RELU6 or RELU_N1_TO_1")

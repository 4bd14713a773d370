"""Lowers a graph's operators to the three layers that devices run, in integers only; refuses every other operator.

* FULLY_CONNECTED is a CONV over rows of one pixel; DEPTHWISE_CONV_2D with a multiplier above 1 is a CONV whose other
  taps are zero; RESHAPE moves nothing, so it only renames a buffer (artifact.py).
* The input's zero point is folded into the bias: bias - zero * sum(weights), modulo 2^32 as the reference's sum is.
* Multipliers follow tflite-runtime 2.14: per-channel scales multiplied as doubles, those of a per-tensor
  FULLY_CONNECTED as float32.
Source: TensorFlow Lite int8 quantisation specification and reference kernels.
"""

import math
from dataclasses import dataclass

import numpy as np
import tflite

from models.graph import Graph, ModelRefused, Operator, Tensor

CONV, DEPTHWISE, AVERAGE = 1, 2, 3
SMALL, LARGE, TAPS_MAX = 255, 65535, 131071
REAL_MAX = 1 << 29  # so that a shift is at most 30


@dataclass(frozen=True)
class Layer:
    """One layer as the artifact holds it. Shapes are (height, width, channels); weights int8[taps, channels] with the
    channels last, channels int32[out channels, 3] = bias, multiplier, shift; both None for AVERAGE."""

    where: str
    kind: int
    input: int
    output: int
    zeros: tuple[int, int]
    clamp: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int]
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    weights: np.ndarray | None = None
    channels: np.ndarray | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run, padding included."""
        return 0 if self.weights is None else self.out_shape[0] * self.out_shape[1] * self.weights.size


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) with real ~ multiplier * 2^(shift - 31), as TFLite's QuantizeMultiplier."""
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def lower_operator(graph: Graph, operator: Operator) -> Layer:
    """The layer of any operator but RESHAPE; raises ModelRefused."""
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.output]
    for tensor in (source, target):
        _demand_activation(operator, tensor)
    layer = LOWER[operator.name](graph, operator, source, target)
    _demand_fit(layer)
    return layer


def _demand_activation(operator: Operator, tensor: Tensor) -> None:
    if tensor.kind != tflite.TensorType.INT8 or tensor.data is not None or len(tensor.scales) != 1:
        raise ModelRefused(f"{operator.where}: tensor {tensor.name} is not an int8 activation of one scale")
    if tensor.scales[0] == 0 or not -128 <= tensor.zero_points[0] <= 127 or min(tensor.shape, default=0) < 1:
        raise ModelRefused(
            f"{operator.where}: tensor {tensor.name} has scale {tensor.scales[0]}, zero point "
            f"{tensor.zero_points[0]}, shape {tensor.shape}"
        )


def _demand_fit(layer: Layer) -> None:
    """What a record's fields can hold (ARTIFACT.md)."""
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
    if max(layer.in_shape + layer.out_shape) > LARGE:
        raise ModelRefused(f"{layer.where}: shape {layer.in_shape} to {layer.out_shape}: wanted at most {LARGE} each")


def _shape(operator: Operator, tensor: Tensor) -> tuple[int, int, int]:
    if len(tensor.shape) != 4 or tensor.shape[0] != 1:
        raise ModelRefused(f"{operator.where}: tensor {tensor.name} has shape {tensor.shape}, wanted [1, h, w, c]")
    return tensor.shape[1:]


def _clamp(operator: Operator, target: Tensor) -> tuple[int, int]:
    """The fused activation in output units; the quotient is float32 in the reference, ties away from zero."""
    scale, zero = np.float32(target.scales[0]), target.zero_points[0]

    def quantize(real: float) -> int:
        steps = math.floor(min(float(np.float32(abs(real)) / scale), 512.0) + 0.5)
        return zero + (steps if real > 0 else -steps)

    kind, kinds = operator.options["FusedActivationFunction"], tflite.ActivationFunctionType
    if kind == kinds.NONE:
        return -128, 127
    if kind == kinds.RELU:
        return max(-128, zero), 127
    if kind == kinds.RELU6:
        return max(-128, zero), min(127, quantize(6.0))
    if kind == kinds.RELU_N1_TO_1:
        return max(-128, quantize(-1.0)), min(127, quantize(1.0))
    raise ModelRefused(f"{operator.where}: fused activation {kind}, wanted NONE, RELU, RELU6 or RELU_N1_TO_1")


def _padding(operator: Operator, source: tuple, kernel: tuple, dilation: tuple) -> tuple[tuple, tuple, tuple]:
    """(stride, top and left padding, output height and width)."""
    options, pads, outs = operator.options, [], []
    stride = (options["StrideH"], options["StrideW"])
    if min(stride + dilation + kernel) < 1:
        raise ModelRefused(f"{operator.where}: stride {stride}, dilation {dilation}, kernel {kernel}, wanted above 0")
    for size, taps, step, gap in zip(source, kernel, stride, dilation, strict=False):
        span = (taps - 1) * gap + 1
        if options["Padding"] == tflite.Padding.SAME:
            out = -(-size // step)
            pads.append(max((out - 1) * step + span - size, 0) // 2)
        else:
            out = (size - span) // step + 1
            pads.append(0)
        outs.append(out)
    return stride, tuple(pads), tuple(outs)


def _constant(graph: Graph, operator: Operator, slot: int, kind: int) -> Tensor:
    index = operator.inputs[slot] if slot < len(operator.inputs) else -1
    tensor = graph.tensors[index] if index >= 0 else None
    if tensor is None or tensor.data is None or tensor.kind != kind:
        raise ModelRefused(f"{operator.where}: input {slot} is not a constant of the wanted type")
    return tensor


def _multipliers(operator: Operator, source: Tensor, weights: Tensor, target: Tensor, axis: int) -> list[float]:
    """The real multiplier of each output channel."""
    count = weights.shape[axis]
    if any(weights.zero_points) or not weights.scales:
        raise ModelRefused(f"{operator.where}: weights {weights.name} are not symmetric")
    if len(weights.scales) == 1 and operator.name == "FULLY_CONNECTED":
        product = np.float32(source.scales[0]) * np.float32(weights.scales[0])
        return [float(product) / target.scales[0]] * count
    if len(weights.scales) not in (1, count) or (len(weights.scales) > 1 and weights.axis != axis):
        raise ModelRefused(
            f"{operator.where}: weights {weights.name} have {len(weights.scales)} scales on axis "
            f"{weights.axis}, wanted 1 or {count} on axis {axis}"
        )
    scales = weights.scales * count if len(weights.scales) == 1 else weights.scales
    return [source.scales[0] * scale / target.scales[0] for scale in scales]


def _channels(graph: Graph, operator: Operator, taps: np.ndarray, zero: int, reals: list[float]) -> np.ndarray:
    bias = np.zeros(taps.shape[1], np.int64)
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        given = _constant(graph, operator, 2, tflite.TensorType.INT32).data
        if given.size != bias.size:
            raise ModelRefused(f"{operator.where}: got {given.size} biases, wanted {bias.size}")
        bias += given.reshape(-1)
    folded = (bias - zero * taps.astype(np.int64).sum(axis=0)).astype(np.uint32).view(np.int32)
    if max(reals) >= REAL_MAX:
        raise ModelRefused(f"{operator.where}: a channel's real multiplier is {max(reals)}, wanted below 2^29")
    pairs = [quantize_multiplier(real) for real in reals]
    return np.column_stack([folded, np.array(pairs, np.int64)]).astype(np.int32)


def _lower_conv(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> Layer:
    options, in_shape, out_shape = operator.options, _shape(operator, source), _shape(operator, target)
    weights = _constant(graph, operator, 1, tflite.TensorType.INT8)
    if len(weights.shape) != 4:
        raise ModelRefused(f"{operator.where}: weights have shape {weights.shape}, wanted four dimensions")
    depthwise = operator.name == "DEPTHWISE_CONV_2D"
    axis, kernel = (3 if depthwise else 0), weights.shape[1:3]
    dilation = (options["DilationHFactor"], options["DilationWFactor"])
    stride, pad, out_hw = _padding(operator, in_shape, kernel, dilation)
    count, in_c = weights.shape[axis], in_shape[2]
    if out_hw + (count,) != out_shape or (count % in_c if depthwise else weights.shape[3] != in_c):
        raise ModelRefused(f"{operator.where}: weights {weights.shape} on {in_shape} do not give {out_shape}")
    if depthwise:
        taps = weights.data.reshape(-1, count)
        if count != in_c:
            taps = _spread(taps, in_c)
    else:
        taps = weights.data.reshape(count, -1).T
    zero = source.zero_points[0]
    channels = _channels(graph, operator, taps, zero, _multipliers(operator, source, weights, target, axis))
    kind = DEPTHWISE if depthwise and count == in_c else CONV
    return Layer(
        operator.where,
        kind,
        operator.inputs[0],
        operator.output,
        (zero, target.zero_points[0]),
        _clamp(operator, target),
        kernel,
        stride,
        dilation,
        pad,
        in_shape,
        out_shape,
        taps,
        channels,
    )


def _spread(taps: np.ndarray, in_c: int) -> np.ndarray:
    """A depthwise kernel [taps, out] as a CONV's [taps * in_c, out], zero where channels do not meet."""
    count = taps.shape[1]
    out = np.arange(count)
    spread = np.zeros((taps.shape[0], in_c, count), np.int8)
    spread[:, out // (count // in_c), out] = taps
    return spread.reshape(-1, count)


def _lower_fully_connected(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> Layer:
    weights, form = _constant(graph, operator, 1, tflite.TensorType.INT8), operator.options["WeightsFormat"]
    if form != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise ModelRefused(f"{operator.where}: weights format {form}, wanted DEFAULT")
    if len(weights.shape) != 2 or source.size % weights.shape[1]:
        raise ModelRefused(f"{operator.where}: weights {weights.shape} on {source.shape} do not fit")
    count, width = weights.shape
    rows = source.size // width
    if target.size != rows * count:
        raise ModelRefused(f"{operator.where}: weights {weights.shape} on {source.shape} do not give {target.shape}")
    zero, taps = source.zero_points[0], weights.data.T
    channels = _channels(graph, operator, taps, zero, _multipliers(operator, source, weights, target, 0))
    return Layer(
        operator.where,
        CONV,
        operator.inputs[0],
        operator.output,
        (zero, target.zero_points[0]),
        _clamp(operator, target),
        (1, 1),
        (1, 1),
        (1, 1),
        (0, 0),
        (rows, 1, width),
        (rows, 1, count),
        taps,
        channels,
    )


def _lower_average(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> Layer:
    options, in_shape, out_shape = operator.options, _shape(operator, source), _shape(operator, target)
    kernel = (options["FilterHeight"], options["FilterWidth"])
    stride, pad, out_hw = _padding(operator, in_shape, kernel, (1, 1))
    if out_hw + (in_shape[2],) != out_shape:
        raise ModelRefused(f"{operator.where}: window {kernel} on {in_shape} does not give {out_shape}")
    if (source.scales, source.zero_points) != (target.scales, target.zero_points):
        raise ModelRefused(f"{operator.where}: input and output differ in scale or zero point")
    zero = source.zero_points[0]
    return Layer(
        operator.where,
        AVERAGE,
        operator.inputs[0],
        operator.output,
        (zero, zero),
        _clamp(operator, target),
        kernel,
        stride,
        (1, 1),
        pad,
        in_shape,
        out_shape,
    )


LOWER = {
    "CONV_2D": _lower_conv,
    "DEPTHWISE_CONV_2D": _lower_conv,
    "FULLY_CONNECTED": _lower_fully_connected,
    "AVERAGE_POOL_2D": _lower_average,
}

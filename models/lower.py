"""Lowers a graph's operators to the layers that devices run, in integers only; here the operators that have weights.

* FULLY_CONNECTED is a CONV over rows of one pixel; DEPTHWISE_CONV_2D with a multiplier above 1 is a CONV whose other
  taps are zero; TRANSPOSE_CONV is a CONV over the input spread apart by its strides. RESHAPE moves nothing, so it only
  renames a buffer (plan.py).
* The input's zero point is folded into the bias: bias - zero * sum(weights), modulo 2^32 as the reference's sum is.
* Multipliers follow tflite-runtime 2.14: per-channel scales multiplied as doubles, those of a per-tensor
  FULLY_CONNECTED as float32.
Source: TensorFlow Lite int8 quantisation specification and reference kernels.
"""

import math

import numpy as np
import tflite

from models.fixedpoint import quantize_multiplier
from models.graph import Graph, ModelRefused, Operator, Tensor
from models.layer import (
    BYTES_MAX,
    CONV,
    DEPTHWISE,
    LARGE,
    NARROW,
    TAPS_MAX,
    Layer,
    Shape,
    Temporary,
    activation_clamp,
    bounded_multiplier,
    constant,
    demand_activation,
    demand_fit,
    image_shape,
)
from models.lower_elementwise import ELEMENTWISE_LOWER
from models.lower_shape import SHAPE_LOWER, copy_layer, window_geometry

NARROW_MAX = 1 << 30


def lower_operator(graph: Graph, operator: Operator) -> list[Layer]:
    """The layers of any operator but RESHAPE; raises ModelRefused."""
    slot = 2 if operator.name == "TRANSPOSE_CONV" else 0
    if len(operator.inputs) <= slot or operator.inputs[slot] < 0:
        raise ModelRefused(f"{operator.where}: no input {slot}")
    source, target = graph.tensors[operator.inputs[slot]], graph.tensors[operator.output]
    demand_activation(operator, source)
    demand_activation(operator, target)
    if target.data is not None:
        raise ModelRefused(f"{operator.where}: output {target.name} is a constant")
    layers = LOWER[operator.name](graph, operator, source, target)
    for layer in layers:
        demand_fit(layer)
        if any(isinstance(index, int) and graph.tensors[index].data is not None for index in layer.inputs):
            raise ModelRefused(f"{operator.where}: an input is constant that is wanted to be an activation")
    return layers


def _multipliers(operator: Operator, source: Tensor, weights: Tensor, target: Tensor, axis: int) -> list[float]:
    """The real multiplier of each output channel; here, for all that have weights, also how large they may be."""
    count = weights.shape[axis]
    if count > LARGE or weights.size > BYTES_MAX:
        raise ModelRefused(
            f"{operator.where}: weights {weights.name} have {count} channels and {weights.size} bytes, "
            f"wanted at most {LARGE} and {BYTES_MAX}"
        )
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


def _channels(
    graph: Graph, operator: Operator, taps: np.ndarray, zero: int, reals: list[float], slot: int = 2
) -> np.ndarray:
    """int32[out channels, 3]: bias with the zero point folded in, multiplier, shift."""
    bias = np.zeros(taps.shape[1], np.int64)
    if len(operator.inputs) > slot and operator.inputs[slot] >= 0:
        given = constant(graph, operator, slot, tflite.TensorType.INT32).data
        if given.size != bias.size:
            raise ModelRefused(f"{operator.where}: got {given.size} biases, wanted {bias.size}")
        bias += given.reshape(-1)
    folded = (bias - zero * taps.sum(axis=0, dtype=np.int64)).astype(np.uint32).view(np.int32)
    bounded_multiplier(operator, max(reals))
    pairs = [quantize_multiplier(real) for real in reals]
    return np.column_stack([folded, np.array(pairs, np.int64)]).astype(np.int32)


def _narrow(taps: np.ndarray, channels: np.ndarray) -> int:
    """NARROW if no sum of any input can reach 2^30 and every shift is to the right."""
    bias = channels[:, 0].astype(np.int64)
    above, below = (limit(taps, 0).sum(axis=0, dtype=np.int64) for limit in (np.maximum, np.minimum))
    highest, lowest = bias + 127 * above - 128 * below, bias - 128 * above + 127 * below
    good = highest.max() < NARROW_MAX and lowest.min() > -NARROW_MAX and channels[:, 2].max() < 0
    return NARROW if good else 0


def _in_fours(taps: np.ndarray, of_taps: int) -> np.ndarray:
    """int8[taps, channels] as the kernels read it: fours of channels, each [taps / of_taps][channel][of_taps], with
    zeros where channels do not fill a four or, in CONV, taps an eight."""
    grown = np.pad(taps, [(0, -taps.shape[0] % (1 if of_taps == 1 else 8)), (0, -taps.shape[1] % 4)])
    return grown.reshape(-1, of_taps, grown.shape[1] // 4, 4).transpose(2, 0, 3, 1).reshape(-1)


def _weighted(
    operator: Operator,
    kind: int,
    inputs: tuple,
    shapes: tuple[Shape, Shape],
    zeros: tuple[int, int],
    clamp: tuple[int, int],
    taps: np.ndarray,
    channels: np.ndarray,
    **geometry,
) -> list[Layer]:
    arranged = _in_fours(taps, 4 if kind == CONV else 1)
    macs = shapes[1][0] * shapes[1][1] * taps.size
    return [
        Layer(
            operator.where,
            kind,
            inputs,
            operator.output,
            *shapes,
            zeros,
            clamp,
            _narrow(taps, channels),
            weights=arranged,
            table=channels,
            macs=macs,
            **geometry,
        )
    ]


def _lower_conv(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    options, in_shape, out_shape = operator.options, image_shape(operator, source), image_shape(operator, target)
    weights = constant(graph, operator, 1, tflite.TensorType.INT8)
    if len(weights.shape) != 4:
        raise ModelRefused(f"{operator.where}: weights have shape {weights.shape}, wanted four dimensions")
    depthwise = operator.name == "DEPTHWISE_CONV_2D"
    axis, kernel = (3 if depthwise else 0), weights.shape[1:3]
    dilation = (options["DilationHFactor"], options["DilationWFactor"])
    stride, pad, out_hw = window_geometry(operator, in_shape, kernel, dilation)
    count, in_c = weights.shape[axis], in_shape[2]
    if out_hw + (count,) != out_shape or (count % in_c if depthwise else weights.shape[3] != in_c):
        raise ModelRefused(f"{operator.where}: weights {weights.shape} on {in_shape} do not give {out_shape}")
    if depthwise and weights.shape[0] != 1:
        raise ModelRefused(f"{operator.where}: weights have shape {weights.shape}, wanted [1, h, w, c]")
    if depthwise:
        taps = weights.data.reshape(-1, count)
        if count != in_c:
            taps = _spread(operator, taps, in_c)
    else:
        taps = weights.data.reshape(count, -1).T
    zero = source.zero_points[0]
    channels = _channels(graph, operator, taps, zero, _multipliers(operator, source, weights, target, axis))
    kind = DEPTHWISE if depthwise and count == in_c else CONV
    if kind == CONV and tuple(kernel) == stride == (1, 1) and math.prod(in_shape[:2]) <= LARGE:
        in_shape, out_shape = ((math.prod(shape[:2]), 1, shape[2]) for shape in (in_shape, out_shape))
    return _weighted(
        operator,
        kind,
        operator.inputs[:1],
        (in_shape, out_shape),
        (zero, target.zero_points[0]),
        activation_clamp(operator, target),
        taps,
        channels,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        pad=pad,
    )


def _spread(operator: Operator, taps: np.ndarray, in_c: int) -> np.ndarray:
    """A depthwise kernel [taps, out] as a CONV's [taps * in_c, out], zero where channels do not meet."""
    count = taps.shape[1]
    if taps.size * in_c > BYTES_MAX or taps.shape[0] * in_c > TAPS_MAX:
        raise ModelRefused(
            f"{operator.where}: {taps.size} weights over {in_c} channels with a multiplier of "
            f"{count // in_c}, wanted at most {BYTES_MAX} bytes as a convolution"
        )
    out = np.arange(count)
    spread = np.zeros((taps.shape[0], in_c, count), np.int8)
    spread[:, out // (count // in_c), out] = taps
    return spread.reshape(-1, count)


def _lower_fully_connected(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    weights, form = constant(graph, operator, 1, tflite.TensorType.INT8), operator.options["WeightsFormat"]
    if form != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise ModelRefused(f"{operator.where}: weights format {form}, wanted DEFAULT")
    if len(weights.shape) != 2 or weights.size == 0 or source.size % weights.shape[1]:
        raise ModelRefused(f"{operator.where}: weights {weights.shape} on {source.shape} do not fit")
    count, width = weights.shape
    rows = source.size // width
    if target.size != rows * count:
        raise ModelRefused(f"{operator.where}: weights {weights.shape} on {source.shape} do not give {target.shape}")
    zero, taps = source.zero_points[0], weights.data.T
    channels = _channels(graph, operator, taps, zero, _multipliers(operator, source, weights, target, 0))
    return _weighted(
        operator,
        CONV,
        operator.inputs[:1],
        ((rows, 1, width), (rows, 1, count)),
        (zero, target.zero_points[0]),
        activation_clamp(operator, target),
        taps,
        channels,
    )


def _lower_transpose_conv(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    """A COPY that lays the input apart by the strides among zero points, then a CONV with the kernel turned round.

    Output (oy, ox) sums input (iy, ix) with the tap oy - iy * stride + pad; inputs: shape, weights, input, bias.
    """
    in_shape, out_shape = image_shape(operator, source), image_shape(operator, target)
    weights = constant(graph, operator, 1, tflite.TensorType.INT8)
    if len(weights.shape) != 4 or (weights.shape[0], weights.shape[3]) != (out_shape[2], in_shape[2]):
        raise ModelRefused(f"{operator.where}: weights {weights.shape} on {in_shape} do not give {out_shape}")
    kernel, stride, before = weights.shape[1:3], (operator.options["StrideH"], operator.options["StrideW"]), []
    if min(*kernel, *stride) < 1:
        raise ModelRefused(f"{operator.where}: kernel {kernel}, stride {stride}, wanted above 0")
    for size, out, taps, step in zip(in_shape, out_shape, kernel, stride, strict=False):
        same = operator.options["Padding"] == tflite.Padding.SAME
        wanted = -(-out // step) if same else (out - taps) // step + 1
        if wanted != size:
            raise ModelRefused(
                f"{operator.where}: input {in_shape}, kernel {kernel}, stride {stride} do not give {out_shape}"
            )
        before.append(taps - 1 - (max((size - 1) * step + taps - out, 0) // 2 if same else 0))
    apart = tuple(out + taps - 1 for out, taps in zip(out_shape, kernel, strict=False)) + in_shape[2:]
    between = Temporary(operator.where, apart[0] * apart[1] * apart[2])
    zero, count = source.zero_points[0], out_shape[2]
    steps = (stride[0] * apart[1] * apart[2], stride[1] * apart[2], 1)
    start = before[0] * apart[1] * apart[2] + before[1] * apart[2]
    copy = copy_layer(operator, operator.inputs[2], between, in_shape, between.size, start, steps, fill=zero)
    taps = weights.data[:, ::-1, ::-1].reshape(count, -1).T
    reals = _multipliers(operator, source, weights, target, 0)
    channels = _channels(graph, operator, taps, zero, reals, slot=3)
    return [
        copy,
        *_weighted(
            operator,
            CONV,
            (between,),
            (apart, out_shape),
            (zero, target.zero_points[0]),
            (-128, 127),
            taps,
            channels,
            kernel=kernel,
        ),
    ]


LOWER = {
    "CONV_2D": _lower_conv,
    "DEPTHWISE_CONV_2D": _lower_conv,
    "FULLY_CONNECTED": _lower_fully_connected,
    "TRANSPOSE_CONV": _lower_transpose_conv,
    **ELEMENTWISE_LOWER,
    **SHAPE_LOWER,
}

"""Lowers the operators that pool, or only move values: pools, MEAN, CONCATENATION, PAD, STRIDED_SLICE.

What only moves is a COPY: four nested loops with a step in source and in destination each.
Source: TFLite kernels pooling.cc, reduce.cc, concatenation.cc, pad.cc, strided_slice.cc and their reference kernels.
"""

import math

import numpy as np
import tflite

from models.fixedpoint import quantize_multiplier
from models.graph import Graph, ModelRefused, Operator, Tensor
from models.layer import (
    AVERAGE,
    COPY,
    FILL,
    MAX,
    MEAN,
    Layer,
    Temporary,
    activation_clamp,
    bounded_multiplier,
    constant,
    demand_activation,
    demand_same_scale,
    image_shape,
)

COPY_DIMENSIONS = 4


def window_geometry(operator: Operator, source: tuple, kernel: tuple, dilation: tuple) -> tuple[tuple, tuple, tuple]:
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


def _lower_pool(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    options, in_shape, out_shape = operator.options, image_shape(operator, source), image_shape(operator, target)
    kernel = (options["FilterHeight"], options["FilterWidth"])
    stride, pad, out_hw = window_geometry(operator, in_shape, kernel, (1, 1))
    if out_hw + (in_shape[2],) != out_shape:
        raise ModelRefused(f"{operator.where}: window {kernel} on {in_shape} does not give {out_shape}")
    demand_same_scale(operator, [source, target])
    zero = source.zero_points[0]
    kind = AVERAGE if operator.name == "AVERAGE_POOL_2D" else MAX
    return [
        Layer(
            operator.where,
            kind,
            operator.inputs[:1],
            operator.output,
            in_shape,
            out_shape,
            (zero, zero),
            activation_clamp(operator, target),
            kernel=kernel,
            stride=stride,
            pad=pad,
        )
    ]


def _lower_mean(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    """[outer, reduced, inner] to [outer, inner], one multiplier, into which the count is divided as integers."""
    rank = len(source.shape)
    constants = constant(graph, operator, 1, tflite.TensorType.INT32).data.reshape(-1)
    if constants.size > rank:
        raise ModelRefused(f"{operator.where}: got {constants.size} axes of {source.shape}")
    given = [int(axis) for axis in constants]
    axes = sorted({axis + rank if axis < 0 else axis for axis in given})
    if not axes or axes[0] < 0 or axes[-1] >= rank or axes != list(range(axes[0], axes[-1] + 1)):
        raise ModelRefused(f"{operator.where}: axes {given} of {source.shape}, wanted neighbours")
    outer, count = math.prod(source.shape[: axes[0]]), math.prod(source.shape[axes[0] : axes[-1] + 1])
    inner = math.prod(source.shape[axes[-1] + 1 :])
    if target.size != outer * inner:
        raise ModelRefused(f"{operator.where}: mean over axes {given} of {source.shape} does not give {target.shape}")
    real = bounded_multiplier(operator, source.scales[0] / target.scales[0])
    multiplier, shift = quantize_multiplier(real)
    bits = min(count.bit_length() - 1, 32, 31 + shift)
    zero = source.zero_points[0]
    table = np.array([-zero * count, (multiplier << bits) // count, shift - bits], np.int64).astype(np.int32)
    return [
        Layer(
            operator.where,
            MEAN,
            operator.inputs[:1],
            operator.output,
            (outer, count, inner),
            (outer, 1, inner),
            (zero, target.zero_points[0]),
            table=table,
        )
    ]


def copy_layer(
    operator: Operator,
    source: int,
    target: int | Temporary,
    counts: tuple,
    target_bytes: int,
    to: int,
    to_steps: tuple,
    source_bytes: int | None = None,
    start: int = 0,
    steps: tuple | None = None,
    fill: int | None = None,
) -> Layer:
    """A COPY of an array of `counts`; without start and steps it is all of the source. fill: the rest of the target.

    Raises ModelRefused if neighbouring dimensions do not join to four or fewer.
    """
    if source_bytes is None or steps is None:
        source_bytes, steps = math.prod(counts), tuple(math.prod(counts[i + 1 :]) for i in range(len(counts)))
    loops: list[tuple[int, int, int]] = []
    for count, source_step, target_step in zip(counts, steps, to_steps, strict=True):
        if count == 1:
            continue
        if loops and loops[-1][1:] == (source_step * count, target_step * count):
            loops[-1] = (loops[-1][0] * count, source_step, target_step)
        else:
            loops.append((count, source_step, target_step))
    if len(loops) > COPY_DIMENSIONS:
        raise ModelRefused(f"{operator.where}: a region of {counts}, wanted at most {COPY_DIMENSIONS} dimensions")
    loops = [(1, 1, 1)] * (COPY_DIMENSIONS - len(loops)) + loops
    table = [source_bytes, target_bytes, start, to, *(value for loop in loops for value in loop)]
    return Layer(
        operator.where,
        COPY,
        (source,),
        target,
        (1, 1, 1),
        (1, 1, 1),
        (fill or 0, 0),
        flags=0 if fill is None else FILL,
        table=np.array(table, np.int64).astype(np.int32),
    )


def _lower_concatenation(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    rank, axis, layers, start = len(target.shape), operator.options["Axis"], [], 0
    axis += rank if axis < 0 else 0
    if not 0 <= axis < rank or operator.options["FusedActivationFunction"] != tflite.ActivationFunctionType.NONE:
        raise ModelRefused(f"{operator.where}: axis {operator.options['Axis']} or a fused activation, wanted neither")
    inner = math.prod(target.shape[axis + 1 :])
    for index in operator.inputs:
        if index < 0:
            raise ModelRefused(f"{operator.where}: an input is not there")
        part = graph.tensors[index]
        demand_activation(operator, part)
        demand_same_scale(operator, [part, target])
        if len(part.shape) != rank or part.shape[:axis] + part.shape[axis + 1 :] != (
            target.shape[:axis] + target.shape[axis + 1 :]
        ):
            raise ModelRefused(f"{operator.where}: {part.name} of shape {part.shape} is no part of {target.shape}")
        counts = (math.prod(part.shape[:axis]), part.shape[axis] * inner)
        layers.append(
            copy_layer(
                operator, index, operator.output, counts, target.size, start * inner, (target.shape[axis] * inner, 1)
            )
        )
        start += part.shape[axis]
    if start != target.shape[axis]:
        raise ModelRefused(f"{operator.where}: parts of {start} together, wanted {target.shape[axis]} on axis {axis}")
    return layers


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def _lower_pad(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    pads = constant(graph, operator, 1, tflite.TensorType.INT32).data
    if pads.shape != (len(source.shape), 2) or pads.min(initial=0) < 0:
        raise ModelRefused(f"{operator.where}: paddings of shape {pads.shape} for {source.shape}")
    ends = [[int(value) for value in row] for row in pads]
    if tuple(a + size + b for size, (a, b) in zip(source.shape, ends, strict=True)) != target.shape:
        raise ModelRefused(f"{operator.where}: paddings {ends} on {source.shape} do not give {target.shape}")
    demand_same_scale(operator, [source, target])
    steps = _row_major(target.shape)
    start = sum(before * step for (before, _), step in zip(ends, steps, strict=True))
    return [
        copy_layer(
            operator,
            operator.inputs[0],
            operator.output,
            source.shape,
            target.size,
            start,
            steps,
            fill=target.zero_points[0],
        )
    ]


def _lower_strided_slice(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    if operator.options["EllipsisMask"] or operator.options["NewAxisMask"]:
        raise ModelRefused(f"{operator.where}: a mask for an ellipsis or a new axis, wanted none")
    values = [constant(graph, operator, slot, tflite.TensorType.INT32).data.reshape(-1) for slot in (1, 2, 3)]
    if any(len(value) != len(source.shape) for value in values):
        raise ModelRefused(f"{operator.where}: begin, end or strides are not one for each of {source.shape}")
    demand_same_scale(operator, [source, target])
    start, counts, steps, apart = 0, [], [], _row_major(source.shape)
    for axis, size in enumerate(source.shape):
        begin, end, step = (int(value[axis]) for value in values)
        if step == 0:
            raise ModelRefused(f"{operator.where}: stride 0 on axis {axis}")
        masked = [operator.options[mask] >> axis & 1 for mask in ("BeginMask", "EndMask", "ShrinkAxisMask")]
        chosen = range(size)[slice(None if masked[0] else begin, None if masked[1] else end, step)]
        if masked[2]:
            chosen = range(size)[begin : begin + 1 or None]
        if not chosen:
            raise ModelRefused(f"{operator.where}: nothing of {source.shape} on axis {axis}")
        start += chosen[0] * apart[axis]
        counts.append(len(chosen))
        steps.append(chosen.step * apart[axis])
    if math.prod(counts) != target.size:
        raise ModelRefused(f"{operator.where}: a slice of {counts} of {source.shape} does not give {target.shape}")
    shape = tuple(counts)
    return [
        copy_layer(
            operator,
            operator.inputs[0],
            operator.output,
            shape,
            target.size,
            0,
            _row_major(shape),
            source.size,
            start,
            tuple(steps),
        )
    ]


SHAPE_LOWER = {
    "AVERAGE_POOL_2D": _lower_pool,
    "MAX_POOL_2D": _lower_pool,
    "MEAN": _lower_mean,
    "CONCATENATION": _lower_concatenation,
    "PAD": _lower_pad,
    "STRIDED_SLICE": _lower_strided_slice,
}

"""Lowers the operators that work value by value: ADD, SUB, MUL, SOFTMAX, and those of one operand, which become tables.

A function of one int8 has 256 results, so whatever arithmetic the reference does for it is done here, once.
Source: TFLite kernels add.cc, sub.cc, mul.cc, activations.cc, quantize.cc and their int8 reference kernels.
"""

import math

import numpy as np
import tflite

from models.fixedpoint import (
    exp_on_negative_values,
    high_mul,
    input_radius,
    logistic,
    quantize_multiplier,
    rounding_shift,
    scale,
    tanh,
)
from models.graph import Graph, ModelRefused, Operator, Tensor
from models.layer import (
    ADD,
    LOOKUP,
    MINUS_SECOND,
    MUL,
    SOFTMAX,
    Layer,
    activation_clamp,
    bounded_multiplier,
    demand_activation,
    folded_shape,
)

INPUTS = range(-128, 128)
SOFTMAX_MAX = 511  # values of a row
LEFT_SHIFT = 20  # of both operands of ADD and SUB


def _operand_shape(operator: Operator, tensor: Tensor, shape: tuple[int, ...]) -> tuple[int, tuple[int, int, int]]:
    """Broadcast bits (height 1, width 2, channels 4) and folded shape of an operand whose result has `shape`."""
    own = (1,) * (len(shape) - len(tensor.shape)) + tensor.shape
    folded, wanted = folded_shape(own), folded_shape(shape)
    outer, outer_wanted = own[:-2], shape[:-2]
    whole = outer == outer_wanted or math.prod(outer) == 1
    if len(own) != len(shape) or not whole or any(a not in (1, b) for a, b in zip(folded, wanted, strict=True)):
        raise ModelRefused(
            f"{operator.where}: operand {tensor.name} of shape {tensor.shape} does not spread over {shape}"
        )
    return sum(1 << i for i in range(3) if folded[i] == 1 != wanted[i]), folded


def _lower_binary(graph: Graph, operator: Operator, _: Tensor, target: Tensor) -> list[Layer]:
    if len(operator.inputs) != 2 or -1 in operator.inputs:
        raise ModelRefused(f"{operator.where}: got {len(operator.inputs)} inputs, wanted 2")
    operands = [graph.tensors[index] for index in operator.inputs]
    demand_activation(operator, operands[1])
    if all(tensor.data is not None for tensor in operands):
        raise ModelRefused(f"{operator.where}: both operands are constant")
    inputs, minus = operator.inputs, MINUS_SECOND if operator.name == "SUB" else 0
    if operands[0].data is not None:
        operands, inputs, minus = operands[::-1], inputs[::-1], minus // 2
    broadcasts = [_operand_shape(operator, tensor, target.shape)[0] for tensor in operands]
    table = (_mul_table if operator.name == "MUL" else _add_table)(operator, operands, target)
    fixed = operands[1].data
    shape = folded_shape(target.shape)
    return [
        Layer(
            operator.where,
            MUL if operator.name == "MUL" else ADD,
            inputs if fixed is None else inputs[:1],
            operator.output,
            shape,
            shape,
            (0, target.zero_points[0]),
            activation_clamp(operator, target),
            minus,
            broadcasts[0] | broadcasts[1] << 3,
            weights=None if fixed is None else fixed.reshape(-1),
            table=np.array(table, np.int32),
        )
    ]


def _add_table(operator: Operator, operands: list[Tensor], target: Tensor) -> list[int]:
    """Zero point, multiplier, shift of each operand; multiplier, shift of the sum."""
    twice = 2 * max(tensor.scales[0] for tensor in operands)
    reals = [tensor.scales[0] / twice for tensor in operands]
    of_sum = twice / ((1 << LEFT_SHIFT) * target.scales[0])
    if of_sum >= 1:
        raise ModelRefused(f"{operator.where}: real multiplier of the sum is {of_sum}, wanted below 1")
    pairs = [quantize_multiplier(real) for real in reals]
    heads = [[tensor.zero_points[0], *pair] for tensor, pair in zip(operands, pairs, strict=True)]
    return [*heads[0], *heads[1], *quantize_multiplier(of_sum)]


def _mul_table(operator: Operator, operands: list[Tensor], target: Tensor) -> list[int]:
    """Zero points, multiplier, shift; the reference multiplies the scales as float32."""
    first, second, result = (np.float32(tensor.scales[0]) for tensor in (*operands, target))
    with np.errstate(over="ignore", under="ignore"):
        real = bounded_multiplier(operator, float(first * second / result))
    return [operands[0].zero_points[0], operands[1].zero_points[0], *quantize_multiplier(real)]


def _lookup(operator: Operator, source: Tensor, target: Tensor, values: list[int]) -> list[Layer]:
    if source.size != target.size:
        raise ModelRefused(f"{operator.where}: {source.shape} to {target.shape}, wanted the same size")
    shape, table = folded_shape(source.shape), np.array(values, np.int8)
    return [Layer(operator.where, LOOKUP, operator.inputs[:1], operator.output, shape, shape, weights=table)]


def _rescaled(operator: Operator, source: Tensor, target: Tensor, real: float, clamp: tuple[int, int]) -> list[Layer]:
    multiplier, shift = quantize_multiplier(bounded_multiplier(operator, real))
    zero_in, zero_out, (low, high) = source.zero_points[0], target.zero_points[0], clamp
    values = [zero_out + scale(x - zero_in, multiplier, shift) for x in INPUTS]
    return _lookup(operator, source, target, [max(low, min(high, value)) for value in values])


def _lower_relu(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    kinds = tflite.ActivationFunctionType
    kind = {"RELU": kinds.RELU, "RELU6": kinds.RELU6}[operator.name]
    with np.errstate(over="ignore"):
        real = float(np.float32(source.scales[0]) / np.float32(target.scales[0]))  # float32 in the reference
    return _rescaled(operator, source, target, real, activation_clamp(operator, target, kind))


def _lower_quantize(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    return _rescaled(operator, source, target, source.scales[0] / target.scales[0], (-128, 127))


def _lower_sigmoid(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    """LOGISTIC and TANH: input in Q4.27, result in Q0.31, then 8 or 7 bits of it."""
    function, bits, zero = {"LOGISTIC": (logistic, 8, -128), "TANH": (tanh, 7, 0)}[operator.name]
    if (target.scales[0], target.zero_points[0]) != (1 / (1 << bits), zero):
        raise ModelRefused(
            f"{operator.where}: output scale {target.scales[0]}, zero point {target.zero_points[0]}, "
            f"wanted 1/{1 << bits} and {zero}"
        )
    multiplier, shift = quantize_multiplier(bounded_multiplier(operator, source.scales[0] * (1 << 27)))
    radius, values = input_radius(4, shift), []
    for x in INPUTS:
        x -= source.zero_points[0]
        if abs(x) >= radius:
            values.append(127 if x > 0 else -128)
        else:
            value = rounding_shift(function(scale(x, multiplier, shift), 4), 31 - bits) + zero
            values.append(max(-128, min(127, value)))
    return _lookup(operator, source, target, values)


def _lower_softmax(graph: Graph, operator: Operator, source: Tensor, target: Tensor) -> list[Layer]:
    """The table holds exp(beta * scale * difference) for differences to the row's largest from -255 to 0, in Q0.31."""
    depth, beta = (source.shape or (1,))[-1], operator.options["Beta"]
    if source.shape != target.shape or depth > SOFTMAX_MAX:
        raise ModelRefused(
            f"{operator.where}: {source.shape} to {target.shape}, wanted the same with rows of at most {SOFTMAX_MAX}"
        )
    if (target.scales[0], target.zero_points[0]) != (1 / 256, -128):
        raise ModelRefused(
            f"{operator.where}: output scale {target.scales[0]}, zero point {target.zero_points[0]}, "
            "wanted 1/256 and -128"
        )
    real = min(beta * source.scales[0] * (1 << 26), (1 << 31) - 1.0)
    if not real > 1:
        raise ModelRefused(f"{operator.where}: beta {beta} times scale {source.scales[0]}, wanted above 2^-26")
    multiplier, shift = quantize_multiplier(real)
    radius = input_radius(5, shift)
    table = [exp_on_negative_values(high_mul(d << shift, multiplier), 5) if d >= -radius else 0 for d in range(-255, 1)]
    shape = folded_shape(source.shape)
    return [
        Layer(
            operator.where, SOFTMAX, operator.inputs[:1], operator.output, shape, shape, table=np.array(table, np.int32)
        )
    ]


ELEMENTWISE_LOWER = {
    "ADD": _lower_binary,
    "SUB": _lower_binary,
    "MUL": _lower_binary,
    "RELU": _lower_relu,
    "RELU6": _lower_relu,
    "QUANTIZE": _lower_quantize,
    "LOGISTIC": _lower_sigmoid,
    "TANH": _lower_sigmoid,
    "SOFTMAX": _lower_softmax,
}

"""What the compiler refuses, each by the name of operator or tensor and with the limit; and what its plan shares."""

import random

import numpy as np
import pytest

from device.native.shared import Model
from models.artifact import compile_model
from models.export import Activation, Step, write_chain
from models.fixedpoint import ONE, exp_on_negative_values, quantize_multiplier, rounding_shift
from models.graph import ModelRefused
from tests.int8_operators import SAME, VALID, like, random_constants
from tests.tiny_models import NONE, Network

IMAGE = Activation((1, 4, 4, 8), 0.05, 3)
OTHER = Activation((1, 4, 4, 8), 0.06, 3)
ROW = Activation((1, 600), 0.05, 3)
SLICE = tuple(np.array(values, np.int32) for values in ((0, 0, 0, 0), (1, 4, 4, 8), (1, 1, 0, 1)))


def pool(**options):
    return Step(
        "MAX_POOL_2D",
        options.pop("output", IMAGE),
        options={"FilterHeight": 2, "FilterWidth": 2, "StrideH": 1, "StrideW": 1, "Padding": SAME} | options,
    )


def convolution(shape, output, **options):
    constants = random_constants(random.Random(1), shape, shape[0], True)
    return Step(
        "CONV_2D",
        output,
        *constants,
        {"Padding": VALID, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1} | options,
    )


def mean(axes, shape):
    return Step("MEAN", like(IMAGE, shape), inputs=(0, np.array(axes, np.int32)))


REFUSED = {
    "a mean over axes that are not neighbours": (
        IMAGE,
        mean((1, 3), (1, 4)),
        r"operator 0 MEAN version 2: axes \[1, 3\] of \(1, 4, 4, 8\), wanted neighbours",
    ),
    "a mean over an axis that is not there": (IMAGE, mean((4,), (1, 4, 4)), r"operator 0 MEAN .* axes \[4\]"),
    "long rows of a softmax": (
        ROW,
        Step("SOFTMAX", Activation(ROW.shape, 1 / 256, -128), options={"Beta": 1.0}),
        "SOFTMAX .* rows of at most 511",
    ),
    "a softmax of another scale": (
        OTHER,
        Step("SOFTMAX", OTHER, options={"Beta": 1.0}),
        "SOFTMAX .* scale .*, wanted 1/256 and -128",
    ),
    "a sigmoid of another scale": (IMAGE, Step("LOGISTIC", OTHER), "LOGISTIC .* scale .*, wanted 1/256 and -128"),
    "a pool that changes the scale": (IMAGE, pool(output=OTHER), "MAX_POOL_2D .* differ in scale or zero point"),
    "a pool over more than a record holds": (
        Activation((1, 300, 1, 1), 0.1, 0),
        pool(output=Activation((1, 1, 1, 1), 0.1, 0), FilterHeight=300, FilterWidth=1, Padding=VALID),
        r"MAX_POOL_2D .* kernel \(300, 1\).* wanted at most 255 each",
    ),
    "a part of another scale": (
        IMAGE,
        Step("CONCATENATION", like(OTHER, (1, 4, 8, 8)), options={"Axis": 2}, inputs=(0, 0)),
        "CONCATENATION .* differ in scale or zero point",
    ),
    "parts of another shape": (
        IMAGE,
        Step("CONCATENATION", like(IMAGE, (1, 4, 9, 8)), options={"Axis": 2}, inputs=(0, 0)),
        "CONCATENATION .* wanted 9",
    ),
    "a slice with stride 0": (
        IMAGE,
        Step("STRIDED_SLICE", IMAGE, inputs=(0, *SLICE)),
        "STRIDED_SLICE .* stride 0 on axis 2",
    ),
    "paddings that do not give the output": (
        IMAGE,
        Step("PAD", IMAGE, inputs=(0, np.ones((4, 2), np.int32))),
        "PAD .* do not give",
    ),
    "an operand that does not spread": (
        IMAGE,
        Step("ADD", like(OTHER, (1, 4, 4, 9)), inputs=(0, 0)),
        r"ADD .* does not spread over \(1, 4, 4, 9\)",
    ),
    "a sum that grows": (IMAGE, Step("ADD", Activation(IMAGE.shape, 1e-9, 0), inputs=(0, 0)), "ADD .* wanted below 1"),
    "a tensor of a negative shape": (like(IMAGE, (1, 4, -4, 8)), pool(), r"tensor input has .* shape \(1, 4, -4, 8\)"),
    "a tensor larger than any board": (
        like(IMAGE, (1, 4096, 4096, 8)),
        pool(),
        "tensor input .* has 134217728 bytes, wanted at most 16777216",
    ),
    "weights of another depth": (IMAGE, convolution((4, 3, 3, 7), like(IMAGE, (1, 2, 2, 4))), "CONV_2D .* do not give"),
    "too many taps": (
        like(IMAGE, (1, 64, 64, 64)),
        convolution((1, 64, 64, 64), like(IMAGE, (1, 1, 1, 1))),
        "CONV_2D .* wanted at most 131064 taps",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_model_outside_the_limits_is_refused_by_name(case):
    source, step, message = REFUSED[case]
    with pytest.raises(ModelRefused, match=message):
        compile_model(write_chain(source, [step]))


def test_elementwise_outputs_take_the_place_of_their_inputs_and_residuals_are_kept():
    net = Network("plan", (1, 8, 8, 4))
    first = net.conv(0, 4)
    relu = net.add("RELU", like(net.activations[first], (1, 8, 8, 4)), [first])
    inner = net.conv(relu, 4, act=NONE)
    total = net.add("ADD", like(net.activations[first], (1, 8, 8, 4)), [relu, inner], FusedActivationFunction=NONE)
    net.conv(total, 4)

    arena_bytes = Model(compile_model(write_chain(net.source, net.steps))).arena_bytes

    tensor, scratch = 8 * 8 * 4, 5 * 40
    assert arena_bytes == 2 * tensor + scratch


def test_fixed_point_has_gemmlowps_edges():
    assert exp_on_negative_values(0, 5) == ONE
    assert [rounding_shift(value, 1) for value in (-3, -1, 1, 3)] == [-2, -1, 1, 2]
    assert quantize_multiplier(0.5) == (1 << 30, 0)
    assert quantize_multiplier(1 - 2.0**-40) == (1 << 30, 1)
    assert quantize_multiplier(2.0**-40) == (0, 0)

"""The int8 kernels against tflite-runtime's reference resolver, byte for byte: small random models of each operator."""

import random

import numpy as np
import pytest
import tflite
from tflite_runtime.interpreter import Interpreter, OpResolverType

from device.native.shared import Model
from models.artifact import compile_model
from models.export import Activation, Step, write_chain

MODELS, INPUTS = 40, 12
ACTS = (0, 0, 1, 3, 2)  # NONE twice, RELU, RELU6, RELU_N1_TO_1


def run_reference(content, windows):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outs = []
    for window in windows:
        interpreter.set_tensor(source["index"], window.reshape(source["shape"]))
        interpreter.invoke()
        outs.append(interpreter.get_tensor(target["index"]).tobytes())
    return outs


def run_ours(content, windows):
    model = Model(compile_model(content))
    outs, out = [], bytearray(model.output_bytes)
    for window in windows:
        model.run(window.tobytes(), out)
        outs.append(bytes(out))
    return outs


def random_activation(rng, shape):
    return Activation(shape, float(np.float32(rng.uniform(0.002, 0.2))), rng.randint(-128, 127))


def random_constants(rng, shape, outs, per_channel):
    bits = np.random.default_rng(rng.getrandbits(32))
    weights = bits.integers(-127, 128, shape, dtype=np.int8)
    scales = tuple(float(np.float32(10 ** rng.uniform(-4, -1.5))) for _ in range(outs if per_channel else 1))
    return weights, scales, bits.integers(-20000, 20001, outs, dtype=np.int32)


def random_geometry(rng, dilated):
    kernel, stride = (rng.randint(1, 4), rng.randint(1, 4)), (rng.randint(1, 3), rng.randint(1, 3))
    dilation = (rng.randint(1, 2), rng.randint(1, 2)) if dilated and stride == (1, 1) else (1, 1)
    padding = rng.choice([tflite.Padding.SAME, tflite.Padding.VALID])
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = tuple(rng.randint(span, span + 6) for span in spans)
    if padding == tflite.Padding.SAME:
        outs = [-(-n // s) for n, s in zip(size, stride, strict=True)]
    else:
        outs = [(n - span) // s + 1 for n, span, s in zip(size, spans, stride, strict=True)]
    options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1]}
    options["FusedActivationFunction"] = rng.choice(ACTS)
    if dilated:
        options |= {"DilationWFactor": dilation[1], "DilationHFactor": dilation[0]}
    return kernel, size, tuple(outs), options


def random_conv(rng):
    kernel, size, outs, options = random_geometry(rng, True)
    in_c, out_c = rng.randint(1, 9), rng.randint(1, 10)
    constants = random_constants(rng, (out_c, *kernel, in_c), out_c, rng.random() < 0.7)
    return random_activation(rng, (1, *size, in_c)), [
        Step("CONV_2D", random_activation(rng, (1, *outs, out_c)), *constants, options)
    ]


def random_depthwise(rng):
    kernel, size, outs, options = random_geometry(rng, True)
    in_c, multiplier = rng.randint(1, 10), rng.choice([1, 1, 1, 2, 3])
    out_c = in_c * multiplier
    constants = random_constants(rng, (1, *kernel, out_c), out_c, rng.random() < 0.7)
    options["DepthMultiplier"] = multiplier
    return random_activation(rng, (1, *size, in_c)), [
        Step("DEPTHWISE_CONV_2D", random_activation(rng, (1, *outs, out_c)), *constants, options)
    ]


def random_fully_connected(rng, per_channel):
    rows, ins, outs = rng.randint(1, 3), rng.randint(1, 70), rng.randint(1, 20)
    constants = random_constants(rng, (outs, ins), outs, per_channel)
    return random_activation(rng, (rows, ins)), [
        Step(
            "FULLY_CONNECTED",
            random_activation(rng, (rows, outs)),
            *constants,
            {"FusedActivationFunction": rng.choice(ACTS)},
        )
    ]


def random_average(rng):
    kernel, size, outs, options = random_geometry(rng, False)
    in_c = rng.randint(1, 9)
    source = random_activation(rng, (1, *size, in_c))
    options |= {"FilterHeight": kernel[0], "FilterWidth": kernel[1]}
    target = Activation((1, *outs, in_c), source.scale, source.zero_point)
    return source, [Step("AVERAGE_POOL_2D", target, options=options)]


def random_chain(rng):
    """CONV_2D, RESHAPE, FULLY_CONNECTED, RESHAPE: buffers that share the arena, a model that ends in a RESHAPE."""
    source, steps = random_conv(rng)
    last = steps[0].output
    flat = Activation((1, int(np.prod(last.shape))), last.scale, last.zero_point)
    outs = rng.randint(1, 9)
    target = random_activation(rng, (1, outs))
    constants = random_constants(rng, (outs, flat.shape[1]), outs, True)
    return source, [
        *steps,
        Step("RESHAPE", flat),
        Step("FULLY_CONNECTED", target, *constants),
        Step("RESHAPE", Activation((1, 1, outs, 1), target.scale, target.zero_point)),
    ]


OPERATORS = {
    "CONV_2D": random_conv,
    "DEPTHWISE_CONV_2D": random_depthwise,
    "FULLY_CONNECTED per channel": lambda rng: random_fully_connected(rng, True),
    "FULLY_CONNECTED per tensor": lambda rng: random_fully_connected(rng, False),
    "AVERAGE_POOL_2D": random_average,
    "chain with RESHAPE": random_chain,
}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_byte_is_the_reference_resolvers(name):
    rng = random.Random(name)
    for index in range(MODELS):
        source, steps = OPERATORS[name](rng)
        content = write_chain(source, steps)
        bits = np.random.default_rng(rng.getrandbits(32))
        windows = list(bits.integers(-128, 128, (INPUTS, *source.shape), dtype=np.int8))
        windows[0][:], windows[1][:] = -128, 127
        assert run_ours(content, windows) == run_reference(content, windows), f"{name}, model {index}"

"""Small random models of each operator, for tests that compare kernels with the reference or boards with each other."""

import numpy as np
import tflite

from models.export import Activation, Constant, Step

ACTS = (0, 0, 1, 3, 2)  # NONE twice, RELU, RELU6, RELU_N1_TO_1
SAME, VALID = tflite.Padding.SAME, tflite.Padding.VALID


def random_scale(rng, low=0.002, high=0.2):
    return float(np.float32(rng.uniform(low, high)))


def random_activation(rng, shape):
    return Activation(shape, random_scale(rng), rng.randint(-128, 127))


def like(activation, shape):
    return Activation(tuple(shape), activation.scale, activation.zero_point)


def random_constants(rng, shape, outs, per_channel):
    bits = np.random.default_rng(rng.getrandbits(32))
    weights = bits.integers(-127, 128, shape, dtype=np.int8)
    scales = tuple(float(np.float32(10 ** rng.uniform(-4, -1.5))) for _ in range(outs if per_channel else 1))
    return weights, scales, bits.integers(-20000, 20001, outs, dtype=np.int32)


def random_geometry(rng, dilated):
    kernel, stride = (rng.randint(1, 4), rng.randint(1, 4)), (rng.randint(1, 3), rng.randint(1, 3))
    dilation = (rng.randint(1, 2), rng.randint(1, 2)) if dilated and stride == (1, 1) else (1, 1)
    padding = rng.choice([SAME, VALID])
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = tuple(rng.randint(span, span + 6) for span in spans)
    if padding == SAME:
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


def random_conv_with_large_biases(rng):
    """Sums beyond 2^30, which wrap as the reference's do; shifts to the left."""
    source, (step,) = random_conv(rng)
    bits = np.random.default_rng(rng.getrandbits(32))
    bias = bits.integers(-(1 << 31), 1 << 31, step.bias.size, dtype=np.int64).astype(np.int32)
    scales = tuple(float(np.float32(10 ** rng.uniform(-12, 1))) for _ in step.scales)
    return source, [Step(step.name, step.output, step.weights, scales, bias, step.options)]


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


def random_transpose_conv(rng):
    kernel, stride = (rng.randint(1, 4), rng.randint(1, 4)), (rng.randint(1, 3), rng.randint(1, 3))
    size, in_c, out_c = (rng.randint(1, 5), rng.randint(1, 5)), rng.randint(1, 5), rng.randint(1, 6)
    padding = rng.choice([SAME, VALID])
    outs = [n * s if padding == SAME else (n - 1) * s + k for n, s, k in zip(size, stride, kernel, strict=True)]
    target = random_activation(rng, (1, *outs, out_c))
    constants = random_constants(rng, (out_c, *kernel, in_c), out_c, rng.random() < 0.7)
    options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1]}
    return random_activation(rng, (1, *size, in_c)), [
        Step("TRANSPOSE_CONV", target, *constants, options, (np.array(target.shape, np.int32), 0))
    ]


def random_pool(rng, name):
    kernel, size, outs, options = random_geometry(rng, False)
    in_c = rng.randint(1, 9)
    source = random_activation(rng, (1, *size, in_c))
    options |= {"FilterHeight": kernel[0], "FilterWidth": kernel[1]}
    return source, [Step(name, like(source, (1, *outs, in_c)), options=options)]


def random_mean(rng):
    shape = (1, rng.randint(1, 6), rng.randint(1, 6), rng.randint(1, 9))
    axes = rng.choice([(1, 2), (2, 1), (1, 2), (3,), (1,), (2,), (2, 3), (-3, -2)])
    kept, keep = [n for i, n in enumerate(shape) if i not in {a % 4 for a in axes}], rng.random() < 0.5
    out = tuple(1 if i in {a % 4 for a in axes} else n for i, n in enumerate(shape)) if keep else tuple(kept)
    source = random_activation(rng, shape)
    target = like(source, out) if rng.random() < 0.3 else random_activation(rng, out)
    return source, [Step("MEAN", target, options={"KeepDims": keep}, inputs=(0, np.array(axes, np.int32)))]


def random_binary(rng, name):
    """Two uses of one input, a constant in either place, and operands that spread over the other."""
    shape = (1, rng.randint(1, 5), rng.randint(1, 5), rng.randint(1, 9))
    source, act = random_activation(rng, shape), {"FusedActivationFunction": rng.choice(ACTS)}
    scale = random_scale(rng, 0.01, 0.2)
    target = Activation(shape, scale, rng.randint(-128, 127))
    case = rng.randint(0, 3)
    if case == 0:
        pool = Step(
            "MAX_POOL_2D",
            source,
            options={"FilterHeight": 2, "FilterWidth": 2, "StrideH": 1, "StrideW": 1, "Padding": SAME},
        )
        return source, [pool, Step(name, target, options=act, inputs=rng.choice([(0, 1), (1, 0), (1, 1)]))]
    bits = np.random.default_rng(rng.getrandbits(32))
    spread = tuple(rng.choice([1, n]) for n in shape)[rng.randint(0, 3) :]
    other = random_activation(rng, spread)
    constant = Constant(other, bits.integers(-128, 128, spread, dtype=np.int8))
    if case == 1:
        thin = random_activation(rng, tuple(rng.choice([1, n]) for n in shape))
        constant = Constant(random_activation(rng, shape), bits.integers(-128, 128, shape, dtype=np.int8))
        return thin, [Step(name, target, options=act, inputs=rng.choice([(0, constant), (constant, 0)]))]
    return source, [Step(name, target, options=act, inputs=rng.choice([(0, constant), (constant, 0)]))]


def random_concatenation(rng):
    shape, axis = [1, rng.randint(1, 5), rng.randint(1, 5), rng.randint(1, 6)], rng.randint(1, 3)
    source = random_activation(rng, tuple(shape))
    relu = Step("RELU", like(source, shape))
    parts = [rng.randint(0, 1) for _ in range(rng.randint(1, 4))]
    out = [*shape[:axis], shape[axis] * (1 + len(parts)), *shape[axis + 1 :]]
    return source, [
        relu,
        Step("CONCATENATION", like(source, out), options={"Axis": rng.choice([axis, axis - 4])}, inputs=(1, *parts)),
    ]


def random_pad(rng):
    shape = (1, rng.randint(1, 5), rng.randint(1, 5), rng.randint(1, 6))
    pads = np.array([(0, 0), *((rng.randint(0, 2), rng.randint(0, 2)) for _ in range(3))], np.int32)
    source = random_activation(rng, shape)
    return source, [Step("PAD", like(source, np.array(shape) + pads.sum(axis=1)), inputs=(0, pads))]


def random_strided_slice(rng):
    shape = (1, rng.randint(1, 6), rng.randint(1, 6), rng.randint(1, 6))
    source, begins, ends, steps, out = random_activation(rng, shape), [], [], [], []
    begin_mask = end_mask = 0
    for axis, size in enumerate(shape):
        start, step = rng.randrange(size), rng.choice([1, 1, 2, 3, -1])
        end = rng.randint(start + 1, size) if step > 0 else rng.choice([-size - 1, start - 1 if start else -size - 1])
        masks = rng.random() < 0.2, rng.random() < 0.2
        begin_mask, end_mask = begin_mask | masks[0] << axis, end_mask | masks[1] << axis
        out.append(len(range(size)[slice(None if masks[0] else start, None if masks[1] else end, step)]))
        begins, ends, steps = [*begins, start], [*ends, end], [*steps, step]
    arrays = tuple(np.array(values, np.int32) for values in (begins, ends, steps))
    return source, [
        Step(
            "STRIDED_SLICE",
            like(source, out),
            inputs=(0, *arrays),
            options={"BeginMask": begin_mask, "EndMask": end_mask},
        )
    ]


def random_softmax(rng):
    shape = (rng.randint(1, 3), rng.randint(1, 40))
    source = Activation(shape, random_scale(rng, 0.001, 0.5), rng.randint(-128, 127))
    target = Activation(shape, 1 / 256, -128)
    return source, [Step("SOFTMAX", target, options={"Beta": rng.choice([1.0, 1.0, 0.5, 2.0])})]


def random_unary(rng, name):
    shape = (1, 256)  # one window holds every input
    source = Activation(shape, random_scale(rng, 0.001, 0.3), rng.randint(-128, 127))
    target = {"LOGISTIC": Activation(shape, 1 / 256, -128), "TANH": Activation(shape, 1 / 128, 0)}.get(
        name, random_activation(rng, shape)
    )
    return source, [Step(name, target)]


def random_chain(rng):
    """CONV_2D, RESHAPE, FULLY_CONNECTED, RESHAPE: buffers that share the arena, a model that ends in a RESHAPE."""
    source, steps = random_conv(rng)
    last = steps[0].output
    flat = like(last, (1, int(np.prod(last.shape))))
    outs = rng.randint(1, 9)
    target = random_activation(rng, (1, outs))
    constants = random_constants(rng, (outs, flat.shape[1]), outs, True)
    return source, [
        *steps,
        Step("RESHAPE", flat),
        Step("FULLY_CONNECTED", target, *constants),
        Step("RESHAPE", like(target, (1, 1, outs, 1))),
    ]


OPERATORS = {
    "CONV_2D": random_conv,
    "CONV_2D with large biases": random_conv_with_large_biases,
    "DEPTHWISE_CONV_2D": random_depthwise,
    "FULLY_CONNECTED per channel": lambda rng: random_fully_connected(rng, True),
    "FULLY_CONNECTED per tensor": lambda rng: random_fully_connected(rng, False),
    "TRANSPOSE_CONV": random_transpose_conv,
    "AVERAGE_POOL_2D": lambda rng: random_pool(rng, "AVERAGE_POOL_2D"),
    "MAX_POOL_2D": lambda rng: random_pool(rng, "MAX_POOL_2D"),
    "MEAN": random_mean,
    "ADD": lambda rng: random_binary(rng, "ADD"),
    "SUB": lambda rng: random_binary(rng, "SUB"),
    "MUL": lambda rng: random_binary(rng, "MUL"),
    "CONCATENATION": random_concatenation,
    "PAD": random_pad,
    "STRIDED_SLICE": random_strided_slice,
    "SOFTMAX": random_softmax,
    "LOGISTIC": lambda rng: random_unary(rng, "LOGISTIC"),
    "TANH": lambda rng: random_unary(rng, "TANH"),
    "RELU": lambda rng: random_unary(rng, "RELU"),
    "RELU6": lambda rng: random_unary(rng, "RELU6"),
    "QUANTIZE": lambda rng: random_unary(rng, "QUANTIZE"),
    "chain with RESHAPE": random_chain,
}

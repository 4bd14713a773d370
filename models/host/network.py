"""The encoder's float network and its training in JAX; knows nothing of quantisation or files.

Seeded, one thread, no instructions above AVX2, so that a machine repeats itself byte for byte. It is an auto-encoder;
the decoder serves only to train and to measure.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 --xla_cpu_max_isa=AVX2"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from models.quantize import FloatLayer  # noqa: E402

EMBEDDING = 16
HIDDEN = 64
PIXELS = 128
# operator, weights' shape in TFLite's layout, output's shape, stride, ReLU
LAYERS = (
    ("CONV_2D", (8, 4, 1, 4), (1, 16, 1, 8), (2, 1), True),
    ("DEPTHWISE_CONV_2D", (1, 3, 1, 8), (1, 16, 1, 8), (1, 1), True),
    ("CONV_2D", (16, 3, 1, 8), (1, 8, 1, 16), (2, 1), True),
    ("CONV_2D", (16, 3, 1, 16), (1, 4, 1, 16), (2, 1), True),
    ("RESHAPE", None, (1, 64), (1, 1), False),
    ("FULLY_CONNECTED", (EMBEDDING, 64), (1, EMBEDDING), (1, 1), False),
)
LAYOUTS = {"CONV_2D": ("NHWC", "OHWI", "NHWC"), "DEPTHWISE_CONV_2D": ("NHWC", "IHWO", "NHWC")}


def make_parameters(seed):
    """{"encoder": a (weights, bias) or None for each layer, "decoder": two of them}, float32, He's initialisation."""
    keys = iter(jax.random.split(jax.random.key(seed), len(LAYERS) + 2))

    def make(shape, fan_in, outs):
        return jax.random.normal(next(keys), shape) * jnp.sqrt(2.0 / fan_in), jnp.zeros(outs)

    encoder = []
    for name, shape, out_shape, _, _ in LAYERS:
        fan_in = shape and (np.prod(shape[1:3]) if name == "DEPTHWISE_CONV_2D" else np.prod(shape[1:]))
        encoder.append(shape and make(shape, fan_in, out_shape[-1]))
    decoder = [make((HIDDEN, EMBEDDING), EMBEDDING, HIDDEN), make((PIXELS, HIDDEN), HIDDEN, PIXELS)]
    return {"encoder": encoder, "decoder": decoder}


def encode(encoder, x):
    """Every layer's output for x float32[n, 32, 1, 4]; the last is the embedding, [n, 16]."""
    outputs = []
    for (name, _, shape, stride, relu), pair in zip(LAYERS, encoder, strict=True):
        if name == "RESHAPE":
            x = x.reshape(-1, *shape[1:])
        elif name == "FULLY_CONNECTED":
            x = x @ pair[0].T + pair[1]
        else:
            groups = x.shape[-1] if name == "DEPTHWISE_CONV_2D" else 1
            x = (
                jax.lax.conv_general_dilated(
                    x, pair[0], stride, "SAME", dimension_numbers=LAYOUTS[name], feature_group_count=groups
                )
                + pair[1]
            )
        x = jax.nn.relu(x) if relu else x
        outputs.append(x)
    return outputs


def decode(decoder, embedding):
    """float32[n, 128]: the window again."""
    (w1, b1), (w2, b2) = decoder
    return jax.nn.relu(embedding @ w1.T + b1) @ w2.T + b2


def _loss(parameters, x):
    restored = decode(parameters["decoder"], encode(parameters["encoder"], x)[-1])
    return jnp.mean((restored - x.reshape(-1, PIXELS)) ** 2)


def train(x, seed, steps, batch):
    """(parameters, losses float[steps // 100]): Adam with a cosine rate from 3e-3 to 0 on x float32[n, 32, 1, 4]."""
    parameters = make_parameters(seed)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    x, order = jnp.asarray(x), np.random.default_rng(seed).integers(0, len(x), (steps // 100, 100, batch))

    def step(state, chosen):
        parameters, first, second, count = state
        loss, slopes = jax.value_and_grad(_loss)(parameters, x[chosen])
        count += 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slopes)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, slopes)
        rate = 3e-3 * 0.5 * (1 + jnp.cos(jnp.pi * count / steps))

        def move(p, m, v):
            return p - rate * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)

        return (jax.tree.map(move, parameters, first, second), first, second, count), loss

    run = jax.jit(lambda state, chosen: jax.lax.scan(step, state, chosen))
    state, losses = (parameters, zeros, zeros, 0.0), []
    for chosen in order:
        state, recent = run(state, chosen)
        losses.append(float(recent.mean()))
    return jax.tree.map(np.asarray, state[0]), losses


def float_layers(encoder):
    """The trained encoder as models.quantize takes it."""
    layers = []
    for (name, _, shape, stride, relu), pair in zip(LAYERS, encoder, strict=True):
        weights, bias = pair if pair else (None, None)
        options = {"DepthMultiplier": 1} if name == "DEPTHWISE_CONV_2D" else {}
        layers.append(FloatLayer(name, shape, weights, bias, stride, relu, options))
    return layers

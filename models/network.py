"""The encoders' float network and its training in JAX; knows nothing of quantisation, files or what the samples mean.

Seeded, one thread, no instructions above AVX2, so that a machine repeats itself byte for byte. It is an auto-encoder;
the decoder serves only to train and to measure.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 --xla_cpu_max_isa=AVX2"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from models.quantize import FloatLayer  # noqa: E402

EMBEDDING = 16
HIDDEN = 64
PARTS = 10
LAYOUTS = {"CONV_2D": ("NHWC", "OHWI", "NHWC"), "DEPTHWISE_CONV_2D": ("NHWC", "IHWO", "NHWC")}


@dataclass(frozen=True)
class Layer:
    """weights: their shape in TFLite's layout (export.Step), none for RESHAPE; output: its shape with batch 1."""

    name: str
    weights: tuple[int, ...] | None
    output: tuple[int, ...]
    stride: int = 1
    relu: bool = False


@dataclass(frozen=True)
class Network:
    """An auto-encoder of windows of `window` samples of `channels` values; `width` is its first layer's channels."""

    window: int
    channels: int
    width: int

    @property
    def pixels(self) -> int:
        return self.window * self.channels

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Three strided convolutions in time, one depthwise between them, then the embedding: EMBEDDING values."""
        n, c, w = self.window, self.channels, self.width
        halves = [n := -(-n // 2) for _ in range(3)]
        flat = halves[2] * 2 * w
        return (
            Layer("CONV_2D", (w, 4, 1, c), (1, halves[0], 1, w), 2, True),
            Layer("DEPTHWISE_CONV_2D", (1, 3, 1, w), (1, halves[0], 1, w), 1, True),
            Layer("CONV_2D", (2 * w, 3, 1, w), (1, halves[1], 1, 2 * w), 2, True),
            Layer("CONV_2D", (2 * w, 3, 1, 2 * w), (1, halves[2], 1, 2 * w), 2, True),
            Layer("RESHAPE", None, (1, flat)),
            Layer("FULLY_CONNECTED", (EMBEDDING, flat), (1, EMBEDDING)),
        )


def make_parameters(network: Network, seed: int) -> dict:
    """{"encoder": a (weights, bias) or None for each layer, "decoder": two of them}, float32, He's initialisation."""
    layers = network.layers
    keys = iter(jax.random.split(jax.random.key(seed), len(layers) + 2))

    def make(shape, fan_in, outs):
        return jax.random.normal(next(keys), shape) * jnp.sqrt(2.0 / fan_in), jnp.zeros(outs)

    encoder = []
    for layer in layers:
        shape = layer.weights
        fan_in = shape and (np.prod(shape[1:3]) if layer.name == "DEPTHWISE_CONV_2D" else np.prod(shape[1:]))
        encoder.append(shape and make(shape, fan_in, layer.output[-1]))
    decoder = [make((HIDDEN, EMBEDDING), EMBEDDING, HIDDEN), make((network.pixels, HIDDEN), HIDDEN, network.pixels)]
    return {"encoder": encoder, "decoder": decoder}


def encode(network: Network, encoder: list, x) -> list:
    """Every layer's output for x float32[n, window, 1, channels]; the last is the embedding, [n, EMBEDDING]."""
    outputs = []
    for layer, pair in zip(network.layers, encoder, strict=True):
        if layer.name == "RESHAPE":
            x = x.reshape(-1, *layer.output[1:])
        elif layer.name == "FULLY_CONNECTED":
            x = x @ pair[0].T + pair[1]
        else:
            groups = x.shape[-1] if layer.name == "DEPTHWISE_CONV_2D" else 1
            x = (
                jax.lax.conv_general_dilated(
                    x,
                    pair[0],
                    (layer.stride, 1),
                    "SAME",
                    feature_group_count=groups,
                    dimension_numbers=LAYOUTS[layer.name],
                )
                + pair[1]
            )
        x = jax.nn.relu(x) if layer.relu else x
        outputs.append(x)
    return outputs


def decode(decoder: list, embedding):
    """float32[n, window * channels]: the window again."""
    (w1, b1), (w2, b2) = decoder
    return jax.nn.relu(embedding @ w1.T + b1) @ w2.T + b2


def train(network: Network, x, seed: int, steps: int, batch: int, report: Callable[[float, float], None]):
    """(parameters, losses: the mean of each tenth of the steps) on x float32[n, window, 1, channels].

    Adam with a cosine rate from 3e-3 to 0. report(fraction done, loss) is called after each tenth.
    """
    parameters = make_parameters(network, seed)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    x, order = jnp.asarray(x), np.random.default_rng(seed).integers(0, len(x), (PARTS, steps // PARTS, batch))

    def measure(parameters, x):
        restored = decode(parameters["decoder"], encode(network, parameters["encoder"], x)[-1])
        return jnp.mean((restored - x.reshape(-1, network.pixels)) ** 2)

    def step(state, chosen):
        parameters, first, second, count = state
        loss, slopes = jax.value_and_grad(measure)(parameters, x[chosen])
        count += 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slopes)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, slopes)
        rate = 3e-3 * 0.5 * (1 + jnp.cos(jnp.pi * count / steps))

        def move(p, m, v):
            return p - rate * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)

        return (jax.tree.map(move, parameters, first, second), first, second, count), loss

    run = jax.jit(lambda state, chosen: jax.lax.scan(step, state, chosen))
    state, losses = (parameters, zeros, zeros, 0.0), []
    for part, chosen in enumerate(order, 1):
        state, recent = run(state, chosen)
        losses.append(float(recent.mean()))
        report(part / PARTS, losses[-1])
    return jax.tree.map(np.asarray, state[0]), losses


def float_layers(network: Network, encoder: list) -> list[FloatLayer]:
    """The trained encoder as models.quantize takes it."""
    layers = []
    for layer, pair in zip(network.layers, encoder, strict=True):
        weights, bias = pair if pair else (None, None)
        options = {"DepthMultiplier": 1} if layer.name == "DEPTHWISE_CONV_2D" else {}
        layers.append(FloatLayer(layer.name, layer.output, weights, bias, (layer.stride, 1), layer.relu, options))
    return layers

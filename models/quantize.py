"""Post-training int8 quantisation of a chain of float layers; trains nothing and measures no figures.

Weights symmetric per output channel in -127..127, biases int32 at input scale * weights' scale, activations asymmetric
over the range seen on a representative set, widened to hold 0. Source: TensorFlow Lite int8 quantisation specification.
"""

from dataclasses import dataclass, field

import numpy as np
import tflite

from models.export import Activation, Step


class NotQuantizable(ValueError):
    """A layer's values do not fit int8 arithmetic; one line."""


@dataclass(frozen=True)
class FloatLayer:
    """One layer before quantisation: weights float32 in TFLite's layout (export.Step), bias float32[out]; RESHAPE has
    neither. shape is the output's, with batch 1."""

    name: str
    shape: tuple[int, ...]
    weights: np.ndarray | None = None
    bias: np.ndarray | None = None
    stride: tuple[int, int] = (1, 1)
    relu: bool = False
    options: dict[str, int] = field(default_factory=dict)


def quantize_chain(source: Activation, layers: list[FloatLayer], ranges: list[tuple[float, float]]) -> list[Step]:
    """The int8 steps for write_chain; ranges are each layer's smallest and largest output on the representative set.

    Raises:
        NotQuantizable: a range that is not finite or empty, or a bias beyond int32.
    """
    steps, previous = [], source
    for layer, (low, high) in zip(layers, ranges, strict=True):
        steps.append(
            _quantize_reshape(previous, layer)
            if layer.weights is None
            else _quantize_layer(previous, layer, _activation(layer, low, high))
        )
        previous = steps[-1].output
    return steps


def _quantize_reshape(source: Activation, layer: FloatLayer) -> Step:
    return Step(layer.name, Activation(layer.shape, source.scale, source.zero_point))


def _activation(layer: FloatLayer, low: float, high: float) -> Activation:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255))
    if not (np.isfinite([low, high]).all() and scale > 0):
        raise NotQuantizable(f"{layer.name}: outputs: got {low:g} to {high:g}, wanted finite ones that differ")
    return Activation(layer.shape, scale, int(np.clip(round(-128 - low / scale), -128, 127)))


def _quantize_layer(source: Activation, layer: FloatLayer, target: Activation) -> Step:
    depthwise = layer.name == "DEPTHWISE_CONV_2D"
    others = (0, 1, 2) if depthwise else tuple(range(1, layer.weights.ndim))
    scales = np.maximum(np.abs(layer.weights).max(axis=others), 1e-6).astype(np.float32) / np.float32(127)
    spread = scales if depthwise else scales.reshape(-1, *[1] * len(others))
    weights = np.clip(np.rint(layer.weights / spread), -127, 127).astype(np.int8)
    real_bias = np.rint(layer.bias.astype(np.float64) / (source.scale * scales.astype(np.float64)))
    if not np.abs(real_bias).max() < 2**31:
        raise NotQuantizable(f"{layer.name}: biases: got {np.abs(real_bias).max():g}, wanted less than 2^31")
    bias = real_bias.astype(np.int32)
    kinds = tflite.ActivationFunctionType
    options = {"FusedActivationFunction": kinds.RELU if layer.relu else kinds.NONE, **layer.options}
    if layer.name != "FULLY_CONNECTED":
        options |= {"Padding": tflite.Padding.SAME, "StrideH": layer.stride[0], "StrideW": layer.stride[1]}
    return Step(layer.name, target, weights, tuple(map(float, scales)), bias, options)

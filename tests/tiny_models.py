"""Models shaped as MLPerf Tiny's ResNet-8 and MobileNet-0.25 with random weights, whose files are not with us."""

import random

import numpy as np
import tflite

from models.export import Activation, Step
from tests.int8_operators import like, random_constants

SAME, VALID = tflite.Padding.SAME, tflite.Padding.VALID
RELU, NONE = tflite.ActivationFunctionType.RELU, tflite.ActivationFunctionType.NONE
WEIGHT_SCALE = 0.02


class Network:
    """Steps in the order they run; each method adds one and gives its number, 0 is the input."""

    def __init__(self, seed, shape):
        self.rng = random.Random(seed)
        self.source = Activation(shape, 1 / 255, -128)
        self.activations, self.steps = [self.source], []

    def add(self, name, output, inputs, constants=(None, (), None), **options):
        self.steps.append(Step(name, output, *constants, options, tuple(inputs)))
        self.activations.append(output)
        return len(self.steps)

    def constants(self, shape, outs, taps):
        """Weights whose outputs spread over the int8 range."""
        weights, _, bias = random_constants(self.rng, shape, outs, True)
        return weights, (float(np.float32(WEIGHT_SCALE / taps**0.5)),) * outs, bias // 64

    def conv(self, at, out_c, kernel=3, stride=1, act=RELU, depthwise=False):
        _, h, w, c = self.activations[at].shape
        out = Activation((1, -(-h // stride), -(-w // stride), out_c), 1 / 60, -128 if act == RELU else 3)
        shape = (1, kernel, kernel, out_c) if depthwise else (out_c, kernel, kernel, c)
        options = {
            "Padding": SAME,
            "StrideH": stride,
            "StrideW": stride,
            "FusedActivationFunction": act,
            "DilationHFactor": 1,
            "DilationWFactor": 1,
        }
        options |= {"DepthMultiplier": 1} if depthwise else {}
        taps = kernel * kernel * (1 if depthwise else c)
        name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        return self.add(name, out, [at], self.constants(shape, out_c, taps), **options)

    def classify(self, at, count):
        """Average over the image, FULLY_CONNECTED, SOFTMAX."""
        given = self.activations[at]
        _, h, w, c = given.shape
        at = self.add(
            "AVERAGE_POOL_2D",
            like(given, (1, 1, 1, c)),
            [at],
            Padding=VALID,
            StrideH=h,
            StrideW=w,
            FilterHeight=h,
            FilterWidth=w,
        )
        at = self.add("RESHAPE", like(given, (1, c)), [at])
        at = self.add("FULLY_CONNECTED", Activation((1, count), 0.1, 5), [at], self.constants((count, c), count, c))
        self.add("SOFTMAX", Activation((1, count), 1 / 256, -128), [at], Beta=1.0)
        return self.source, self.steps


def resnet8():
    net = Network("resnet8", (1, 32, 32, 3))
    at = net.conv(0, 16)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        inner = net.conv(net.conv(at, channels, stride=stride), channels, act=NONE)
        side = at if stride == 1 else net.conv(at, channels, kernel=1, stride=stride, act=NONE)
        output = Activation(net.activations[inner].shape, 1 / 50, -128)
        at = net.add("ADD", output, [side, inner], FusedActivationFunction=RELU)
    return net.classify(at, 10)


def mobilenet(side=96):
    net = Network("mobilenet", (1, side, side, 3))
    at = net.conv(0, 8, stride=2)
    layers = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))
    for channels, stride in layers:
        at = net.conv(at, net.activations[at].shape[3], stride=stride, depthwise=True)
        at = net.conv(at, channels, kernel=1)
    return net.classify(at, 2)

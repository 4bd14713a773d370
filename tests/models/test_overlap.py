"""Convolutions whose output overlaps their input in the arena: the reference's bytes; refused where a byte too near."""

import random
import struct

import pytest
import tflite

from device.native.shared import ArtifactError, Model
from models.artifact import DIGEST_BYTES, HEADER, RECORD, compile_model, seal
from models.export import Activation, Step, write_chain
from models.layer import CONV, DEPTHWISE, Layer
from tests.int8_operators import random_activation, random_constants
from tests.models.test_int8 import random_windows, run_ours, run_reference

SAME, VALID = tflite.Padding.SAME, tflite.Padding.VALID
NONE = 0xFFFFFFFF
CHAINS = 60


def random_step(rng, shape):
    """A convolution of an image, and the shape of what it gives."""
    kernel, stride = [rng.randint(1, min(3, size)) for size in shape[1:3]], [rng.choice([1, 1, 1, 2]) for _ in range(2)]
    padding, depthwise = rng.choice([SAME, SAME, VALID]), rng.random() < 0.4
    outs = [
        -(-size // step) if padding == SAME else (size - taps) // step + 1
        for size, taps, step in zip(shape[1:3], kernel, stride, strict=True)
    ]
    count = shape[3] if depthwise else rng.randint(1, 9)
    options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1], "FusedActivationFunction": 0}
    options |= {"DilationHFactor": 1, "DilationWFactor": 1} | ({"DepthMultiplier": 1} if depthwise else {})
    weights = (1, *kernel, count) if depthwise else (count, *kernel, shape[3])
    target = random_activation(rng, (1, *outs, count))
    constants = random_constants(rng, weights, count, True)
    return Step("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", target, *constants, options)


def random_chain(rng):
    source = random_activation(rng, (1, rng.randint(4, 12), rng.randint(1, 6), rng.randint(1, 8)))
    steps, shape = [], source.shape
    for _ in range(5):
        steps.append(random_step(rng, shape))
        shape = steps[-1].output.shape
    return source, steps


def records(artifact):
    """(layer's index, source, destination, bytes of source, bytes of destination) of layers between arena and arena."""
    for index in range(struct.unpack_from("<I", artifact, 8)[0]):
        r = RECORD.unpack_from(artifact, HEADER.size + RECORD.size * index)
        if NONE not in r[22:24]:
            yield index, r[22], r[23], r[16] * r[17] * r[18], r[19] * r[20] * r[21]


def test_chains_that_overlap_give_the_reference_resolvers_bytes():
    overlaps = 0
    for seed in range(CHAINS):
        rng = random.Random(f"overlap {seed}")
        source, steps = random_chain(rng)
        content, windows = write_chain(source, steps), random_windows(rng, source.shape, 4)
        assert run_ours(content, windows) == run_reference(content, windows), seed
        for _, here, there, size, out in records(compile_model(content)):
            overlaps += there < here + size and here < there + out
    assert overlaps > CHAINS // 2


def needed_lead(layer):
    """By trying it: the least lead with which no output is written over a value that a patch reads later or now."""
    (out_h, out_w, out_c), (_, in_w, in_c) = layer.out_shape, layer.in_shape
    least = [
        (max(0, y * layer.stride[0] - layer.pad[0]) * in_w + max(0, x * layer.stride[1] - layer.pad[1])) * in_c
        for y in range(out_h)
        for x in range(out_w)
    ]
    group = 2 if layer.kind == CONV else 1
    return max(
        min(at + group, len(least)) * out_c - min(least[at:]) for at in range(0, len(least), group)
    )  # outputs of a group are written while its patches are read


def test_the_lead_is_never_too_small_and_hardly_ever_too_large():
    rng, exact = random.Random(4), 0
    for _ in range(2000):
        kind, channels = rng.choice([CONV, DEPTHWISE]), rng.randint(1, 9)
        depths = channels, channels if kind == DEPTHWISE else rng.randint(1, 9)
        shapes = [(rng.randint(1, 12), rng.randint(1, 6), depth) for depth in depths]
        stride, pad = [tuple(rng.randint(low, 3) for _ in "hw") for low in (1, 0)]
        layer = Layer("", kind, (0,), 1, *shapes, stride=stride, pad=pad)
        needed = needed_lead(layer)
        assert layer.lead_bytes >= needed
        exact += layer.lead_bytes == needed
    assert exact > 1000


def overlapping_pair():
    """Two convolutions of a column of 16 pixels of 8 values; the second's lead is two pixels of its output."""
    source = Activation((1, 16, 1, 8), 0.05, 3)
    options = {"Padding": VALID, "StrideH": 1, "StrideW": 1, "FusedActivationFunction": 0}
    options |= {"DilationHFactor": 1, "DilationWFactor": 1}
    rng = random.Random(1)
    steps = [Step("CONV_2D", source, *random_constants(rng, (8, 1, 1, 8), 8, True), options) for _ in range(3)]
    return compile_model(write_chain(source, steps))


def test_an_output_that_leads_by_a_byte_less_is_refused():
    artifact = overlapping_pair()
    ((index, source, destination, _, _),) = records(artifact)
    assert source - destination == 16

    content = bytearray(artifact[:-DIGEST_BYTES])
    struct.pack_into("<I", content, HEADER.size + RECORD.size * index + 28, source - 1)
    with pytest.raises(ArtifactError, match="outside its arena"):
        Model(seal(bytes(content)))

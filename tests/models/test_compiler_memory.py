"""What the compiler takes of memory for flatbuffers that overlap, loop or lie about their size: never more than the
bound of models/ARTIFACT.md beside the file itself. Counted by tracemalloc, to which numpy reports too."""

import random
import struct
import tracemalloc
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tflite

from models.artifact import compile_model
from models.export import Activation, Step, write_chain
from models.graph import ModelRefused
from tests.int8_operators import OPERATORS

BOUND_BYTES = 96 << 20
SMALL_BOUND_BYTES = 4 << 20  # for files of some KB
LARGE = 100_000  # entries of a vector, bytes of a name
HOST = (Path(__file__).parents[2] / "models" / "host" / "encoder.tflite").read_bytes()


class Hostile:
    """A flatbuffer in which tables are written once and named as often as wanted."""

    def __init__(self):
        self.builder = flatbuffers.Builder(1 << 22)
        self.int8 = {"Type": tflite.TensorType.INT8, "Quantization": self.quantization([0.1])}

    def table(self, kind, **fields):
        getattr(tflite, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            getattr(tflite, f"{kind}Add{name}")(self.builder, value)
        return getattr(tflite, f"{kind}End")(self.builder)

    def ints(self, values, dtype=np.int32):
        return self.builder.CreateNumpyVector(np.asarray(values, dtype))

    def offsets(self, offset, count):
        """A vector of `count` entries, all of them the same table."""
        self.builder.StartVector(4, count, 4)
        for _ in range(count):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def quantization(self, scales):
        zeros = self.ints(np.zeros(len(scales)), np.int64)
        return self.table("QuantizationParameters", Scale=self.ints(scales, np.float32), ZeroPoint=zeros)

    def tensor(self, name=b"t", shape=(1, 8), **fields):
        name, shape = self.builder.CreateString(name), self.ints(shape)
        return self.table("Tensor", **self.int8 | {"Name": name, "Shape": shape} | fields)

    def file(
        self, tensor=None, tensors=2, operators=1, inputs=1, data=b"", code=tflite.BuiltinOperator.RELU, **options
    ):
        tensor = tensor or self.tensor()
        buffer = self.table("Buffer", **({"Data": self.ints(bytearray(data), np.uint8)} if data else {}))
        operator = self.table(
            "Operator", Inputs=self.ints(np.zeros(inputs)), Outputs=self.ints([1]), OpcodeIndex=0, **options
        )
        subgraph = self.table(
            "SubGraph",
            Tensors=self.offsets(tensor, tensors),
            Inputs=self.ints([0]),
            Outputs=self.ints([1]),
            Operators=self.offsets(operator, operators),
        )
        opcode = self.table("OperatorCode", BuiltinCode=code, DeprecatedBuiltinCode=code, Version=1)
        model = self.table(
            "Model",
            Version=3,
            Subgraphs=self.offsets(subgraph, 1),
            Buffers=self.offsets(buffer, 1),
            OperatorCodes=self.offsets(opcode, 1),
        )
        self.builder.Finish(model, b"TFL3")
        return bytes(self.builder.Output())


def with_tensor(count, **fields):
    hostile = Hostile()
    return hostile.file(hostile.tensor(**fields), tensors=count)


def with_scales(tensors, count):
    hostile = Hostile()
    quantization = hostile.quantization(np.full(count, 0.1))
    return hostile.file(hostile.tensor(Quantization=quantization), tensors=tensors)


def fully_connected(channels, taps, times=1):
    weights = np.ones((channels, taps), np.int8)
    source = Activation((1, taps), 0.05, 3)
    bias, options = np.zeros(channels, np.int32), {"FusedActivationFunction": 0, "WeightsFormat": 0}
    step = Step("FULLY_CONNECTED", Activation((1, channels), 0.05, 3), weights, (0.01,) * channels, bias, options)
    return write_chain(source, [step] * times)


def depthwise(channels, multiplier):
    """One tap a channel; as a convolution it has a weight for each pair of channels."""
    outs = channels * multiplier
    constants = np.ones((1, 1, 1, outs), np.int8), (0.01,) * outs, np.zeros(outs, np.int32)
    options = dict.fromkeys(("StrideH", "StrideW", "DilationHFactor", "DilationWFactor"), 1)
    options |= {"Padding": tflite.Padding.VALID, "DepthMultiplier": multiplier}
    target = Activation((1, 1, 1, outs), 0.05, 3)
    step = Step("DEPTHWISE_CONV_2D", target, *constants, options)
    return write_chain(Activation((1, 1, 1, channels), 0.05, 3), [step])


def concatenations(times):
    """Each of 255 parts, all of them the model's input."""
    part = Activation((1, 8), 0.05, 3)
    step = Step("CONCATENATION", Activation((1, 255 * 8), 0.05, 3), options={"Axis": 1}, inputs=(0,) * 255)
    return write_chain(part, [step] * times)


HOSTILE = {
    "many tensors that are one": (lambda: with_tensor(LARGE), "tensors: got 100000"),
    "tensors that share a shape without end": (
        lambda: with_tensor(4096, shape=np.ones(LARGE)),
        "dimensions: got 100000",
    ),
    "tensors that share scales": (lambda: with_scales(4096, 60000), "scales of all tensors: got 300000"),
    "tensors that share a name": (lambda: with_tensor(4096, name=b"n" * LARGE), None),
    "tensors that share a constant": (
        lambda: Hostile().file(tensors=4096, data=bytes(8)),
        "output t is a constant",
    ),
    "a shape that says it is longer than the file": (
        lambda: with_tensor(2, shape=np.full(8, 0x7FFFFFFF)),
        "wanted at most 16777216",
    ),
    "many operators that are one": (lambda: Hostile().file(operators=LARGE), "operators: got 100000"),
    "an operator of many inputs": (lambda: Hostile().file(inputs=LARGE), "inputs: got 100000"),
    "weights of too many channels": (lambda: fully_connected(LARGE, 1), "100000 channels"),
    "weights without end": (lambda: fully_connected(200, LARGE), "20000000 bytes, wanted at most"),
    "weights that are too many together": (lambda: fully_connected(2000, 2000, 6), "wanted at most 1024 and 16777216"),
    "the largest weights": (lambda: fully_connected(4000, 4000), None),
    "weights that together are just not too many": (lambda: fully_connected(2030, 2030, 4), None),
    "concatenations that share their parts": (
        lambda: concatenations(5),
        "operator 4 CONCATENATION version 2: 1275 layers",
    ),
    "small weights that become a large convolution": (lambda: depthwise(1000, 4), None),
}


def peak_bytes(content):
    """What compile_model took at most beside the file, and why it refused, if it did."""
    message = None
    tracemalloc.start()
    try:
        compile_model(content)
    except ModelRefused as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, message


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_takes_no_more_memory_than_the_bound(case):
    make, wanted = HOSTILE[case]

    peak, message = peak_bytes(make())

    assert peak <= BOUND_BYTES
    assert wanted is None and message is None or wanted in message


def test_bytes_that_loop_and_overlap_take_no_more_than_their_like():
    """Offsets and lengths replaced by others of the same file, by huge ones and by ones that point back."""
    rng, models = random.Random(5), [HOST, *(write_chain(*OPERATORS[name](random.Random(name))) for name in OPERATORS)]
    for _ in range(400):
        content = bytearray(rng.choice(models))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(0, min(len(content), 4000) - 4, 4)
            other = struct.unpack_from("<I", content, rng.randrange(0, len(content) - 4, 4))[0]
            struct.pack_into(
                "<I", content, at, rng.choice([other, 0, 4, 0xFFFFFFFF, 0x7FFFFFFF, 1 << 20, -at & 0xFFFFFFFF])
            )
        assert peak_bytes(bytes(content))[0] <= SMALL_BOUND_BYTES

"""Writes a chain or graph of int8 operators as a .tflite file; refuses nothing: what it is given must be a model.

Give weights a scale for each channel, in FULLY_CONNECTED too: tflite-runtime and tflite-micro multiply per-tensor
scales in different precisions, per-channel ones alike. The same chain gives the same bytes.
Source: TensorFlow Lite schema v3 (packages `flatbuffers` and `tflite`).
"""

from dataclasses import dataclass, field

import flatbuffers
import numpy as np
import tflite

from models.graph import VERSIONS

ALIGNMENT_BYTES = 16


@dataclass(frozen=True)
class Activation:
    """An int8 tensor: real value = scale * (q - zero_point)."""

    shape: tuple[int, ...]
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Step:
    """One operator of the chain.

    weights: int8 as TFLite lays them out: [out, h, w, in] CONV_2D, [1, h, w, out] DEPTHWISE_CONV_2D, [out, in]
    FULLY_CONNECTED, [out, h, w, in] TRANSPOSE_CONV. scales: one, or one an output channel. bias: int32[out], its scale
    is input scale * weights' scale. options: names of the schema's options table (StrideH, Padding...), their numbers.
    inputs: in the operator's order, without weights and bias: the number of an activation (0 the source, n the output
    of the n-th step), an int32 array or a Constant; where none is given, the output of the step before.
    """

    name: str
    output: Activation
    weights: np.ndarray | None = None
    scales: tuple[float, ...] = ()
    bias: np.ndarray | None = None
    options: dict[str, int | float] = field(default_factory=dict)
    inputs: tuple = ()


@dataclass(frozen=True)
class Constant:
    """An int8 operand that does not change: values of the activation's shape."""

    activation: Activation
    values: np.ndarray


TABLES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "CONCATENATION": "ConcatenationOptions",
    "PAD": "PadOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "RESHAPE": "ReshapeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "QUANTIZE": "QuantizeOptions",
}


def write_chain(source: Activation, steps: list[Step]) -> bytes:
    """The .tflite file in which each step takes the output of the one before, the first `source`."""
    return _Writer().write(source, steps)


class _Writer:
    """One file: tensors and buffers as they are added; buffer 0 is the schema's empty one."""

    def __init__(self):
        self.builder = flatbuffers.Builder(4096)
        self.buffers = [self._table("Buffer")]
        self.tensors: list[int] = []

    def write(self, source: Activation, steps: list[Step]) -> bytes:
        codes = sorted({step.name for step in steps})
        first = self._add_activation("input", source)
        made, operators = [(first, source)], []
        for index, step in enumerate(steps):
            inputs = self._add_inputs(index, step, made)
            made.append((self._add_activation(f"{index}", step.output), step.output))
            operators.append(self._add_operator(codes.index(step.name), step, inputs, made[-1][0]))
        last = made[-1][0]
        subgraph = self._table(
            "SubGraph",
            Tensors=self._offsets(self.tensors),
            Inputs=self._ints([first]),
            Outputs=self._ints([last]),
            Operators=self._offsets(operators),
        )
        opcodes = [self._add_code(name) for name in codes]
        model = self._table(
            "Model",
            Version=3,
            OperatorCodes=self._offsets(opcodes),
            Subgraphs=self._offsets([subgraph]),
            Buffers=self._offsets(self.buffers),
        )
        self.builder.Finish(model, b"TFL3")
        return bytes(self.builder.Output())

    def _table(self, kind: str, **fields: int) -> int:
        getattr(tflite, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            getattr(tflite, f"{kind}Add{name}")(self.builder, value)
        return getattr(tflite, f"{kind}End")(self.builder)

    def _ints(self, values: list[int] | tuple[int, ...]) -> int:
        return self.builder.CreateNumpyVector(np.array(values, np.int32))

    def _offsets(self, offsets: list[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def _add_buffer(self, data: bytes) -> int:
        self.builder.StartVector(1, len(data), ALIGNMENT_BYTES)
        self.builder.head -= len(data)
        self.builder.Bytes[self.builder.head : self.builder.head + len(data)] = data
        self.buffers.append(self._table("Buffer", Data=self.builder.EndVector()))
        return len(self.buffers) - 1

    def _add_tensor(self, name, shape, kind, scales, zeros, axis=0, buffer=0) -> int:
        quantization = self._table(
            "QuantizationParameters",
            Scale=self.builder.CreateNumpyVector(np.array(scales, np.float32)),
            ZeroPoint=self.builder.CreateNumpyVector(np.array(zeros, np.int64)),
            QuantizedDimension=axis,
        )
        self.tensors.append(
            self._table(
                "Tensor",
                Shape=self._ints(shape),
                Type=kind,
                Buffer=buffer,
                Name=self.builder.CreateString(name),
                Quantization=quantization,
            )
        )
        return len(self.tensors) - 1

    def _add_activation(self, name: str, activation: Activation) -> int:
        scales, zeros = [activation.scale], [activation.zero_point]
        return self._add_tensor(name, activation.shape, tflite.TensorType.INT8, scales, zeros)

    def _add_inputs(self, index: int, step: Step, made: list[tuple[int, Activation]]) -> list[int]:
        """Tensors of all inputs; made: tensor and activation of the source and of each step so far."""
        chosen = step.inputs or (len(made) - 1,)
        source = made[next(item for item in chosen if isinstance(item, int))][1]
        inputs = [
            made[item][0] if isinstance(item, int) else self._add_constant(f"{index}.{slot}", item)
            for slot, item in enumerate(chosen)
        ]
        constants = self._add_weights(index, source, step)
        if step.name == "TRANSPOSE_CONV":  # shape, weights, input, bias
            return [inputs[0], constants[0], inputs[1], constants[1]]
        return inputs + constants

    def _add_constant(self, name: str, item: np.ndarray | Constant) -> int:
        if isinstance(item, Constant):
            given, buffer = item.activation, self._add_buffer(item.values.astype("<i1").tobytes())
            return self._add_tensor(
                name, given.shape, tflite.TensorType.INT8, [given.scale], [given.zero_point], 0, buffer
            )
        return self._add_tensor(
            name, item.shape, tflite.TensorType.INT32, [], [], 0, self._add_buffer(item.astype("<i4").tobytes())
        )

    def _add_weights(self, index: int, source: Activation, step: Step) -> list[int]:
        if step.weights is None:
            return []
        axis = 3 if step.name == "DEPTHWISE_CONV_2D" else 0
        zeros = [0] * len(step.scales)
        products = [np.float32(source.scale) * np.float32(scale) for scale in step.scales]
        weights = self._add_tensor(
            f"{index}.w",
            step.weights.shape,
            tflite.TensorType.INT8,
            step.scales,
            zeros,
            axis,
            self._add_buffer(step.weights.astype("<i1").tobytes()),
        )
        bias = self._add_tensor(
            f"{index}.b",
            step.bias.shape,
            tflite.TensorType.INT32,
            products,
            zeros,
            0,
            self._add_buffer(step.bias.astype("<i4").tobytes()),
        )
        return [weights, bias]

    def _add_operator(self, code: int, step: Step, inputs: list[int], output: int) -> int:
        fields, options = dict(step.options), {}
        if step.name == "RESHAPE":
            fields["NewShape"] = self._ints(step.output.shape)
        if table := TABLES.get(step.name):
            options = {
                "BuiltinOptionsType": getattr(tflite.BuiltinOptions, table),
                "BuiltinOptions": self._table(table, **fields),
            }
        return self._table(
            "Operator", OpcodeIndex=code, Inputs=self._ints(inputs), Outputs=self._ints([output]), **options
        )

    def _add_code(self, name: str) -> int:
        code = getattr(tflite.BuiltinOperator, name)
        return self._table("OperatorCode", DeprecatedBuiltinCode=code, Version=VERSIONS[name], BuiltinCode=code)

"""Reads a .tflite file as plain values; refuses, by name, whatever the int8 kernels do not compute.

Operators are taken in file order; operator codes that no operator uses are ignored (real models list such codes).
Tables of a flatbuffer may overlap or point back, so a small file can name endless ones: each count is bounded before
anything of it is read, and constants are views of the file, never copies.
Source: TensorFlow Lite schema v3 (package `tflite`), TFLite int8 quantisation specification.
"""

import math
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import tflite

# Highest version of each operator whose int8 arithmetic we reproduce (tflite-runtime 2.14 loads the same ones).
VERSIONS = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "TRANSPOSE_CONV": 3, "AVERAGE_POOL_2D": 2,
    "MAX_POOL_2D": 2, "MEAN": 2, "ADD": 2, "SUB": 2, "MUL": 3, "CONCATENATION": 2, "PAD": 2, "STRIDED_SLICE": 2,
    "RESHAPE": 1, "SOFTMAX": 2, "LOGISTIC": 2, "TANH": 2, "RELU": 2, "RELU6": 2, "QUANTIZE": 2,
}  # fmt: skip
ACTIVATION = ("FusedActivationFunction",)
WINDOW = ("Padding", "StrideH", "StrideW")
DILATION = ("DilationHFactor", "DilationWFactor")
OPTIONS = {
    "CONV_2D": (tflite.Conv2DOptions, WINDOW + ACTIVATION + DILATION),
    "DEPTHWISE_CONV_2D": (tflite.DepthwiseConv2DOptions, WINDOW + ACTIVATION + DILATION),
    "FULLY_CONNECTED": (tflite.FullyConnectedOptions, (*ACTIVATION, "WeightsFormat")),
    "TRANSPOSE_CONV": (tflite.TransposeConvOptions, WINDOW),
    "AVERAGE_POOL_2D": (tflite.Pool2DOptions, (*WINDOW, *ACTIVATION, "FilterHeight", "FilterWidth")),
    "MAX_POOL_2D": (tflite.Pool2DOptions, (*WINDOW, *ACTIVATION, "FilterHeight", "FilterWidth")),
    "ADD": (tflite.AddOptions, ACTIVATION),
    "SUB": (tflite.SubOptions, ACTIVATION),
    "MUL": (tflite.MulOptions, ACTIVATION),
    "CONCATENATION": (tflite.ConcatenationOptions, (*ACTIVATION, "Axis")),
    "STRIDED_SLICE": (
        tflite.StridedSliceOptions,
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"),
    ),
    "SOFTMAX": (tflite.SoftmaxOptions, ("Beta",)),
}
OPERATORS_MAX, TENSORS_MAX, INPUTS_MAX, RANK_MAX = 1024, 4096, 255, 8
SCALES_MAX = 1 << 18  # of all tensors together
NAME_MAX = 1000  # bytes of a name that are kept: it only serves messages
TYPES = {tflite.TensorType.INT8: np.int8, tflite.TensorType.INT32: np.int32}
NAMES = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}


class ModelRefused(ValueError):
    """The model cannot run bit for bit on a device; the message says which operator or tensor and why."""


@dataclass(frozen=True)
class Tensor:
    """shape of dims; data None unless constant; scales and zero points per tensor (one) or per index of `axis`."""

    name: str
    shape: tuple[int, ...]
    kind: int
    data: np.ndarray | None
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Operator:
    """where is how an error names it; inputs has at least one; an optional input that is not there is -1."""

    where: str
    name: str
    inputs: tuple[int, ...]
    output: int
    options: dict[str, int]


@dataclass(frozen=True)
class Graph:
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    input: int
    output: int


def read_graph(content: bytes) -> Graph:
    """The only subgraph of a .tflite file, its tensors and operators in file order; raises ModelRefused."""
    if content[4:8] != b"TFL3":
        raise ModelRefused(f"file identifier: got {content[4:8]!r}, wanted b'TFL3'")
    with _reading("file"):
        return _read(tflite.Model.GetRootAs(content, 0))


@contextmanager
def _reading(what: str):
    """Names what could not be read: a table that leads out of the file, or into something else."""
    try:
        yield
    except ModelRefused:
        raise
    except (struct.error, IndexError, TypeError, AttributeError, ValueError):
        raise ModelRefused(f"{what}: cut off or damaged, wanted a whole flatbuffer") from None


def _demand_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise ModelRefused(f"{what}: got {count}, wanted at most {most}")


def _read(model: tflite.Model) -> Graph:
    if model.SubgraphsLength() != 1:
        raise ModelRefused(f"subgraphs: got {model.SubgraphsLength()}, wanted 1")
    subgraph = model.Subgraphs(0)
    _demand_count("tensors", subgraph.TensorsLength(), TENSORS_MAX)
    _demand_count("operators", subgraph.OperatorsLength(), OPERATORS_MAX)
    for what, count in (("inputs", subgraph.InputsLength()), ("outputs", subgraph.OutputsLength())):
        if count != 1:
            raise ModelRefused(f"{what}: got {count}, wanted 1")
    tensors = _read_tensors(model, subgraph)
    operators = tuple(_read_operators(model, subgraph))
    graph = Graph(tensors, operators, subgraph.Inputs(0), subgraph.Outputs(0))
    _demand_tensors("model", graph, (graph.input, graph.output))
    for operator in operators:
        _demand_tensors(operator.where, graph, (*operator.inputs[:1], operator.output))
        _demand_tensors(operator.where, graph, [i for i in operator.inputs[1:] if i != -1])
    return graph


def _demand_tensors(where: str, graph: Graph, indices: Iterable[int]) -> None:
    for index in indices:
        if not 0 <= index < len(graph.tensors):
            raise ModelRefused(f"{where}: tensor {index}, wanted 0 to {len(graph.tensors) - 1}")


def _read_tensors(model: tflite.Model, subgraph: tflite.SubGraph) -> tuple[Tensor, ...]:
    tensors, scales = [], 0
    for index in range(subgraph.TensorsLength()):
        with _reading(f"tensor {index}"):
            raw = subgraph.Tensors(index)
            q = raw.Quantization()
            scales += max(q.ScaleLength(), q.ZeroPointLength()) if q else 0
            _demand_count("scales of all tensors", scales, SCALES_MAX)
            tensors.append(_read_tensor(model, raw))
    return tuple(tensors)


def _read_tensor(model: tflite.Model, raw: tflite.Tensor) -> Tensor:
    name = raw.Name()[:NAME_MAX].decode(errors="replace")
    _demand_count(f"tensor {name}: dimensions", raw.ShapeLength(), RANK_MAX)
    shape = tuple(raw.Shape(i) for i in range(raw.ShapeLength()))
    buffer = model.Buffers(raw.Buffer())
    data = None
    if buffer.DataLength() and raw.Type() in TYPES:
        flat = buffer.DataAsNumpy().view(TYPES[raw.Type()])
        if flat.size != math.prod(shape) or min(shape, default=1) < 0:
            raise ModelRefused(f"tensor {name}: got {flat.size} values, wanted shape {shape}")
        data = flat.reshape(shape)
    q = raw.Quantization()
    scales = tuple(q.ScaleAsNumpy().tolist()) if q and q.ScaleLength() else ()
    zeros = tuple(q.ZeroPointAsNumpy().tolist()) if q and q.ZeroPointLength() else ()
    if len(scales) != len(zeros) or not all(math.isfinite(scale) and scale >= 0 for scale in scales):
        raise ModelRefused(f"tensor {name}: scales {scales[:3]}, zero points {zeros[:3]}: wanted as many, none below 0")
    return Tensor(name, shape, raw.Type(), data, scales, zeros, q.QuantizedDimension() if q else 0)


def _read_operators(model: tflite.Model, subgraph: tflite.SubGraph) -> Iterator[Operator]:
    for index in range(subgraph.OperatorsLength()):
        with _reading(f"operator {index}"):
            operator = _read_operator(model, subgraph, index)
        yield operator


def _read_operator(model: tflite.Model, subgraph: tflite.SubGraph, index: int) -> Operator:
    raw = subgraph.Operators(index)
    code = model.OperatorCodes(raw.OpcodeIndex())
    builtin = code.BuiltinCode()
    name = _custom_name(code) if builtin == tflite.BuiltinOperator.CUSTOM else NAMES.get(builtin, str(builtin))
    where = f"operator {index} {name} version {code.Version()}"
    if name not in VERSIONS:
        raise ModelRefused(f"{where}: wanted one of {', '.join(VERSIONS)}")
    if code.Version() > VERSIONS[name]:
        raise ModelRefused(f"{where}: wanted version {VERSIONS[name]} or lower")
    if raw.OutputsLength() != 1 or raw.InputsLength() < 1:
        raise ModelRefused(f"{where}: got {raw.InputsLength()} inputs and {raw.OutputsLength()} outputs")
    _demand_count(f"{where}: inputs", raw.InputsLength(), INPUTS_MAX)
    inputs = tuple(raw.Inputs(i) for i in range(raw.InputsLength()))
    return Operator(where, name, inputs, raw.Outputs(0), _read_options(raw, where, name))


def _custom_name(code: tflite.OperatorCode) -> str:
    return code.CustomCode()[:NAME_MAX].decode(errors="replace")


def _read_options(raw: tflite.Operator, where: str, name: str) -> dict[str, int]:
    if name not in OPTIONS:
        return {}
    (kind, names), table = OPTIONS[name], raw.BuiltinOptions()
    if table is None:
        raise ModelRefused(f"{where}: no options")
    options = kind()
    options.Init(table.Bytes, table.Pos)
    return {option: getattr(options, option)() for option in names}

"""Compiles a .tflite into the artifact that devices run (ARTIFACT.md); refuses models that could differ by one bit.

Only integers leave here: multipliers, shifts, zero points and the place of every buffer in the arena, so a device plans
nothing and does no float. The same .tflite gives the same bytes. The artifact names its .tflite by CID.
"""

import hashlib
import struct
from dataclasses import dataclass

import numpy as np

from models.graph import Graph, ModelRefused, read_graph
from models.lower import AVERAGE, Layer, lower_operator

HEADER = struct.Struct("<4sIIIII36s")
RECORD = struct.Struct("<Bbbbb3x8B6H5I")
NONE = 0xFFFFFFFF
ARENA_MAX_BYTES = 16 << 20
RAW_SHA256_CID = bytes([0x01, 0x55, 0x12, 0x20])


@dataclass
class Buffer:
    """A region of the arena, alive from operator `first` to `last`, both included."""

    size: int
    first: int
    last: int
    offset: int = NONE


def compile_model(content: bytes) -> bytes:
    """The artifact of a .tflite file; raises models.graph.ModelRefused."""
    graph = read_graph(content)
    names = _rename_reshapes(graph)
    steps = [op for op in graph.operators if op.name != "RESHAPE"]
    layers = [lower_operator(graph, op) for op in steps]
    if not layers or names[graph.input] == names[graph.output]:
        raise ModelRefused("model: nothing between input and output")
    buffers, scratch = _plan(graph, layers, names)
    arena = _place(list(buffers.values()) + [s for s in scratch if s])
    sizes = [graph.tensors[graph.input].size, graph.tensors[graph.output].size, arena]
    if max(sizes) > ARENA_MAX_BYTES:
        raise ModelRefused(f"model: input, output and arena of {sizes} bytes, wanted at most {ARENA_MAX_BYTES} each")
    places = {name: buffer.offset for name, buffer in buffers.items()}
    body = _Body(HEADER.size + RECORD.size * len(layers))
    records = [_record(layer, names, places, spare, body) for layer, spare in zip(layers, scratch, strict=True)]
    cid = RAW_SHA256_CID + hashlib.sha256(content).digest()
    size = HEADER.size + RECORD.size * len(layers) + len(body.content)
    return HEADER.pack(b"REN1", size, len(layers), *sizes, cid) + b"".join(records) + bytes(body.content)


def macs(content: bytes) -> int:
    """Multiply-accumulates of one run of a .tflite file."""
    graph = read_graph(content)
    return sum(lower_operator(graph, op).macs for op in graph.operators if op.name != "RESHAPE")


def _rename_reshapes(graph: Graph) -> list[int]:
    """For each tensor the first tensor that shares its bytes: itself, or what a RESHAPE took."""
    names = list(range(len(graph.tensors)))
    for op in graph.operators:
        if op.name == "RESHAPE":
            if graph.tensors[op.inputs[0]].size != graph.tensors[op.output].size:
                raise ModelRefused(f"{op.where}: input and output differ in size")
            names[op.output] = names[op.inputs[0]]
    return names


def _plan(graph: Graph, layers: list[Layer], names: list[int]) -> tuple[dict[int, Buffer], list[Buffer | None]]:
    """Buffers of tensors (by name; the model's input and output are the caller's) and of each layer's scratch."""
    source, target = names[graph.input], names[graph.output]
    buffers: dict[int, Buffer] = {}
    scratch: list[Buffer | None] = []
    written = {source}
    for index, layer in enumerate(layers):
        reads, writes = names[layer.input], names[layer.output]
        if reads not in written or writes in written:
            raise ModelRefused(f"{layer.where}: operators are not in the order of their data")
        if reads == target:
            raise ModelRefused(f"{layer.where}: reads the model's output")
        written.add(writes)
        if reads != source:
            buffers[reads].last = index
        if writes != target:
            buffers[writes] = Buffer(graph.tensors[layer.output].size, index, index)
        column = layer.kernel[0] * layer.kernel[1] * layer.in_shape[2]
        needed = layer.kind != AVERAGE and not _is_in_place(layer)
        scratch.append(Buffer(column, index, index) if needed else None)
    if target not in written:
        raise ModelRefused("model: no operator writes the output")
    return buffers, scratch


def _is_in_place(layer: Layer) -> bool:
    return layer.kernel == (1, 1) and layer.pad == (0, 0)


def _place(buffers: list[Buffer]) -> int:
    """Gives each buffer its offset, the largest first, each at the lowest place free in its time; the arena's bytes."""
    placed: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.first)):
        offset = 0
        for other in sorted(placed, key=lambda b: b.offset):
            together = other.first <= buffer.last and buffer.first <= other.last
            if together and offset + buffer.size > other.offset:
                offset = max(offset, (other.offset + other.size + 3) & ~3)
        buffer.offset = offset
        placed.append(buffer)
    return max((b.offset + b.size for b in placed), default=0)


class _Body:
    """What follows the records: channel tables and weights, each at a multiple of four."""

    def __init__(self, start: int):
        self.start, self.content = start, bytearray()

    def append(self, array: np.ndarray) -> int:
        offset = self.start + len(self.content)
        self.content += array.tobytes()
        self.content += bytes(-len(self.content) % 4)
        return offset


def _in_fours(weights: np.ndarray) -> np.ndarray:
    """int8[taps, channels] as the kernels read it: channels in fours, [tap][4] each; then one by one, [tap]."""
    fours = weights.shape[1] // 4 * 4
    groups = weights[:, :fours].reshape(weights.shape[0], -1, 4).transpose(1, 0, 2)
    return np.concatenate([groups.reshape(-1), weights[:, fours:].T.reshape(-1)])


def _record(layer: Layer, names: list[int], places: dict[int, int], scratch: Buffer | None, body: _Body) -> bytes:
    channels = weights = NONE
    if layer.channels is not None and layer.weights is not None:
        channels = body.append(layer.channels.astype("<i4"))
        weights = body.append(_in_fours(layer.weights))
    source, target = (places.get(names[tensor], NONE) for tensor in (layer.input, layer.output))
    spare = scratch.offset if scratch else NONE
    shapes = layer.kernel + layer.stride + layer.dilation + layer.pad + layer.in_shape + layer.out_shape
    return RECORD.pack(layer.kind, *layer.zeros, *layer.clamp, *shapes, source, target, spare, weights, channels)

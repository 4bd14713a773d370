"""Compiles a .tflite into the artifact that devices run (ARTIFACT.md); refuses models that could differ by one bit.

Only integers leave here: multipliers, shifts, zero points and the place of every buffer in the arena, so a device plans
nothing and does no float. The same .tflite gives the same bytes. The artifact names its .tflite by CID.
"""

import hashlib
import struct

import numpy as np

from models.graph import Graph, ModelRefused, read_graph
from models.layer import BYTES_MAX, Layer
from models.lower import lower_operator
from models.plan import NONE, plan_arena

HEADER = struct.Struct("<4sIIIII36s")
RECORD = struct.Struct("<Bbbbb3B8B6H5I")
MAGIC = b"REN3"
DIGEST_BYTES = 32
LAYERS_MAX = 1024
RAW_SHA256_CID = bytes([0x01, 0x55, 0x12, 0x20])


def compile_model(content: bytes) -> bytes:
    """The artifact of a .tflite file; raises models.graph.ModelRefused."""
    graph = read_graph(content)
    layers = _lower(graph)
    plan = plan_arena(graph, layers)
    sizes = [graph.tensors[graph.input].size, graph.tensors[graph.output].size, plan.arena_bytes]
    body = _Body(HEADER.size + RECORD.size * len(layers))
    records = [
        _record(layer, body, inputs, target, scratch)
        for layer, inputs, target, scratch in zip(layers, plan.inputs, plan.outputs, plan.scratch, strict=True)
    ]
    cid = RAW_SHA256_CID + hashlib.sha256(content).digest()
    size = HEADER.size + RECORD.size * len(layers) + len(body.content) + DIGEST_BYTES
    for what, bytes_ in zip(("input", "output", "arena", "artifact"), (*sizes, size), strict=True):
        if bytes_ > BYTES_MAX:
            raise ModelRefused(f"model: {what} of {bytes_} bytes, wanted at most {BYTES_MAX}")
    return seal(HEADER.pack(MAGIC, size, len(layers), *sizes, cid) + b"".join(records) + bytes(body.content))


def seal(content: bytes) -> bytes:
    """An artifact from all but its digest."""
    return content + hashlib.sha256(content).digest()


def macs(content: bytes) -> int:
    """Multiply-accumulates of one run of a .tflite file."""
    return sum(layer.macs for layer in _lower(read_graph(content)))


def _lower(graph: Graph) -> list[Layer]:
    """Layers of all operators; what they hold together is bounded, for operators may share constants."""
    layers: list[Layer] = []
    constants = 0
    for op in graph.operators:
        if op.name == "RESHAPE":
            continue
        added = lower_operator(graph, op)
        constants += sum(layer.constant_bytes for layer in added)
        layers += added
        if constants > BYTES_MAX or len(layers) > LAYERS_MAX:
            raise ModelRefused(
                f"{op.where}: {len(layers)} layers with constants of {constants} bytes up to here, "
                f"wanted at most {LAYERS_MAX} and {BYTES_MAX}"
            )
    if not layers:
        raise ModelRefused("model: nothing between input and output")
    return layers


class _Body:
    """What follows the records: tables and weights, each at a multiple of four."""

    def __init__(self, start: int):
        self.start, self.content = start, bytearray()

    def append(self, array: np.ndarray | None) -> int:
        if array is None:
            return NONE
        offset = self.start + len(self.content)
        self.content += array.tobytes()
        self.content += bytes(-len(self.content) % 4)
        return offset


def _record(layer: Layer, body: _Body, inputs: list[int], target: int, scratch: int) -> bytes:
    table = body.append(None if layer.table is None else layer.table.astype("<i4"))
    weights = body.append(layer.weights)
    second = inputs[1] if len(inputs) > 1 else scratch
    shapes = layer.kernel + layer.stride + layer.dilation + layer.pad + layer.in_shape + layer.out_shape
    return RECORD.pack(
        layer.kind,
        *layer.zeros,
        *layer.clamp,
        layer.flags,
        layer.broadcast,
        0,
        *shapes,
        inputs[0],
        target,
        second,
        weights,
        table,
    )

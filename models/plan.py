"""Plans the arena: which tensor lies where while it lives. It moves nothing and knows no arithmetic.

1. A tensor lives from the first layer that writes it to the last that reads it; scratch lives for its layer.
2. RESHAPE moves nothing: its two tensors are one. The model's input and output are the caller's buffers.
3. The output of an elementwise layer takes the place of an operand of its size that nobody reads later.
4. The output of a convolution may overlap its input, if nobody reads that later and the output leads far enough.
5. Buffers are placed in several orders, each at the lowest multiple of 4 that is free for its time; the smallest wins.
"""

from dataclasses import dataclass, field

from models.graph import Graph, ModelRefused
from models.layer import ADD, ELEMENTWISE, MUL, Layer, Temporary

NONE = 0xFFFFFFFF


@dataclass(eq=False)
class Buffer:
    """A region of the arena, alive from layer `first` to `last`, both included.

    leads: by how many bytes it must begin before another to overlap it.
    """

    size: int
    first: int
    last: int
    offset: int = NONE
    leads: "dict[Buffer, int]" = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Plan:
    """arena_bytes; for each layer the offsets of its inputs, of its output, and of its scratch (NONE: not in it)."""

    arena_bytes: int
    inputs: list[list[int]]
    outputs: list[int]
    scratch: list[int]


def plan_arena(graph: Graph, layers: list[Layer]) -> Plan:
    """Where everything lies; raises ModelRefused if the layers are not in the order of their data."""
    names = _rename_reshapes(graph)

    def name_of(tensor: int | Temporary) -> int | Temporary:
        return names[tensor] if isinstance(tensor, int) else tensor

    reads = [[name_of(tensor) for tensor in layer.inputs] for layer in layers]
    writes = [name_of(layer.output) for layer in layers]
    source, target = names[graph.input], names[graph.output]
    if source == target:
        raise ModelRefused("model: nothing between input and output")
    buffers = _lifetimes(graph, layers, reads, writes, source, target)
    _share(layers, reads, writes, buffers)
    _lead(layers, reads, writes, buffers)
    scratch = [Buffer(layer.scratch_bytes, i, i) if layer.scratch_bytes else None for i, layer in enumerate(layers)]
    distinct = {id(buffer): buffer for buffer in [*buffers.values(), *(s for s in scratch if s)]}
    arena_bytes = _place_best(list(distinct.values()))

    def offset(name: int | Temporary) -> int:
        return buffers[name].offset if name in buffers else NONE

    return Plan(
        arena_bytes,
        [[offset(name) for name in read] for read in reads],
        [offset(name) for name in writes],
        [s.offset if s else NONE for s in scratch],
    )


def _rename_reshapes(graph: Graph) -> list[int]:
    """For each tensor the first tensor that shares its bytes: itself, or what a RESHAPE took."""
    names = list(range(len(graph.tensors)))
    for op in graph.operators:
        if op.name == "RESHAPE":
            if graph.tensors[op.inputs[0]].size != graph.tensors[op.output].size:
                raise ModelRefused(f"{op.where}: input and output differ in size")
            names[op.output] = names[op.inputs[0]]
    return names


def _lifetimes(graph: Graph, layers: list[Layer], reads: list, writes: list, source: int, target: int) -> dict:
    buffers: dict[int | Temporary, Buffer] = {}
    writer: dict[int | Temporary, str] = {source: "model"}
    for index, layer in enumerate(layers):
        for name in reads[index]:
            if name not in writer or (writer[name] == layer.where and not isinstance(name, Temporary)):
                raise ModelRefused(f"{layer.where}: operators are not in the order of their data")
            if name == target:
                raise ModelRefused(f"{layer.where}: reads the model's output")
            if name != source:
                buffers[name].last = index
        name = writes[index]
        if writer.setdefault(name, layer.where) != layer.where:
            raise ModelRefused(f"{layer.where}: operators are not in the order of their data")
        if name != target and name not in buffers:
            size = graph.tensors[layer.output].size if isinstance(layer.output, int) else layer.output.size
            buffers[name] = Buffer(size, index, index)
    if target not in writer:
        raise ModelRefused("model: no operator writes the output")
    return buffers


def _share(layers: list[Layer], reads: list, writes: list, buffers: dict) -> None:
    for index, layer in enumerate(layers):
        out = buffers.get(writes[index])
        if layer.kind not in ELEMENTWISE or out is None:
            continue
        for slot, name in enumerate(reads[index]):
            operand = buffers.get(name)
            whole = layer.kind not in (ADD, MUL) or not layer.broadcast >> 3 * slot & 7
            if operand and whole and operand.last == index and operand.size == out.size:
                operand.last = out.last
                for shared in [key for key, buffer in buffers.items() if buffer is out]:
                    buffers[shared] = operand
                break


def _lead(layers: list[Layer], reads: list, writes: list, buffers: dict) -> None:
    for index, layer in enumerate(layers):
        source, out, lead = buffers.get(reads[index][0]), buffers.get(writes[index]), layer.lead_bytes
        if source and out and lead is not None and source.last == index == out.first:
            out.leads[source] = lead


def _place_best(buffers: list[Buffer]) -> int:
    """The arena's bytes; each buffer's offset is set."""
    orders = (
        lambda b: (-b.size, b.first),
        lambda b: (b.first, -b.size),
        lambda b: (-b.last, -b.size),
        lambda b: (b.first - b.last, -b.size),
    )
    best, offsets = min((_place(sorted(buffers, key=order)) for order in orders), key=lambda placed: placed[0])
    for buffer in buffers:
        buffer.offset = offsets[id(buffer)]
    return best


def _place(buffers: list[Buffer]) -> tuple[int, dict[int, int]]:
    placed: list[Buffer] = []
    for buffer in buffers:
        together = [other for other in placed if other.first <= buffer.last and buffer.first <= other.last]
        offset, free = -1, 0
        while offset != free:
            offset = free
            for other in sorted(together, key=lambda b: b.offset):
                free = max(free, _free_from(buffer, free, other))
        buffer.offset = offset
        placed.append(buffer)
    return max((b.offset + b.size for b in placed), default=0), {id(b): b.offset for b in placed}


def _free_from(buffer: Buffer, offset: int, other: Buffer) -> int:
    """Where from `offset` on the buffer does not meet another that is placed: there, or behind it."""
    if offset + buffer.size <= other.offset or offset >= other.offset + other.size:
        return offset
    if offset + buffer.leads.get(other, NONE) <= other.offset:
        return offset
    end = other.offset + min(other.size, other.leads.get(buffer, other.size))
    return max(offset, (end + 3) & ~3)

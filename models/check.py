"""Runs a model on boards and in the reference and compares every byte; refuses to call a skipped board identical.

1. The artifact lies in the machine's memory beside MicroPython's, where QEMU puts it before the board starts, and is
   used in place, as from flash. If that memory is RAM, all buffers lie there too, else on the heap.
2. Inputs are made on the board and here by one source (models/inputs.py); all outputs travel and are compared.
3. Instructions are those of one run as Python calls it, counted by `-icount shift=0`. They are not cycles.
"""

import os
import platform
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from boards.board import BoardError, board_names, load_board
from boards.build import build
from boards.emulator import Emulator, EmulatorError
from device.native.shared import Model
from models.artifact import compile_model, macs
from models.graph import read_graph
from models.inputs import SOURCE, make_inputs
from models.reference import NAME, reference_outputs

CPYTHON = "cpython"
FILE_MAX_BYTES = 64 << 20
REPL_S = 120.0
SLICE_INSTRUCTIONS = 500_000_000  # of one conversation with a board, about; then progress is told
COUNTED_INSTRUCTIONS = 2_000_000  # at least, about: a counter's step is up to 1,000
ALIGNMENT_BYTES = 64
NAME_CHARACTERS = 60  # that converters join of many names

# Where a board's model lies, of QEMU's machines: memory that our firmware does not use. (address, bytes, whether it is
# RAM, so that buffers lie there too). The MPS2 boards' PSRAM, `virt`'s DRAM above the firmware's 4 MiB, and
# the last 64 KiB of the micro:bit's flash, which is that board's memory image.
# Sources: Arm's application notes AN385 and AN500; hw/arm/mps2.c, hw/riscv/virt.c, hw/arm/nrf51_soc.c of QEMU.
PLACES = {
    "mps2-an385": (0x21000000, 16 << 20, True),
    "mps2-an386": (0x21000000, 16 << 20, True),
    "mps2-an500": (0x60000000, 16 << 20, True),
    "virt": (0x84000000, 16 << 20, True),
    "microbit": (0x30000, 64 << 10, False),
}

_PROGRAM = """
import gc
from binascii import hexlify
from _tinyren import Model
{place}
def outputs(first, last):
    view = memoryview(out)
    for index in range(first, last):
        fill(window, {seed}, index)
        model.run(window, out)
        for at in range(0, len(out), 512):
            print(hexlify(view[at : at + 512]).decode())
def repeat(count):
    for _ in range(count):
        model.run(window, out)
"""
_ON_HEAP = "model = Model({artifact!r})"
_IN_FLASH = "model = Model({artifact}, {artifact_bytes})"
_IN_RAM = """
from uctypes import bytearray_at
model = Model({artifact}, {artifact_bytes}, {arena})
window, out = bytearray_at({window}, model.input_bytes), bytearray_at({out}, model.output_bytes)
"""
_HEAP_BUFFERS = """
window, out = bytearray(model.input_bytes), bytearray(model.output_bytes)
"""
# The agent that `main` started, so that its heap is the model's.
_FORGET = "for name in [name for name in globals() if name[0] != '_']: del globals()[name]\nimport gc\ngc.collect()"


class CheckFailed(ValueError):
    """The check could not run; one line."""


class Skipped(Exception):
    """A board cannot run this model; the message says why."""


@dataclass(frozen=True)
class _Job:
    """What every board is to run; model is the artifact on this machine, largest names a tensor for a person."""

    artifact: bytes
    model: Model
    macs: int
    largest: str
    seed: int
    count: int
    report: Callable[[str, float], None]


def read_model(path):
    """The bytes of a .tflite file; raises CheckFailed if it is larger than any that we compile, OSError."""
    size = Path(path).stat().st_size
    if size > FILE_MAX_BYTES:
        raise CheckFailed(f"{path}: got {size} bytes, wanted at most {FILE_MAX_BYTES}")
    return Path(path).read_bytes()


def chosen_boards(text):
    """Names of boards, from "all" or "a,b"; raises BoardError for one that there is not."""
    known = [CPYTHON, *board_names()]
    names = known if text == "all" else [name for name in text.split(",") if name]
    for name in names or [text]:
        if name not in known:
            raise BoardError(f"board: got {name!r}, wanted one of {', '.join(known)}")
    return names


def check_model(content, boards, count, seed, report):
    """Compare a model's outputs on boards with the reference's.

    Args:
        content: bytes of a .tflite file.
        boards: names, as chosen_boards gives them.
        count: inputs, at least 1. seed: u32 that they are made from.
        report: is called with a stage's name and how far it is, 0..1; by several threads.
    Returns:
        {"macs", "tflite_bytes", "artifact_bytes", "arena_bytes", "input_bytes", "output_bytes", "inputs", "seed",
        "reference", "boards": [a board each]}. A board is {"board", "core", "inputs", "identical", "max_abs_diff",
        "arena_bytes", "artifact_bytes", "instructions", "instructions_per_mac"} or {"board", "skipped"}; instructions
        are None where nobody counts them (cpython).
    Raises:
        ModelRefused: the model is outside what devices run. ReferenceFailed, NativeError, CheckFailed.
    """
    artifact = compile_model(content)
    job = _Job(artifact, Model(artifact), macs(content), _largest(content), seed, count, report)
    wanted = reference_outputs(content, seed, count, job.model.output_bytes)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        runs = [pool.submit(_run, name, job) for name in boards]
        rows = [_row(name, run, wanted, job) for name, run in zip(boards, runs, strict=True)]
    return {
        "macs": job.macs, "tflite_bytes": len(content), "artifact_bytes": len(artifact),
        "arena_bytes": job.model.arena_bytes, "input_bytes": job.model.input_bytes,
        "output_bytes": job.model.output_bytes,
        "inputs": count, "seed": seed, "reference": NAME, "boards": rows,
    }  # fmt: skip


def is_identical(result):
    """Whether at least one board ran and every one that ran gave the reference's bytes."""
    ran = [row for row in result["boards"] if "skipped" not in row]
    return bool(ran) and all(row["identical"] for row in ran)


def _row(name, run, wanted, job):
    try:
        core, outputs, instructions = run.result()
    except Skipped as error:
        return {"board": name, "skipped": str(error)}
    got = np.frombuffer(outputs, np.int8).reshape(wanted.shape)
    difference = int(np.abs(got.astype(int) - wanted.astype(int)).max())
    return {
        "board": name, "core": core, "inputs": job.count, "identical": difference == 0, "max_abs_diff": difference,
        "arena_bytes": job.model.arena_bytes, "artifact_bytes": len(job.artifact), "instructions": instructions,
        "instructions_per_mac": round(instructions / job.macs, 2) if instructions and job.macs else None,
    }  # fmt: skip


def _run(name, job):
    """(core, outputs bytes, instructions of a run or None) of one board; raises Skipped, CheckFailed."""
    if name == CPYTHON:
        return platform.machine(), _run_here(job), None
    try:
        board = load_board(name)
        if not shutil.which(board.emulator["program"]):
            raise Skipped(f"{board.emulator['program']} is not installed: apt-get install {board.emulator['package']}")
        firmware = build(board, job.report)
    except BoardError as error:
        raise Skipped(str(error).removeprefix(f"{name}: ")) from error
    with TemporaryDirectory() as folder:
        arguments, place = _lay_out(board, job, Path(folder))
        emulator = {**board.emulator, "arguments": [*board.emulator["arguments"], *arguments]}
        try:
            with Emulator(replace(board, emulator=emulator), firmware.elf, folder, icount=True) as running:
                program = SOURCE + _PROGRAM.format(place=place, seed=job.seed)
                outputs, instructions = _converse(running, board, job, program)
        except EmulatorError as error:
            if "MemoryError" in str(error):
                left = f"what the firmware leaves of {board.heap_bytes}"
                raise Skipped(_too_large(job, job.model.arena_bytes, "heap", left)) from error
            raise CheckFailed(str(error)) from error
    return board.core, outputs, instructions


def _run_here(job):
    model, outputs = Model(job.artifact), bytearray()
    out = bytearray(model.output_bytes)
    for index, window in enumerate(make_inputs(model.input_bytes, job.seed, job.count), 1):
        model.run(window, out)
        outputs += out
        job.report(CPYTHON, index / job.count)
    return bytes(outputs)


def _lay_out(board, job, folder):
    """(arguments of QEMU, source) that give the board the artifact and buffers of a run; raises Skipped."""
    arguments = board.emulator["arguments"]
    machine = arguments[arguments.index("-machine") + 1].split(",")[0]
    start, room, is_ram = PLACES.get(machine, (0, 0, False))
    sizes = [len(job.artifact), job.model.arena_bytes, job.model.input_bytes, job.model.output_bytes]
    placed, on_heap = (sizes, []) if is_ram else (sizes[:1], sizes[1:]) if room else ([], sizes)
    if sum(on_heap) > board.heap_bytes:
        raise Skipped(_too_large(job, sum(on_heap), "heap", board.heap_bytes))
    if sum(map(_rounded, placed)) > room:
        raise Skipped(_too_large(job, sum(map(_rounded, placed)), "memory", room))
    if not room:
        return [], _ON_HEAP.format(artifact=job.artifact) + _HEAP_BUFFERS
    if not is_ram:
        image = board.emulator["image"]
        (folder / image["file"]).write_bytes(job.artifact.ljust(image["bytes"], b"\xff"))
        return [], _IN_FLASH.format(artifact=start, artifact_bytes=sizes[0]) + _HEAP_BUFFERS
    file = folder / "artifact.ren"
    file.write_bytes(job.artifact)
    loader = f"loader,file={str(file).replace(',', ',,')},addr={start:#x},force-raw=on"
    arena, window, out = (start + sum(map(_rounded, sizes[:before])) for before in (1, 2, 3))
    source = _IN_RAM.format(artifact=start, artifact_bytes=sizes[0], arena=arena, window=window, out=out)
    return ["-device", loader], source


def _rounded(size):
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _largest(content):
    """The largest tensor that lives in an arena, for a person."""
    graph = read_graph(content)
    tensor = max((tensor for tensor in graph.tensors if tensor.data is None), key=lambda tensor: tensor.size)
    name = tensor.name if len(tensor.name) <= NAME_CHARACTERS else f"{tensor.name[:NAME_CHARACTERS]}..."
    return f"tensor {name}, shape {tensor.shape}"


def _too_large(job, size, what, room):
    return f"model needs {size} bytes of {what} (its largest: {job.largest}), wanted at most {room}"


def _converse(running, board, job, program):
    """(outputs bytes, instructions of one run) of an emulated board."""
    times = max(1, COUNTED_INSTRUCTIONS // max(1, 4 * job.macs))
    counter, outputs = board.emulator["counter"], bytearray()
    with running.open_repl(REPL_S) as repl:
        repl.exec(_FORGET)
        repl.exec(program)
        moved = repl.count(counter["address"], f"repeat({times})", capture=counter.get("capture"))
        instructions = moved * counter["nanoseconds"] // times
        step = min(max(1, SLICE_INSTRUCTIONS // max(1, instructions)), max(1, job.count // 10))
        for first in range(0, job.count, step):
            last = min(job.count, first + step)
            outputs += bytes.fromhex(repl.exec(f"outputs({first}, {last})"))
            job.report(board.name, last / job.count)
    return bytes(outputs), instructions

"""Runs a check's job on an emulated board; refuses to call instructions cycles.

1. The artifact lies in the machine's memory beside MicroPython's, where QEMU puts it before the board starts, and is
   used in place, as from flash. If that memory is RAM, all buffers lie there too, else on the heap.
2. Instructions are those of one run on the first input as Python calls it, counted by `-icount shift=0`.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from boards.board import Board, BoardError, load_board
from boards.build import build
from boards.emulator import Emulator, EmulatorError
from models.inputs import SOURCE
from models.job import CheckFailed, Job, Skipped

REPL_S = 120.0
SLICE_INSTRUCTIONS = 500_000_000  # of one conversation with a board, about; then progress is told
COUNTED_INSTRUCTIONS = 2_000_000  # at least, about: a counter's step is up to 1,000
ALIGNMENT_BYTES = 64

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


def run_on_board(name: str, job: Job) -> tuple[str, bytes, int]:
    """(core, outputs, instructions of a run) of one board; raises Skipped, CheckFailed."""
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
                raise Skipped(job.too_large(job.model.arena_bytes, "heap", left)) from error
            raise CheckFailed(str(error)) from error
    return board.core, outputs, instructions


def _lay_out(board: Board, job: Job, folder: Path) -> tuple[list[str], str]:
    """(arguments of QEMU, source) that give the board the artifact and buffers of a run; raises Skipped."""
    start, room, is_ram = (
        (board.model[name] for name in ("address", "bytes", "is_ram")) if board.model else (0, 0, False)
    )
    sizes = [len(job.artifact), job.model.arena_bytes, job.model.input_bytes, job.model.output_bytes]
    placed, on_heap = (sizes, []) if is_ram else (sizes[:1], sizes[1:]) if room else ([], sizes)
    if sum(on_heap) > board.heap_bytes:
        raise Skipped(job.too_large(sum(on_heap), "heap", board.heap_bytes))
    if sum(map(rounded, placed)) > room:
        raise Skipped(job.too_large(sum(map(rounded, placed)), "memory", room))
    if not room:
        return [], _ON_HEAP.format(artifact=job.artifact) + _HEAP_BUFFERS
    if not is_ram:
        image = board.emulator["images"][0]
        (folder / image["file"]).write_bytes(job.artifact.ljust(image["bytes"], b"\xff"))
        return [], _IN_FLASH.format(artifact=start, artifact_bytes=sizes[0]) + _HEAP_BUFFERS
    file = folder / "artifact.ren"
    file.write_bytes(job.artifact)
    loader = f"loader,file={str(file).replace(',', ',,')},addr={start:#x},force-raw=on"
    arena, window, out = (start + sum(map(rounded, sizes[:before])) for before in (1, 2, 3))
    source = _IN_RAM.format(artifact=start, artifact_bytes=sizes[0], arena=arena, window=window, out=out)
    return ["-device", loader], source


def rounded(size: int) -> int:
    """The least multiple of ALIGNMENT_BYTES that holds size."""
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _converse(running: Emulator, board: Board, job: Job, program: str) -> tuple[bytes, int]:
    """(outputs, instructions of one run) of an emulated board."""
    times = max(1, COUNTED_INSTRUCTIONS // max(1, 4 * job.macs))
    counter, outputs = board.emulator["counter"], bytearray()
    with running.open_repl(REPL_S) as repl:
        repl.exec(_FORGET)
        repl.exec(program)
        first_input = f"fill(window, {job.seed}, 0)"
        moved = repl.count(counter["address"], f"repeat({times})", first_input, counter.get("capture"))
        instructions = moved * counter["nanoseconds"] // times
        step = min(max(1, SLICE_INSTRUCTIONS // max(1, instructions)), max(1, job.count // 10))
        for first in range(0, job.count, step):
            last = min(job.count, first + step)
            outputs += bytes.fromhex(repl.exec(f"outputs({first}, {last})"))
            job.report(board.name, last / job.count)
    return bytes(outputs), instructions

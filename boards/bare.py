"""A program without MicroPython that runs an artifact on an emulated core with the firmware's kernels, to see what
MicroPython costs; it refuses to call instructions cycles.

Kernels are compiled as the firmware's are (MicroPython's QEMU port: -Os; their own files ask for more). QEMU runs with
`-icount shift=0`, one instruction a nanosecond, and the program reads the board's own clock (device/native/hw.h).

What it reads of a board is the table `[bare]` of its board.toml:
  flags          the compiler's, for the core
  sources        of device/native, which give hw.h
  machine        QEMU's arguments for the machine
  code_address, ram_address, ram_bytes
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from boards.board import Board, BoardError
from boards.build import NATIVE
from boards.natmod import compile_c, compiler_version, keep_built
from device.native.shared import SOURCES

FLAGS = ["-std=gnu99", "-Os", "-DNDEBUG", "-Wall", "-Wextra", "-Werror", "-fno-asynchronous-unwind-tables"]
PROGRAMS = NATIVE / "programs"
ALIGNMENT_BYTES = 64
STACK_BYTES, VARIABLES_BYTES = 3072, 512  # the program has: the first by bare.ld, the second at most
NANOSECONDS = 1000  # instructions in each count of the clock
TIMEOUT_S = 600


class TooLarge(BoardError):
    """The model and its buffers do not fit into the board's memory."""


@dataclass(frozen=True)
class Run:
    """instructions: of one run, the mean of several; output: bytes of the last."""

    instructions: int
    output: bytes


def kernel_bytes(board: Board) -> int:
    """Code and constants of all kernels, with the checker of artifacts, as compiled for a board; raises BoardError."""
    command = [_tool(board, "size"), "--totals", str(_build_kernels(board))]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()[0])


def run_bare(board: Board, artifact: bytes, window: bytes, arena_bytes: int, out_bytes: int, times: int) -> Run:
    """Run an artifact on a window `times` times, without MicroPython.

    Args:
        arena_bytes, out_bytes: the artifact's, which have to fit into RAM beside the stack.
    Raises:
        TooLarge: it does not fit.
        BoardError: the board is not for it, something is missing, or the program failed; one line.
    """
    image = artifact.ljust(-(-len(artifact) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES, b"\xff") + window
    room, place = _table(board, "bare")["ram_bytes"] - STACK_BYTES - VARIABLES_BYTES, _table(board, "model")
    for what, size, most in (
        ("arena and output", arena_bytes + out_bytes, room),
        ("artifact and window", len(image), place["bytes"]),
    ):
        if size > most:
            raise TooLarge(f"{board.name}: got {size} bytes of {what}, wanted {most} at most")
    printed = bytes.fromhex(_emulate(board, image, place["address"], len(artifact), times))
    if len(printed) != 4 + out_bytes:
        raise BoardError(f"{board.name}: got {len(printed)} bytes, wanted a count and {out_bytes} of output")
    return Run(int.from_bytes(printed[:4], "big") * NANOSECONDS // times, printed[4:])


def _emulate(board: Board, image: bytes, address: int, size: int, times: int) -> str:
    program = board.emulator["program"]
    if not shutil.which(program):
        raise BoardError(f"{program} is not installed: apt-get install {board.emulator['package']}")
    elf = _build_program(board)
    words = "".join(f",arg={word:08x}" for word in (address, size, times))
    with TemporaryDirectory() as folder:
        (Path(folder) / "model.bin").write_bytes(image)
        command = [
            "setpriv", "--pdeathsig", "KILL", "--", program, *board.bare["machine"],
            "-icount", "shift=0", "-display", "none", "-monitor", "none", "-serial", "null", "-nic", "none",
            "-semihosting-config", f"enable=on,target=native{words}",
            "-device", f"loader,file={str(elf).replace(',', ',,')}",
            "-device", f"loader,file=model.bin,addr={address:#x},force-raw=on",
        ]  # fmt: skip
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise BoardError(f"{board.name}: the bare program did not end within {TIMEOUT_S} s") from error
    said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
    if done.returncode:
        raise BoardError(f"{board.name}: the bare program ended with {done.returncode}: {said}")
    return said


def _table(board: Board, name: str) -> dict[str, Any]:
    """board.bare or board.model; raises BoardError where the board has none."""
    table = getattr(board, name)
    if table is None:
        raise BoardError(f"{board.name}: {name}: got none, wanted a table in its board.toml")
    return table


def _tool(board: Board, name: str) -> str:
    return board.toolchain["compiler"].removesuffix("gcc") + name


def _build_kernels(board: Board) -> Path:
    """An archive of all kernels."""
    flags = [*FLAGS, *_table(board, "bare")["flags"]]

    def make(work: Path) -> None:
        objects = [str(work / f"{name}.o") for name in SOURCES]
        for name, target in zip(SOURCES, objects, strict=True):
            compile_c([board.toolchain["compiler"], *flags, "-c", "-o", target, str(NATIVE / name)])
        subprocess.run([_tool(board, "ar"), "rcs", str(work / "kernels.a"), *objects], check=True)

    return keep_built(f"kernels-{board.name}", _parts(board, flags), "kernels.a", make)


def _build_program(board: Board) -> Path:
    kernels, flags = _build_kernels(board), [*FLAGS, *board.bare["flags"]]
    sources = [PROGRAMS / "bare.c", *(NATIVE / name for name in board.bare["sources"])]
    places = [f"-Wl,--defsym={name}={board.bare[name]:#x}" for name in ("code_address", "ram_address")]
    link = ["-T", str(PROGRAMS / "bare.ld"), *places, "-nostartfiles"]

    def make(work: Path) -> None:
        inputs = [*map(str, sources), str(kernels)]
        compile_c([board.toolchain["compiler"], *flags, f"-I{NATIVE}", *link, "-o", str(work / "bare.elf"), *inputs])

    parts = [*_parts(board, [*flags, *places]), *(path.read_bytes() for path in [*sources, PROGRAMS / "bare.ld"])]
    return keep_built(f"bare-{board.name}", parts, "bare.elf", make)


def _parts(board: Board, flags: list[str]) -> list[bytes]:
    version = compiler_version(board.toolchain["compiler"], board.toolchain["package"])
    return [version, repr(flags).encode(), *(path.read_bytes() for path in sorted(NATIVE.glob("*.[ch]")))]

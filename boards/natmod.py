"""Native modules, for MicroPython that we did not build, and stock MicroPython to try them on: the kernels as
`tinyren_model.mpy`, the curve as `tinyren_curve.mpy`, EDIL's encryption as `tinyren_edil.mpy`. It builds and
runs nothing.

A native module is copied into RAM and linked when it is imported; an artifact stays where it lies. Its architecture has
to be the firmware's or, among the Cortex-M ones, one that comes before it in ARCHITECTURES. What is built is kept in
the cache under the digest of what went into it.

What it reads of a board is the table `[natmod]` of its board.toml:
  arch          the architecture, one of ARCHITECTURES
  make          further arguments of make, for stock MicroPython
  arguments     QEMU's arguments for the machine; they name the character device `repl`
  free_address  memory that the firmware does not know of, 256 KiB at least, where QEMU can lay a file
  counter_setup [[address, value], ...], words that our firmware writes and stock MicroPython does not, so that
                `emulator.counter` counts

Sources: MicroPython 1.25.0, docs/develop/natmod.rst, py/dynruntime.mk, py/persistentcode.h.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from boards.board import Board, BoardError
from boards.build import ERROR_LINE, KEPT_FIRMWARES, NATIVE, digest_of, mpy_cross, run_make
from boards.emulator import Emulator
from boards.sources import MICROPYTHON, SECP256K1, Report, cache_folder, get_sources, locked

MODULE = "tinyren_model"
EDIL_MODULE = "tinyren_edil"
CURVE_MODULE = "tinyren_curve"
MODULES = (MODULE, EDIL_MODULE, CURVE_MODULE)
MEMORY = "memory.bin"  # in an emulator's folder
ALIGNMENT_BYTES = 16
ARM = ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi")
ARCHITECTURES = {
    "armv6m": ARM,
    "armv7m": ARM,
    "armv7emsp": ARM,
    "armv7emdp": ARM,
    "rv32imc": ("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"),
    "x64": ("gcc", "gcc libc6-dev"),
}

_IMPORT = """
import io, sys, vfs
class _File(io.IOBase):
    def __init__(self):
        self.at = 0
    def ioctl(self, request, argument):
        return 0
    def readinto(self, buffer):
        part = _mpy[self.at : self.at + len(buffer)]
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)
class _Files:
    def mount(self, readonly, format):
        pass
    def umount(self):
        pass
    def stat(self, path):
        if path != "/{module}.mpy":
            raise OSError(2)
        return (0x8000,) + (0,) * 9
    def open(self, path, mode):
        return _File()
_mpy = {content}
vfs.mount(_Files(), "/native")
sys.path.insert(0, "/native")
import {module}
vfs.umount("/native")
del sys.path[0], _mpy, _File, _Files
"""


def build_native_module(arch: str, report: Report, module: str = MODULE) -> Path:
    """A native module (.mpy) of MODULES, of an architecture of ARCHITECTURES.

    Raises:
        BoardError: no such architecture, no compiler, no sources, or make failed; one line.
    """
    if arch not in ARCHITECTURES:
        raise BoardError(f"arch: got {arch!r}, wanted one of {', '.join(ARCHITECTURES)}")
    compiler, package = ARCHITECTURES[arch]
    sources = get_sources(report)
    micropython, secp256k1 = sources[MICROPYTHON], sources[SECP256K1]
    files = [*sorted(NATIVE.glob("*.[ch]")), NATIVE / "micropython.mk", *sorted((NATIVE / "natmod").iterdir())]

    def make(work: Path) -> None:
        for path in files:
            shutil.copyfile(path, work / path.name)
        settings = {"MPY_DIR": micropython.path, "SECP256K1_DIR": secp256k1.path, "PYTHON": sys.executable}
        settings |= {"ARCH": arch, "MOD": module}
        run_make(work, [f"{name}={value}" for name, value in settings.items()], work, ignore)

    digests = [source.digest.encode() for source in (micropython, secp256k1)]
    parts = [compiler_version(compiler, package), *digests, *(path.read_bytes() for path in files)]
    return keep_built(f"{module}-{arch}", parts, f"{module}.mpy", make)


def build_stock(board: Board, report: Report) -> Path:
    """MicroPython's firmware for the machine of a board that has `natmod`, without anything of ours; its ELF.

    Raises:
        BoardError: as build_native_module, or the board has no natmod.
    """
    if board.natmod is None:
        raise BoardError(f"{board.name}: natmod: got none, wanted how stock MicroPython is built for it")
    sources = get_sources(report)[MICROPYTHON]
    cross = mpy_cross(sources, report)
    settings = [*board.toolchain["make"], *board.natmod["make"]]

    def make(work: Path) -> None:
        manifest = work / "manifest.py"
        manifest.touch()
        variables = {
            "BOARD": board.name,
            "BOARD_DIR": board.folder,
            "BUILD": work,
            "FROZEN_MANIFEST": manifest,
            "MICROPY_MPYCROSS": cross,
            "MPY_LIB_DIR": sources.path / "ports" / "qemu",
            "PYTHON": sys.executable,
        }
        arguments = [f"{name}={value}" for name, value in variables.items()] + settings
        run_make(sources.path / "ports" / "qemu", arguments, work, ignore)

    version = compiler_version(board.toolchain["compiler"], board.toolchain["package"])
    makefiles = [path.read_bytes() for path in sorted(board.folder.parent.glob("*/*.mk"))]
    parts = [version, sources.digest.encode(), repr(settings).encode(), *makefiles]
    return keep_built(f"stock-{board.name}", parts, "firmware.elf", make)


def stock_board(board: Board) -> Board:
    """The board as build_stock's firmware wants it emulated: the machine and a console."""
    assert board.natmod
    return replace(board, emulator={**board.emulator, "arguments": board.natmod["arguments"]})


def stock_emulator(
    board: Board, folder: Path, contents: Mapping[str, bytes], report: Report, icount: bool = False
) -> tuple[Emulator, dict[str, tuple[int, int]]]:
    """Stock MicroPython on a board, not started yet, with contents in its free memory.

    Returns: the emulator, which lives in folder; address and length of each of contents.
    Raises:
        BoardError: as build_stock.
    """
    elf, stock = build_stock(board, report), stock_board(board)
    start = stock.natmod["free_address"]
    memory, places = bytearray(), {}
    for name, content in contents.items():
        places[name] = start + len(memory), len(content)
        memory += content + bytes(-len(content) % ALIGNMENT_BYTES)
    (folder / MEMORY).write_bytes(memory)
    loader = ["-device", f"loader,file={MEMORY},addr={start:#x},force-raw=on"]
    arguments = [*stock.emulator["arguments"], *loader]
    return Emulator(
        replace(stock, emulator={**stock.emulator, "arguments": arguments}), elf, folder, icount=icount
    ), places


def counter_program(board: Board) -> str:
    """Python after which a board with stock MicroPython counts instructions as it does with our firmware."""
    assert board.natmod
    writes = [f"mem32[{address}] = {value}" for address, value in board.natmod["counter_setup"]]
    return "\n".join(["from machine import mem32", *writes])


def import_program(content: str, module: str = MODULE) -> str:
    """Python that imports a native module on a board without a file system; content: an expression of its bytes."""
    return _IMPORT.format(module=module, content=content)


def import_laid(place: tuple[int, int], module: str = MODULE) -> str:
    """Python that imports a native module that stock_emulator laid at a place."""
    return "import uctypes\n" + import_program(f"uctypes.bytearray_at{place}", module)


def ignore(_lines: int) -> None:
    """Progress that nobody is told: these builds are short."""


def compiler_version(compiler: str, package: str) -> bytes:
    """What the compiler says of itself; raises BoardError with the Debian package to install."""
    if not shutil.which(compiler):
        raise BoardError(f"{compiler} is not installed: apt-get install {package}")
    return subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout


def compile_c(command: list[str]) -> None:
    """Run a C compiler; raises BoardError with its first error."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.splitlines() or ["no reason given"]
        errors = [line for line in lines if ERROR_LINE.search(line) and not line.startswith("collect2: ")]
        raise BoardError(f"{command[0]} failed: {(errors or lines)[0]}")


def keep_built(name: str, parts: Iterable[bytes], product: str, make: Callable[[Path], None]) -> Path:
    """The file `product` that make(work) leaves in work, kept under its name and the digest of parts."""
    place = cache_folder() / "natmod" / f"{name}-{digest_of([product.encode(), *parts])[:16]}" / product
    with locked(name):
        if not place.is_file():
            work = cache_folder() / "work" / name
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            make(work)
            place.parent.mkdir(parents=True, exist_ok=True)
            (work / product).replace(place)
            shutil.rmtree(work)
            kept = sorted(place.parent.parent.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime)
            for old in kept[:-KEPT_FIRMWARES]:
                shutil.rmtree(old)
    return place

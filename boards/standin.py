"""A stand-in for a board of silicon: MicroPython 1.25 on an emulated core with what the board's stock firmware has and
MicroPython's QEMU port lacks (time, select, a watchdog, littlefs, main.py). It builds; it runs nothing.

What stands for the board: the name by which its firmware is known, its heap, its file system's size, and native modules
of its architecture, which the emulated core runs too. What does not: radio, pins, USB, and the chip's own speed.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from boards.board import Board, BoardError
from boards.build import NATIVE, mpy_cross, run_make
from boards.hardware import Hardware
from boards.natmod import compiler_version, ignore, keep_built
from boards.sources import MICROPYTHON, Report, get_sources

FOLDER = NATIVE / "standin"
MACHINE = ("hw.h", "hw_mps2.c", "hw_virt.c", "i2c_sbcon.c", "reset.c", "reset.h", "virtio.c", "virtio.h")
CORES: Mapping[str, str] = {
    "armv6m": "qemu_mps2_an385",  # a Cortex-M3 runs what a Cortex-M0+ does
    "armv7emsp": "qemu_mps2_an386",
    "armv7emdp": "qemu_mps2_an500",
    "rv32imc": "qemu_virt_rv32",
}  # the emulated board that runs native modules of an architecture

# The port says -mfloat-abi=soft and a core with a floating point unit says hard after it: of both gcc finds no library.
LIBGCC = "LIBS=$(shell $(CC) $(filter-out -mfloat-abi=soft,$(CFLAGS)) -print-libgcc-file-name)"


def build_standin(hardware: Hardware, core: Board, heap_bytes: int, report: Report) -> Path:
    """Firmware for the emulated board `core` that stands in for `hardware`; its ELF.

    Args:
        core: the board of CORES, which has `natmod`: its free memory holds the file system.
    Raises:
        BoardError: no compiler, no sources, make failed, or one of the two boards cannot be this; one line.
    """
    if hardware.firmware is None or core.natmod is None:
        raise BoardError(f"{hardware.name}: got no stock firmware, or {core.name} without natmod, wanted both")
    build, address = hardware.firmware.build, core.natmod["free_address"]
    sources = get_sources(report)[MICROPYTHON]
    cross = mpy_cross(sources, report)
    files = [*sorted(FOLDER.iterdir()), *(NATIVE / name for name in MACHINE)]
    # The linker script is ours: with it a reset that keeps RAM finds bss cleared.
    more = [item for item in core.natmod["make"] if not item.startswith("LDSCRIPT=")]
    settings = [*core.toolchain["make"], *more, "MICROPY_VFS_LFS2=1"]
    if core.toolchain["compiler"].startswith("arm"):
        settings.append(LIBGCC)

    def make(work: Path) -> None:
        modules = work / "modules" / "standin"
        modules.mkdir(parents=True)
        for path in files:
            shutil.copyfile(path, modules / path.name)
        frozen = work / "frozen"
        frozen.mkdir()
        for path in modules.glob("*.py"):
            path.rename(frozen / path.name)
        (frozen / "standin_address.py").write_text(f"ADDRESS = {address:#x}\n")
        (work / "manifest.py").write_text('freeze("frozen")\n')
        with (modules / "mpconfig_standin.h").open("a") as header:
            header.write(f"#define STANDIN_HEAP_BYTES ({heap_bytes})\n")
        variables = {
            "BOARD": build,
            "BOARD_DIR": core.folder,
            "BUILD": work,
            "FROZEN_MANIFEST": work / "manifest.py",
            "MICROPY_MPYCROSS": cross,
            "MPY_LIB_DIR": sources.path / "ports" / "qemu",
            "PYTHON": sys.executable,
            "USER_C_MODULES": work / "modules",
        }
        arguments = [f"{name}={value}" for name, value in variables.items()] + settings
        run_make(sources.path / "ports" / "qemu", arguments, work, ignore)

    version = compiler_version(core.toolchain["compiler"], core.toolchain["package"])
    texts = [sources.digest, repr(settings), build, str(heap_bytes), hex(address)]
    parts = [version, *(text.encode() for text in texts), *(path.read_bytes() for path in files)]
    parts += [path.read_bytes() for path in sorted(core.folder.parent.glob("*/*.mk"))]
    return keep_built(f"standin-{hardware.name}", parts, "firmware.elf", make)

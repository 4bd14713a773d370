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

# A Cortex-M3 runs a Cortex-M0+'s code, whose frames on the stack are others; -O2 is what ports/rp2 compiles vm.c with.
COMPILED_FOR: Mapping[str, list[str]] = {
    "armv6m": [
        "CFLAGS_EXTRA=-mcpu=cortex-m0plus",
        "CSUPEROPT=-O2",
        "SRC_BOARD_O=shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb1.o",
    ]
}

# The port says -mfloat-abi=soft and a core with a floating point unit says hard after it: of both gcc finds no library.
LIBGCC = "LIBS=$(shell $(CC) $(filter-out -mfloat-abi=soft,$(CFLAGS)) -print-libgcc-file-name)"


def build_standin(hardware: Hardware, core: Board, heap_bytes: int, report: Report) -> Path:
    """Firmware for the emulated board `core` that stands in for `hardware`; its ELF.

    Args:
        core: the board of CORES, which has `natmod`: its free memory holds the file system.
    Raises:
        BoardError: no compiler, no sources, make failed, or one of the two boards cannot be this; one line.
    """
    if hardware.firmware is None or hardware.stack is None or core.natmod is None:
        raise BoardError(f"{hardware.name}: got no stock firmware or stack, or {core.name} without natmod, wanted all")
    build = hardware.firmware.build
    sources = get_sources(report)[MICROPYTHON]
    cross = mpy_cross(sources, report)
    files = [*sorted(FOLDER.iterdir()), *(NATIVE / name for name in MACHINE)]
    # The linker script is ours: with it a reset that keeps RAM finds bss cleared.
    more = [item for item in core.natmod["make"] if not item.startswith("LDSCRIPT=")]
    settings = [*core.toolchain["make"], *more, *COMPILED_FOR.get(hardware.native, ()), "MICROPY_VFS_LFS2=1"]
    if core.toolchain["compiler"].startswith("arm"):
        settings.append(LIBGCC)

    sizes = {
        "STANDIN_FLASH_ADDRESS": core.natmod["free_address"],
        "STANDIN_HEAP_BYTES": heap_bytes,
        "STANDIN_STACK_BYTES": hardware.stack.bytes,
        "MICROPY_STACK_CHECK_MARGIN": hardware.stack.margin_bytes,
    }

    def make(work: Path) -> None:
        modules = work / "modules" / "standin"
        modules.mkdir(parents=True)
        for path in files:
            shutil.copyfile(path, modules / path.name)
        frozen = work / "frozen"
        frozen.mkdir()
        for path in modules.glob("*.py"):
            path.rename(frozen / path.name)
        (work / "manifest.py").write_text('freeze("frozen")\n')
        with (modules / "mpconfig_standin.h").open("a") as header:
            header.writelines(f"#define {name} ({value:#x})\n" for name, value in sizes.items())
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
    texts = [sources.digest, repr(settings), build, repr(sizes)]
    parts = [version, *(text.encode() for text in texts), *(path.read_bytes() for path in files)]
    parts += [path.read_bytes() for path in sorted(core.folder.parent.glob("*/*.mk"))]
    return keep_built(f"standin-{hardware.name}", parts, "firmware.elf", make)

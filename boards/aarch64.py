"""The kernels as a program for 64-bit Arm, to be run by QEMU's user emulation. It builds; it runs nothing.

The program is static, so nothing of that architecture has to be installed beside the compiler.
"""

import shutil
from pathlib import Path

from boards.board import BoardError
from boards.build import NATIVE
from boards.natmod import compile_c, compiler_version, keep_built
from boards.sources import Report
from device.native.shared import HEADERS, SOURCES

EMULATOR = ("qemu-aarch64", "qemu-user")
COMPILER = ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")
FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-static")
PROGRAM = "hosted"


def build_aarch64(_report: Report) -> Path:
    """The program (device/native/programs/hosted.c).

    Raises:
        BoardError: no emulator to run it or no compiler, with the Debian packages that hold them, or it failed.
    """
    if not shutil.which(EMULATOR[0]):
        raise BoardError(f"{EMULATOR[0]} is not installed: apt-get install {EMULATOR[1]}")
    version = compiler_version(*COMPILER)
    sources = [NATIVE / "programs" / f"{PROGRAM}.c", *(NATIVE / name for name in SOURCES)]
    texts = [path.read_bytes() for path in [*sources, *(NATIVE / name for name in HEADERS)]]

    def make(work: Path) -> None:
        compile_c([COMPILER[0], *FLAGS, "-o", str(work / PROGRAM), *map(str, sources)])

    return keep_built("aarch64", [version, repr(FLAGS).encode(), *texts], PROGRAM, make)

"""The agent for a computer: its files and the shared object, as one archive. It builds and reads; it sends nothing.

The shared object holds kernels, encryption, curve and Keccak, built here for the computer's programs, so it needs
Python and nothing else: no compiler, no packages. Equal files give equal bytes, by which both sides know what is there.
"""

import io
import tarfile
from pathlib import Path

from boards.board import BoardError
from boards.build import NATIVE
from boards.natmod import compile_c, compiler_version, keep_built
from boards.sources import ROOT, SECP256K1, Report, get_sources
from device.native.shared import BROUGHT, FLAGS, HEADERS, SOURCES

COMPILERS = {
    "x86_64-linux-gnu": ("gcc", "gcc libc6-dev"),
    "aarch64-linux-gnu": ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"),
    "arm-linux-gnueabihf": ("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross"),
}
CURVE_SOURCES, CURVE_HEADERS = ("keccak.c", "secp.c"), ("keccak.h", "secp.h")
PROGRAM = "on_computer.py"
MODELS = ("models/host/encoder.ren", "models/host/host.json")


def build_native(abi: str, report: Report) -> Path:
    """The shared object for programs of an ABI of COMPILERS.

    Raises:
        BoardError: no such ABI, no compiler, with the Debian packages that hold it, no sources, or it failed.
    """
    if abi not in COMPILERS:
        raise BoardError(f"abi: got {abi!r}, wanted one of {', '.join(COMPILERS)}")
    version = compiler_version(*COMPILERS[abi])
    curve = get_sources(report)[SECP256K1]
    names = (*SOURCES, *CURVE_SOURCES)
    texts = [(NATIVE / name).read_bytes() for name in (*names, *HEADERS, *CURVE_HEADERS)]

    def make(work: Path) -> None:
        what = [COMPILERS[abi][0], *FLAGS, "-s", f"-I{curve.path}", "-o", str(work / BROUGHT.name)]
        compile_c([*what, *(str(NATIVE / name) for name in names)])

    return keep_built(f"computer-{abi}", [version, curve.digest.encode(), *texts], BROUGHT.name, make)


def pack_agent(abi: str, report: Report) -> bytes:
    """The agent as a tar archive, compressed; raises as build_native."""
    files = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "device").rglob("*.py"))}
    files |= {name: ROOT / name for name in MODELS}
    files |= {PROGRAM: ROOT / "boards" / PROGRAM, BROUGHT.relative_to(ROOT).as_posix(): build_native(abi, report)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        for name, path in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            content = path.read_bytes()
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()

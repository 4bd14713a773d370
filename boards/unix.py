"""MicroPython's unix port: as it comes, to try the native module on; and with `_tinyren`, the frozen agent and encoder,
a device without a board. It builds; it runs nothing.

The agent takes its place from the environment: TINYREN_LINK=HOST:PORT of the broker, TINYREN_STORE=FILE that keeps key
and boot number. Its samples come over the link.
"""

import os
import shutil
import sys
from pathlib import Path

from boards.board import DEFAULT_BOARDS, load_board
from boards.build import NATIVE, mpy_cross, run_make
from boards.frozen import frozen_files
from boards.natmod import ARCHITECTURES, compiler_version, ignore, keep_built
from boards.sources import MBEDTLS, MICROPYTHON, ROOT, SECP256K1, Package, Report, Source, get_sources

BOARD = "unix_x64"
SETTINGS = ["MICROPY_PY_BTREE=0", "MICROPY_PY_FFI=0"]
NO_TLS = ["MICROPY_PY_SSL=0", "MICROPY_SSL_MBEDTLS=0"]
PROGRAM = "micropython"


def build_unix(report: Report) -> Path:
    """MicroPython's unix port without anything of ours, an executable.

    Raises:
        BoardError: no compiler, no sources, or make failed; one line.
    """
    sources = get_sources(report)
    return keep_built("unix-stock", _parts(sources, {}), PROGRAM, lambda work: _make(sources, work, {}, NO_TLS, report))


def build_unix_tls(report: Report) -> Path:
    """The same with the module `tls` by mbedTLS, as boards with a network have it. Raises as above."""
    sources = get_sources(report, (MICROPYTHON, MBEDTLS))

    def make(work: Path) -> None:
        library = work / "mbedtls"  # a copy: objects are made beside it, and its place is named from MicroPython's tree
        for part in ("include", "library"):
            shutil.copytree(sources[MBEDTLS].path / part, library / part)
        place = os.path.relpath(library, sources[MICROPYTHON].path)
        more = ["MICROPY_PY_SSL=1", "MICROPY_SSL_MBEDTLS=1", f"MBEDTLS_DIR={place}"]
        _make(sources, work, {}, more, report)

    return keep_built("unix-tls", _parts(sources, {}), PROGRAM, make)


def build_unix_agent(report: Report, version: str = "0.1.0") -> Path:
    """The same with the C module, the frozen agent and encoder; `-c "import main"` runs the agent. Raises as above."""
    sources = get_sources(report)
    files = frozen_files(load_board(DEFAULT_BOARDS[0]))
    for name in ("board.py", "core.py", "package_files.py"):
        del files[name]
    files["main.py"] = (ROOT / "boards" / "unix_main.py").read_bytes()
    files["../tinyren_board.h"] = (
        f'#define TINYREN_BOARD "{BOARD}"\n#define TINYREN_CORE "x86-64"\n#define TINYREN_VERSION "{version}"\n'
    ).encode()
    native = {path.name: path.read_bytes() for path in sorted(NATIVE.glob("*.*")) if path.suffix in (".c", ".h", ".mk")}
    ours = [*NO_TLS, "TINYREN_UNIX=1", f"SECP256K1_DIR={sources[SECP256K1].path}", f"USER_C_MODULES={NATIVE.parent}"]
    parts = _parts(sources, files | native)
    return keep_built(BOARD, parts, PROGRAM, lambda work: _make(sources, work, files, ours, report))


def _parts(sources: dict[Package, Source], files: dict[str, bytes]) -> list[bytes]:
    parts = [compiler_version(*ARCHITECTURES["x64"]), Path(__file__).read_bytes()]
    parts += [source.digest.encode() for source in sources.values()]
    return parts + [part for name, content in sorted(files.items()) for part in (name.encode(), content)]


def _make(sources: dict[Package, Source], work: Path, files: dict[str, bytes], ours: list[str], report: Report) -> None:
    for name, content in files.items():
        path = work / "frozen" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    manifest = work / "manifest.py"
    manifest.write_text('freeze("frozen")\n' if files else "")
    micropython = sources[MICROPYTHON]
    variables = {
        "BUILD": work,
        "FROZEN_MANIFEST": manifest,
        "MICROPY_MPYCROSS": mpy_cross(micropython, report),
        "MPY_LIB_DIR": micropython.path / "ports" / "qemu",  # make wants any folder that holds a README.md
        "PYTHON": sys.executable,
    }
    arguments = [f"{name}={value}" for name, value in variables.items()]
    run_make(micropython.path / "ports" / "unix", [*arguments, *SETTINGS, *ours], work, ignore)

"""What a board of silicon with stock MicroPython is brought, so that it boots the agent: files, in their folders. It
builds, once for all boards of an architecture; it sends nothing.

    main.py             imports lib/stock/imports.mpy, then main.mpy, and begins
    lib/                the agent, drivers, our native modules, the encoder, and `board`: what of hardware.toml it needs

What is built is kept in the cache under the digest of what went into it, so no board waits for a compiler twice. Keys,
settings and late records are other files, which are never among these.
"""

import io
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from boards.board import BoardError
from boards.build import digest_of
from boards.frozen import HOST_ONLY, MODEL
from boards.hardware import Hardware
from boards.natmod import MODULES as NATIVES
from boards.natmod import build_native_module, keep_built
from boards.package import MPY_ABI, check_compiler, compile_module
from boards.sources import ROOT, Report
from device.agent.version import VERSION
from models.frozen import frozen_module

FOLDER = ROOT / "boards" / "stock"
MODULES = {"port": "_tinyren", "core": "core"}  # of that folder, and known by another name there
MAIN = b"import stock.imports\nimport stock.main\nstock.main.go()\n"
RING_PAGES = 16  # of 4 KiB each, for late records: 1,900 windows
MODEL_BYTES = 64 * 1024  # that a bank takes at most; a file system that is full says so before
AGENT_BYTES = 96 * 1024
PAGE_BYTES = 4096  # of stock/files.py; a bank's first page is its header's
PACKAGE = "package.zip"


def agent_files(hardware: Hardware, report: Report) -> dict[str, bytes]:
    """Content by path of what the board is to have.

    Raises:
        BoardError: it runs no agent, there is no compiler for its native modules, or something did not build; one line.
    """
    if hardware.runs != "agent" or hardware.kind != "microcontroller":
        raise BoardError(f"{hardware.name}: got a board that stock MicroPython runs no agent on; see: tinyren boards")
    sources = {name: text.encode() for name, text in _sources(hardware)}
    report("modules", 0.0)
    natives = {name: build_native_module(hardware.native, report, name).read_bytes() for name in NATIVES}
    check_compiler(MPY_ABI)
    parts = [part for name, content in sorted(sources.items()) for part in (name.encode(), content)]
    place = keep_built(f"stock-{hardware.name}", parts, PACKAGE, lambda work: _compile(sources, work))
    report("modules", 1.0)
    with zipfile.ZipFile(place) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return {"main.py": MAIN, **files, **{f"lib/{name}.mpy": content for name, content in natives.items()}}


def _sources(hardware: Hardware) -> Iterator[tuple[str, str]]:
    """(path of the module below lib, source) of all but the native ones."""
    for package in ("agent", "drivers"):
        for path in sorted((ROOT / "device" / package).glob("*.py")):
            if path.name not in HOST_ONLY:
                yield f"{package}/{path.name}", path.read_text()
    for path in sorted(FOLDER.glob("*.py")):
        yield f"{MODULES.get(path.stem, f'stock/{path.stem}')}.py", path.read_text()
    yield "package_files.py", (ROOT / "boards" / "package_files.py").read_text()
    yield "host_model.py", frozen_module((MODEL / "encoder.ren").read_bytes(), (MODEL / "host.json").read_text())
    yield "board.py", _facts(hardware)


def _facts(hardware: Hardware) -> str:
    pins = hardware.pins
    files = sorted((ROOT / "device").rglob("*.py")) + sorted(FOLDER.glob("*.py"))
    facts = {
        "BOARD": hardware.name,
        "CORE": hardware.core,
        "VERSION": f"{VERSION}+{digest_of(path.read_bytes() for path in files)[:8]}",
        "I2C_SCL": pins.get("i2c_scl"),
        "I2C_SDA": pins.get("i2c_sda"),
        "LED": pins.get("led"),
        "RING_PAGES": RING_PAGES,
        "MODEL_PAGES": 1 + MODEL_BYTES // PAGE_BYTES,
        "AGENT_PAGES": 1 + AGENT_BYTES // PAGE_BYTES if hardware.takes_agents else 0,
    }
    return "".join(f"{name} = {value!r}\n" for name, value in facts.items())


def _compile(sources: dict[str, bytes], work: Path) -> None:
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(packed, "w") as archive:
        source, target = Path(folder, "module.py"), Path(folder, "module.mpy")
        for name, content in sorted(sources.items()):
            source.write_bytes(content)
            archive.writestr(zipfile.ZipInfo(f"lib/{name[:-3]}.mpy"), compile_module(name, source, target))
    (work / PACKAGE).write_bytes(packed.getvalue())

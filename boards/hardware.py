"""What a board of silicon is: data, read from boards/NAME/hardware.toml. It builds nothing and flashes nothing.

Emulated boards are boards/board.py's; a folder has one file or the other. What a file says was read off the sources
that its first lines name, and `verified` says what of it was tried, and where.
"""

import tomllib
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from boards.board import FOLDER, BoardError, board_names
from boards.uf2 import FAMILIES

FILE = "hardware.toml"
KINDS = ("microcontroller", "computer")
RUNS = ("agent", "kernels")
USB_RUNS = ("micropython", "bootloader", "probe", "either")
NOT_PINNED = "not pinned"
AGENT_RAM_BYTES = 500 * 1024
TLS_RAM_BYTES = 300 * 1024


@dataclass(frozen=True)
class Region:
    """A part of the flash map: name, first address, bytes. The board's files and settings stay where nobody writes."""

    name: str
    address: int
    bytes: int


@dataclass(frozen=True)
class Usb:
    """One way in which the board shows itself: "vvvv:pppp" in hexadecimal, and what answers there, of USB_RUNS."""

    id: str
    runs: str


@dataclass(frozen=True)
class Firmware:
    """A release of MicroPython: the name it gives the board (sys.implementation._build) and its version."""

    build: str
    release: str


@dataclass(frozen=True)
class Stack:
    """What MicroPython has for C and Python together: bytes of it, and how many before its end Python is stopped."""

    bytes: int
    margin_bytes: int


@dataclass(frozen=True)
class Flash:
    """One way to write the board (boards/flashing.py).

    tool: of TOOLS, with the fields that it needs; file: name of the release's file; sha256: of it in hexadecimal, or
    NOT_PINNED where nobody could look it up; abi: of a computer's programs, as GCC names it.
    """

    tool: str
    file: str = ""
    sha256: str = NOT_PINNED
    family: str = ""
    drive: str = ""
    chip: str = ""
    address: int = 0
    config: str = ""
    target: str = ""
    abi: str = ""


@dataclass(frozen=True)
class Verified:
    """What was tried on an emulator, as a dry run with the tools, and on hardware; "no" or "none" for nothing."""

    emulated: str
    dry_run: str
    hardware: str


@dataclass(frozen=True)
class Hardware:
    """One board of silicon.

    name: its folder's; native: the architecture of native modules, as MicroPython names it; memory: the flash map;
    pins: what the firmware calls them; runs: as Board's, with that firmware; firmware, stack and flash_bytes: of a
    microcontroller. bootloader: what a person does to reach it. flash: the first is how it is written unless another
    is named.
    """

    name: str
    title: str
    soc: str
    core: str
    ram_bytes: int
    flash: list[Flash]
    verified: Verified
    pins: dict[str, str]
    kind: str = "microcontroller"
    runs: str = "kernels"
    flash_bytes: int = 0
    native: str = ""
    memory: list[Region] = field(default_factory=list)
    usb: list[Usb] = field(default_factory=list)
    bootloader: str = ""
    firmware: Firmware | None = None
    stack: Stack | None = None

    @property
    def takes_agents(self) -> bool:
        """Whether agents may come over the air: what is imported from a package lies on the heap beside the core."""
        return self.runs == "agent" and self.ram_bytes >= AGENT_RAM_BYTES

    @property
    def fits_tls(self) -> bool:
        """Whether mbedTLS finds its 30 KB beside the agent (docs/limits.md)."""
        return self.ram_bytes >= TLS_RAM_BYTES


TOOLS = {
    "uf2": ("file", "family", "drive"),
    "esptool": ("file", "chip", "address"),
    "dfu-util": ("file",),
    "openocd": ("file", "config"),
    "pyocd": ("file", "target"),
    "ssh": ("abi",),
}
_PARTS = {
    "verified": Verified, "firmware": Firmware, "stack": Stack, "flash": [Flash], "memory": [Region], "usb": [Usb]
}  # fmt: skip


def hardware_names() -> list[str]:
    """Names of the boards of silicon, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{FILE}"))


def agent_hardware_names() -> list[str]:
    """Those that are brought the agent at a port, sorted."""
    boards = map(load_hardware, hardware_names())
    return [board.name for board in boards if board.runs == "agent" and board.kind == "microcontroller"]


def load_hardware(name: str) -> Hardware:
    """The board of that name.

    Raises:
        BoardError: no such board, an emulated one, or a field is missing, unknown, of a wrong type or out of range.
    """
    if name in board_names():
        emulate = f"run: tinyren emulate --board {name}"
        raise BoardError(f"board: got {name!r}, which is emulated and has nothing to flash; {emulate}")
    if name not in hardware_names():
        raise BoardError(f"board: got {name!r}, wanted one of {', '.join(hardware_names())}")
    return parse_hardware(name, (FOLDER / name / FILE).read_text())


def parse_hardware(name: str, text: str) -> Hardware:
    """The board that a hardware.toml's text describes; raises as load_hardware does."""
    place = f"{name}/{FILE}"
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BoardError(f"{place}: {error}") from error
    for part, kind in _PARTS.items():
        if part not in table:
            continue
        if isinstance(kind, list):
            rows = table[part] if isinstance(table[part], list) else [table[part]]
            table[part] = [_record(f"{place}: {part}", kind[0], row) for row in rows]
        else:
            table[part] = _record(f"{place}: {part}", kind, table[part])
    hardware: Hardware = _record(place, Hardware, {"name": name, **table})
    _check_choices(place, hardware)
    _check_memory(place, hardware)
    return hardware


def _record(place: str, kind: Any, table: Any) -> Any:
    """An object of a dataclass from a table, every field of its type."""
    if not isinstance(table, dict):
        raise BoardError(f"{place}: got {table!r}, wanted a table")
    known = {item.name: item for item in fields(kind)}
    needed = {name for name, item in known.items() if item.default is MISSING and item.default_factory is MISSING}
    for name in sorted(needed - table.keys()):
        raise BoardError(f"{place}: {name} is missing")
    for name, value in table.items():
        if name not in known:
            raise BoardError(f"{place}: got unknown field {name}, wanted {', '.join(known)}")
        wanted = {"str": str, "int": int}.get(getattr(known[name].type, "__name__", ""))
        if wanted and (type(value) is not wanted or value in ("", -1)):
            raise BoardError(f"{place}: {name}: got {value!r}, wanted {wanted.__name__}")
    return kind(**table)


def _check_choices(place: str, hardware: Hardware) -> None:
    choices = [("kind", hardware.kind, KINDS), ("runs", hardware.runs, RUNS)]
    choices += [("usb: runs", usb.runs, USB_RUNS) for usb in hardware.usb]
    choices += [("flash: tool", way.tool, tuple(TOOLS)) for way in hardware.flash]
    choices += [("flash: family", way.family, tuple(FAMILIES)) for way in hardware.flash if way.tool == "uf2"]
    for name, value, wanted in choices:
        if value not in wanted:
            raise BoardError(f"{place}: {name}: got {value!r}, wanted {' or '.join(wanted)}")
    for way in hardware.flash:
        for name in TOOLS[way.tool]:
            if getattr(way, name) == "":
                raise BoardError(f"{place}: flash: {name} is missing, which {way.tool} needs")
    if hardware.kind == "microcontroller" and not all(
        (hardware.firmware, hardware.stack, hardware.memory, hardware.native)
    ):
        raise BoardError(f"{place}: firmware, stack, memory and native: got not all, wanted them of a microcontroller")


def _check_memory(place: str, hardware: Hardware) -> None:
    end = 0
    for region in hardware.memory:
        if region.bytes <= 0 or region.address < end:
            raise BoardError(f"{place}: memory: {region.name}: got {region.bytes} bytes at {region.address:#x}, "
                             f"wanted more than 0 from {end:#x} on")  # fmt: skip
        end = region.address + region.bytes
    if hardware.memory and end - hardware.memory[0].address > hardware.flash_bytes:
        raise BoardError(
            f"{place}: memory: got {end - hardware.memory[0].address} bytes, wanted {hardware.flash_bytes}"
        )

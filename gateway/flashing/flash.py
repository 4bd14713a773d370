"""Writes a board: finds it, refuses what does not fit, runs one tool, asks the board, brings files: the agent, unless
others are named. Never compiles for one board.

What a board keeps (files, settings, so its identity) stays unless `erase`. Everything that can be refused is refused
before the first octet is written: exit code 3 for another board's image, 6 for a port that is not there or in use.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boards.board import BoardError
from boards.console import ConsoleError, copy_files, identify, open_console
from boards.drive import DriveError, WrongImage, choose_image, read_drive, write_drive
from boards.flashing import dfu_commands, esptool_commands, openocd_commands, pyocd_commands
from boards.hardware import NOT_PINNED, Flash, Hardware, load_hardware
from boards.images import ImageError, check_image, cut_esp
from boards.ports import Plugged, find_plugged
from boards.uf2 import FAMILIES
from gateway.errors import CommandError, Exit
from gateway.flashing import computer
from gateway.flashing.agent import agent_files, authority_file, begin, warn_of_tls
from gateway.flashing.files import read_files, read_image
from gateway.flashing.places import SERIAL_TOOLS, find_place, ports_back, refuse_another, serial_port
from gateway.flashing.tools import ask_board, check_port, run_commands
from gateway.progress import Progress

BOOTLOADERS = ("uf2", "dfu-util")  # which have no port: a board's was not there before
BACK_S = 20.0
LOOK_S = 0.25

Look = Callable[[], list[Plugged]]


@dataclass(frozen=True)
class Request:
    """What was asked for.

    target: a board's name or a port; port: a port, drive, probe's serial number or USER@HOST. is_alone: the firmware,
    and no files; the result's port is where the board is then, "" where it does not show. broker, ca, source: of a
    computer's agent, as computer.Place has them.
    """

    target: str
    port: str = ""
    firmware: Path | None = None
    files: Path | None = None
    tool: str = ""
    erase: bool = False
    dry_run: bool = False
    is_alone: bool = False
    broker: str = ""
    ca: Path | None = None
    source: str = ""


@dataclass
class Result:
    """What was done, for --json."""

    board: str
    port: str = ""
    sha256: str = ""
    commands: list[list[str]] = field(default_factory=list)
    written: bool = False
    identity: dict[str, Any] | None = None
    files_sent: list[str] = field(default_factory=list)
    total_s: float = 0.0


def flash(request: Request, progress: Progress, look: Look = find_plugged, back_s: float = BACK_S) -> Result:
    """Do it.

    Args:
        look: tells what is plugged in.
        back_s: how long a board may take to come back after it was written.
    Raises:
        CommandError: with the exit code of gateway.errors, and what to do next.
    """
    found = look()
    files = read_files(request.files)
    board = None if "/" in request.target and not request.firmware else _board(request.target, found)
    result = Result(board.name if board else "", request.port)
    if board and board.kind == "computer":
        _to_computer(board, request, result, progress)
    elif request.broker or request.source:
        raise CommandError("--broker, --source: they are for a computer's agent; leave them out", Exit.USAGE)
    elif request.erase and not request.firmware:
        what = "wanted --firmware FILE with it, for what writes the firmware erases the board; nothing was done"
        raise CommandError(f"--erase: {what}", Exit.USAGE)
    else:
        files |= authority_file(request.ca)
        has_agent = board is None or board.runs == "agent"
        if board and not request.firmware and not files and not has_agent:
            what = "name a file by --firmware, a folder by --files, or both"
            raise CommandError(f"{board.name}: no agent runs there; {what}", Exit.USAGE)
        port = request.target if "/" in request.target else request.port
        if board and request.firmware:
            _write(board, request, request.firmware, found, result, progress)
            before = found if _way(board, request.tool).tool in BOOTLOADERS else []
            port = _ask_back(board, look, before, back_s, result, progress) if result.written else port
        if request.is_alone:
            result.port = port
        elif (port or not request.firmware) and (files or has_agent):
            _bring(port or serial_port(board, found), board, files, request, result, progress)
    result.total_s = round(progress.elapsed_s(), 1)
    return result


def _board(target: str, found: list[Plugged]) -> Hardware:
    name = target
    if "/" in target:
        names = [name for item in found if item.place == target for name in item.boards]
        if len(names) != 1:
            got = ", ".join(names) or "no board that is known"
            raise CommandError(f"{target}: got {got}; run: tinyren flash BOARD --port {target}", Exit.USAGE)
        name = names[0]
    try:
        return load_hardware(name)
    except BoardError as error:
        raise CommandError(str(error), Exit.USAGE) from error


def _way(board: Hardware, tool: str) -> Flash:
    for way in board.flash:
        if tool in ("", way.tool):
            return way
    wanted = " or ".join(way.tool for way in board.flash)
    raise CommandError(f"--tool: got {tool}, wanted {wanted} for {board.name}", Exit.USAGE)


def _read_image(board: Hardware, way: Flash, path: Path, result: Result, progress: Progress) -> bytes:
    file = read_image(path)
    result.sha256 = hashlib.sha256(file).hexdigest()
    if way.sha256 not in (NOT_PINNED, result.sha256):
        raise CommandError(f"{path}: got SHA-256 {result.sha256}, wanted {way.sha256} ({way.file})", Exit.REFUSED)
    try:
        if way.tool == "uf2":
            choose_image(file, FAMILIES[way.family])
        else:
            check_image(board, way, file)
    except (ImageError, WrongImage) as error:
        raise CommandError(f"{path}: {error}", Exit.REFUSED) from error
    progress.say(f"image {path.name}: fits {board.name}, SHA-256 {result.sha256}")
    return file


def _write(board: Hardware, request: Request, path: Path, found: list[Plugged], result: Result, progress: Progress
           ) -> None:  # fmt: skip
    way = _way(board, request.tool)
    file = _read_image(board, way, path, result, progress)
    port = result.port = request.target if "/" in request.target else request.port or find_place(board, way, found)
    if "/" in port:
        refuse_another(board, port, found)
    if way.tool == "uf2":
        _to_drive(way, Path(port), file, request, result, progress)
        return
    if way.tool in SERIAL_TOOLS and not request.dry_run:
        check_port(port)
    with tempfile.TemporaryDirectory(prefix="tinyren-") as folder:
        result.commands = _commands(board, way, file, Path(folder), port, request.erase)
        run_commands(result.commands, request.dry_run, progress)
    result.written = not request.dry_run


def _commands(board: Hardware, way: Flash, file: bytes, folder: Path, port: str, erase: bool) -> list[list[str]]:
    """The commands, and the files that they name in folder: copies of what was checked."""
    if way.tool == "esptool":
        parts = [(0, file)] if erase else cut_esp(board, file)
        named = [(address, folder / f"{address:06x}.bin", content) for address, content in parts]
        for _, part, content in named:
            part.write_bytes(content)
        return esptool_commands(way, port, [(address, str(part)) for address, part, _ in named], erase)
    image = folder / f"firmware{Path(way.file).suffix}"
    image.write_bytes(file)
    if way.tool == "dfu-util":
        return dfu_commands(str(image), port, erase)
    try:
        return (openocd_commands if way.tool == "openocd" else pyocd_commands)(way, str(image), port, erase)
    except ValueError as error:
        raise CommandError(f"{board.name}: {error}; nothing was written", Exit.REFUSED) from error


def _to_drive(way: Flash, path: Path, file: bytes, request: Request, result: Result, progress: Progress) -> None:
    drive = read_drive(path)
    if drive is None:
        raise CommandError(f"{path}: got no drive of a UF2 bootloader; run: tinyren devices", Exit.PORT)
    if drive.board_id != way.drive:
        raise CommandError(f"{path}: got a drive of {drive.board_id}, wanted {way.drive}", Exit.REFUSED)
    if request.erase:
        raise CommandError("--erase: a UF2 drive only writes; first copy the maker's erasing UF2 onto it", Exit.USAGE)
    result.commands = [["cp", str(request.firmware), str(path)]]
    if request.dry_run:
        return run_commands(result.commands, True, progress)
    try:
        write_drive(drive, file, FAMILIES[way.family], progress.step)
    except DriveError as error:
        raise CommandError(str(error)) from error
    result.written = True


def _to_computer(board: Hardware, request: Request, result: Result, progress: Progress) -> None:
    if request.firmware or request.files:
        what = "leave --firmware and --files out: it gets the agent"
        raise CommandError(f"{board.name}: it is a computer, with a system of its own; {what}", Exit.USAGE)
    place = computer.Place(request.port, request.broker, request.ca, request.source)
    result.identity = computer.install(board, place, request.erase, request.dry_run, progress)
    result.written = not request.dry_run


def _ask_back(board: Hardware, look: Look, before: list[Plugged], back_s: float, result: Result, progress: Progress
              ) -> str:  # fmt: skip
    """Ask the board which it is now; its port, or "" where none shows in time, which is told and no error."""
    deadline_s = time.monotonic() + back_s
    while True:
        ports = ports_back(board.name, result.port, before, look())
        if len(ports) == 1:
            break
        if time.monotonic() > deadline_s:
            progress.say(f"written; the board was not asked: got {len(ports)} ports of it, wanted one")
            return ""
        time.sleep(LOOK_S)
    who = ask_board(ports[0])
    result.identity = vars(who)
    if who.board != board.name:
        raise CommandError(f"{ports[0]}: got {who.board or who.machine} after writing, wanted {board.name}", Exit.TRUST)
    progress.say(f"{board.name} is back: {who.firmware} {who.version}")
    return ports[0]


def _bring(port: str, board: Hardware | None, files: dict[str, bytes], request: Request, result: Result,
           progress: Progress) -> None:  # fmt: skip
    result.port = port
    if request.dry_run:
        progress.say(f"would copy to {port}: {', '.join(files) if request.files else 'the agent for it'}")
        return
    check_port(port)
    try:
        with open_console(port) as repl:
            who = identify(repl)
            result.identity = vars(who)
            if board and board.name != who.board:
                got = who.board or who.machine
                raise CommandError(f"{port}: got {got}, wanted {board.name}; nothing was copied", Exit.REFUSED)
            result.board = result.board or who.board
            if not request.files:
                files |= agent_files(who.board, progress)
                warn_of_tls(who.board, files, progress)
            result.files_sent = copy_files(repl, files, progress.step)
            if not request.files:
                begin(repl, who, progress)
    except ConsoleError as error:
        raise CommandError(str(error), Exit.TIMEOUT if "timeout" in str(error) else Exit.FAILED) from error
    except ValueError as error:
        raise CommandError(f"--files: {error}", Exit.USAGE) from error

"""The first stage of `tinyren run` for a board of silicon: it gets what it lacks, and says which device it is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from boards.hardware import agent_hardware_names, load_hardware
from gateway.errors import CommandError, Exit
from gateway.progress import Progress

if TYPE_CHECKING:
    from gateway.commands.first_run import Request


@dataclass(frozen=True)
class Flashed:
    """said: what was done; was_done: whether there was nothing to do; device: its id, "" where it was not asked."""

    said: str
    was_done: bool
    device: str = ""


def needs_flash(request: "Request") -> bool:
    """Whether there is something to write, or a board to ask: a computer at a port is left to `tinyren flash`."""
    is_brought = request.board in agent_hardware_names()
    return bool(request.firmware or request.files or (request.port and is_brought))


def flash_first(request: "Request", progress: Progress) -> Flashed:
    """Write what was named, and bring the agent where the board runs it. Raises CommandError."""
    from boards.ports import find_plugged
    from gateway.flashing import flash
    from gateway.flashing.places import serial_port

    if request.board not in agent_hardware_names():
        done = flash.flash(flash.Request(request.board, request.port, request.firmware, request.files), progress)
        was_done = not (done.written or done.files_sent)
        return Flashed("the board has all of it" if was_done else f"written to {done.port}", was_done)
    port = request.port
    if request.firmware:
        port = flash.flash(flash.Request(request.board, port, request.firmware, is_alone=True), progress).port
    return _bring(request, port or serial_port(load_hardware(request.board), find_plugged()), progress)


def _bring(request: "Request", port: str, progress: Progress) -> Flashed:
    from boards.ports import holders
    from gateway.flashing.tools import check_port
    from gateway.provisioning.at_port import bring, find_wanted
    from gateway.provisioning.shown import Dead

    if held := holders(port):
        what = "end it; or, if that is the site, it hears the board already: leave --port out"
        raise CommandError(f"{port}: in use by {', '.join(held)}; {what}", Exit.PORT)
    check_port(port)
    wanted = find_wanted(request.board, request.files, request.authority, request.settings, progress)
    progress.say(f"{port}: brings what the board lacks of {len(wanted.files)} files")
    try:
        brought = bring(port, wanted, progress.step)
    except Dead as error:
        raise CommandError(str(error), Exit.TRUST) from error
    said = f"{'firmware written, ' if request.firmware else ''}agent {brought.shown.version}"
    said += f", {len(brought.sent)} files {'renewed' if brought.had_agent else 'brought'}" if brought.sent else ""
    said += ", settings changed" if brought.has_settings else ""
    was_done = not (brought.sent or brought.has_settings or request.firmware)
    said += ": the board has all of it" if was_done else ""
    return Flashed(said, was_done, f"0x{brought.shown.device.hex()}")

"""Where a board is, among what is plugged in: decided only if it is exactly one place; it opens none."""

from boards.hardware import Flash, Hardware
from boards.ports import Plugged
from gateway.errors import CommandError, Exit

SERIAL_TOOLS = ("esptool",)


def find_place(board: Hardware, way: Flash, found: list[Plugged]) -> str:
    """Where the board is: a port, a drive, or a probe's serial number; only if there is exactly one."""
    if way.tool == "uf2":
        places = [item.place for item in found if item.kind == "drive" and board.name in item.boards]
    elif way.tool in SERIAL_TOOLS:
        return serial_port(board, found)
    else:
        runs = "bootloader" if way.tool == "dfu-util" else "probe"
        places = [item.serial for item in found if board.name in item.boards and item.runs == runs]
    return _only(board, places)


def serial_port(board: Hardware | None, found: list[Plugged]) -> str:
    """The only port of a board; raises CommandError: there are none, or several."""
    if board is None:
        raise CommandError("--port: got none, wanted the board's; run: tinyren devices", Exit.USAGE)
    return _only(board, [item.place for item in found if item.kind == "serial" and board.name in item.boards])


def _only(board: Hardware, places: list[str]) -> str:
    if len(places) == 1:
        return places[0]
    if not places:
        raise CommandError(f"{board.name}: got none plugged in; {board.bootloader}; or name it by --port", Exit.PORT)
    raise CommandError(
        f"{board.name}: got {len(places)} ({', '.join(places)}), wanted one; name it by --port", Exit.USAGE
    )


def refuse_another(board: Hardware, port: str, found: list[Plugged]) -> None:
    """Raises CommandError: what is plugged in there is known to be another board."""
    for item in found:
        if item.place == port and item.boards and board.name not in item.boards:
            raise CommandError(f"{port}: got {' or '.join(item.boards)}, wanted {board.name}", Exit.REFUSED)


def ports_back(name: str, port: str, before: list[Plugged], now: list[Plugged]) -> list[str]:
    """Where a board of that name can be after it was written at a port: there, or where none was plugged in before."""
    known = {item.place for item in before}
    ports = [item.place for item in now if item.kind == "serial" and name in item.boards and item.place not in known]
    return [port] if port in ports else ports

"""What is set on a board over its REPL: its file settings.json, and whose it is. It touches no key, shows no password.

settings.json holds text by name (SETTINGS). It is written as every file is (console.py): whole, compared, then renamed;
a board whose firmware has no file system takes none. Whoever is at the console holds the device, so an owner is
forgotten without that owner's signature; the device's key stays what it was.
"""

import json
import re
from collections.abc import Callable

from boards.console import ConsoleError, Identity, copy_files
from boards.emulator import EmulatorError
from boards.repl import Repl, printable

FILE = "settings.json"
MOST_BYTES = 2048
SECRET = ("password",)

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?:[0-9]{1,5}"
_DRIVER = r"[a-z0-9]+(?::[0-9]+)?"
SETTINGS: dict[str, tuple[re.Pattern[str], str]] = {
    "gateways": (re.compile(rf"{_HOST}(?:,{_HOST}){{0,3}}"), "1 to 4 of HOST:PORT, with commas between them"),
    "ssid": (re.compile(r"[^\x00-\x1f\x7f]{1,32}"), "the Wi-Fi network's name, 1 to 32 characters"),
    "password": (re.compile(r"[ -~]{8,63}|"), "8 to 63 characters of ASCII, or nothing for an open network"),
    "sensors": (re.compile(rf"(?=.{{1,64}}\Z){_DRIVER}(?:\+{_DRIVER})*"), "drivers, as tmp105 or bme280:0+lis2dh12"),
    "name": (re.compile(r"\w[\w .-]{0,31}"), "1 to 32 letters, digits, spaces . _ -"),
}

_READ = """
_buffer = bytearray(2049)
try:
    _file = open("settings.json", "rb")
    print(str(memoryview(_buffer)[: _file.readinto(_buffer)], "utf-8"))
    _file.close()
except OSError:
    print("{}")
"""
_WHOSE = """
import core
from binascii import hexlify
from agent.store import Store
def _refuse():
    raise ValueError("no key yet")
_store = Store(core.open_regions()["store"])
try:
    _store.open(_refuse)
except ValueError:
    pass  # it never began, so it is nobody's
print(hexlify(_store.owner or b"").decode())
"""
_FORGET = """
from agent import owner
from agent.banks import Banks
owner.forget(_store, Banks(core.open_regions()["state"], (), ()))
"""
_RESTART = """
try:
    import _tinyren
    _tinyren.reset("asked")
except (ImportError, MemoryError):
    import machine
    machine.reset()
"""


def check(name: str, value: str) -> None:
    """Raises ValueError: there is no such setting, or the value is none of it; a secret one is not shown."""
    if name not in SETTINGS:
        raise ValueError(f"{name[:40]!r}: there is no such setting; wanted one of {', '.join(SETTINGS)}")
    pattern, wanted = SETTINGS[name]
    if not pattern.fullmatch(value) or len(value.encode()) > MOST_BYTES // 4:
        got = f"{len(value)} characters" if name in SECRET else repr(value[:40])
        raise ValueError(f"{name}: got {got}, wanted {wanted}")


def read_settings(repl: Repl) -> dict[str, str]:
    """What is set, by name; {} where nothing is.

    Raises:
        ConsoleError: no answer, or the file holds something else.
    """
    try:
        found = json.loads(_run(repl, _READ)[: MOST_BYTES + 1])
        for name, value in found.items():
            check(name, value)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConsoleError(f"{FILE}: the board holds something else than settings; remove it there first") from error
    return dict(found)


def write_settings(repl: Repl, settings: dict[str, str], report: Callable[[str, float], None]) -> None:
    """Replace what is set, after `check` of each; raises ConsoleError: no file system, no room, or no answer."""
    for name, value in settings.items():
        check(name, value)
    copy_files(repl, {FILE: json.dumps(settings).encode()}, report)


def read_owner(repl: Repl, who: Identity) -> bytes | None:
    """Address of the owner that the device keeps, 20 bytes, None for none; it counts as a boot.

    Raises:
        ConsoleError: no answer, or another firmware than the emulated boards'.
    """
    if who.firmware != "tinyren":
        raise ConsoleError(f"owner: got {who.firmware} on this board, wanted tinyren's firmware, which keeps one")
    said = _run(repl, _WHOSE).strip()
    if not re.fullmatch("(?:[0-9a-f]{40})?", said):
        raise ConsoleError(f"owner: got {printable(said)!r}, wanted an address; press reset and try again")
    return bytes.fromhex(said) or None


def forget_owner(repl: Repl, who: Identity) -> bytes | None:
    """Have the device forget its owner; who it was, None if it had none. Raises as read_owner."""
    owner = read_owner(repl, who)
    if owner:
        _run(repl, _FORGET)
    return owner


def restart(repl: Repl) -> None:
    """Have the board begin anew, with what is set; the conversation is over. Raises ConsoleError."""
    try:
        repl.start(_RESTART)
    except EmulatorError as error:
        raise ConsoleError(f"{error}; press the board's reset button") from error


def _run(repl: Repl, code: str) -> str:
    try:
        return str(repl.exec(code))
    except EmulatorError as error:
        raise ConsoleError(f"{error}; press the board's reset button and run the same command again") from error

"""What is asked of a board over its REPL: which it is, and to keep files. It removes no file that it did not bring.

A file is written under another name, compared by its SHA-256 on the board, and renamed when it is whole; one that the
board has already is not sent. So a copy that was cut leaves the files as they were, and the next one goes on.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from serial import Serial, SerialException

from boards.emulator import EmulatorError
from boards.hardware import hardware_names, load_hardware
from boards.repl import Repl, printable

CHUNK_BYTES = 768
NAME_BYTES = 128
TIMEOUT_S = 15.0
BAUD = 115200

_ERRNO = re.compile(r"OSError: (?:\[Errno )?(\d+)")
_NO_FILES = "the board has no file system to copy to"
_WHAT = {
    "1": _NO_FILES,
    "19": _NO_FILES,
    "30": _NO_FILES,
    "28": "the board's file system is full: remove files, run the same command again",
}

_WHO = """
import sys
try:
    import _tinyren
    print("tinyren", _tinyren.BOARD, sep=chr(9))
except (ImportError, MemoryError):
    print("micropython", getattr(sys.implementation, "_build", ""), sep=chr(9))
print(".".join(str(part) for part in sys.implementation[1][:3]))
print(getattr(sys.implementation, "_machine", ""))
"""
_FILES = """
import hashlib, os
from binascii import hexlify
def _digest(path):
    digest, buffer = hashlib.sha256(), bytearray(512)
    try:
        file = open(path, "rb")
    except OSError:
        return ""
    while True:
        count = file.readinto(buffer)
        if not count:
            break
        digest.update(memoryview(buffer)[:count])
    file.close()
    return hexlify(digest.digest()).decode()
def _rename(old, new):
    try:
        os.rename(old, new)
    except OSError:
        os.remove(new)
        os.rename(old, new)
def _folder(path):
    try:
        os.mkdir(path)
    except OSError:
        os.stat(path)
"""


class ConsoleError(Exception):
    """The board did not answer, or did not take a file; says what to do next."""


@dataclass(frozen=True)
class Identity:
    """What a board says of itself: its name here ("" if none fits), "tinyren" or "micropython", version, machine."""

    board: str
    firmware: str
    version: str
    machine: str


def open_console(port: str) -> Repl:
    """A conversation with whatever runs MicroPython at a port, to be closed; it ends what runs there.

    Raises:
        ConsoleError: no answer.
    """
    try:
        return Repl(port, port, TIMEOUT_S)
    except EmulatorError as error:
        raise ConsoleError(f"{error}; press the board's reset button and run the same command again") from error


def read_port(port: str) -> Iterator[bytes]:
    """What a board prints, as it comes, until the caller ends it; raises ConsoleError: unplugged, or in use."""
    try:
        with Serial(port, BAUD, exclusive=True) as serial:
            while True:
                yield serial.read(1) + serial.read(serial.in_waiting)
    except (SerialException, OSError) as error:
        raise ConsoleError(f"{port}: {error}; plug the board in again") from error


def identify(repl: Repl) -> Identity:
    """Who answers; raises ConsoleError."""
    lines = _ask(repl, _WHO).splitlines()
    firmware, tab, build = lines[0].partition("\t") if len(lines) == 3 else ("", "", "")
    if not tab:
        got = printable("".join(lines[:1]))
        raise ConsoleError(f"board: got {got!r}, wanted MicroPython's answer; press reset and try again")
    name = build
    if firmware == "micropython":
        boards = {name: load_hardware(name).firmware for name in hardware_names()}
        name = next((name for name, known in boards.items() if known and known.build == build), "")
    return Identity(*map(printable, (name, firmware, lines[1], lines[2])))


def copy_files(repl: Repl, files: dict[str, bytes], report: Callable[[str, float], None]) -> list[str]:
    """Bring files to a board that has a file system.

    Args:
        files: content by path, "/" between folders.
        report: called with a stage and how far it is, 0..1.
    Returns: paths of those that were sent, the others were there.
    Raises:
        ConsoleError: no file system, no room, no answer, or the board holds something else than was sent.
        ValueError: a path that is empty, absolute, too long or leads upwards.
    """
    for path in files:
        if not 0 < len(path.encode()) <= NAME_BYTES or not all(part.strip(".") for part in path.split("/")):
            raise ValueError(f"path: got {path!r}, wanted 1..{NAME_BYTES} bytes, relative, no part of dots alone")
    _ask(repl, _FILES)
    sent, done_bytes, all_bytes = [], 0, sum(map(len, files.values())) or 1
    for path, content in sorted(files.items()):
        if _ask(repl, f"print(_digest({path!r}))").strip() != sha256(content).hexdigest():
            _send(repl, path, content, lambda at, before=done_bytes: report("copy", (before + at) / all_bytes * 0.99))
            sent.append(path)
        done_bytes += len(content)
    report("copy", 1.0)
    return sent


def _send(repl: Repl, path: str, content: bytes, report: Callable[[int], None]) -> None:
    parts = path.split("/")
    for depth in range(1, len(parts)):
        _ask(repl, f"_folder({'/'.join(parts[:depth])!r})")
    new = path + ".new"
    _ask(repl, f"_file = open({new!r}, 'wb')")
    for at in range(0, len(content), CHUNK_BYTES):
        piece = content[at : at + CHUNK_BYTES]
        data = b64encode(piece).decode()
        _ask(repl, f"from binascii import a2b_base64\nassert _file.write(a2b_base64('{data}')) == {len(piece)}")
        report(at)
    got = _ask(repl, f"_file.close()\nprint(_digest({new!r}))").strip()
    if got != sha256(content).hexdigest():
        raise ConsoleError(f"{path}: got another content back than was sent; run the same command again")
    _ask(repl, f"_rename({new!r}, {path!r})")


def _ask(repl: Repl, code: str) -> str:
    try:
        return repl.exec(code)
    except EmulatorError as error:
        number = _ERRNO.search(str(error))
        what = _WHAT.get(number[1] if number else "", "plug the board in again and run the same command: it goes on")
        raise ConsoleError(f"{error}; {what}") from error

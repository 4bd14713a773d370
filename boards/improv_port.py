"""Asks a board at a port by Improv: what it is, and to join a Wi-Fi network. It stops no board, and shows no password.

A board that does not speak Improv says nothing to it: a REPL takes the octets for keys that do no harm, and is asked as
before (settings.py). What a board answers is bounded and is not believed beyond its words.

Source: improv-wifi.com, "Improv via Serial"; the frames are those of device/agent/improv.py.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from serial import Serial, SerialException

from boards.console import BAUD, ConsoleError
from boards.repl import printable
from device.agent import improv

ANSWER_S = 2.5  # a board that a port's opening resets needs two seconds
AGAIN_S = 0.8
JOIN_S = 45.0
POLL_S = 0.05


@dataclass(frozen=True)
class About:
    """What a board says of itself."""

    firmware: str
    version: str
    chip: str
    name: str


def ask(port: str) -> About | None:
    """Who speaks Improv at a port, None if nobody does; raises ConsoleError: unplugged, or in use."""
    with _opened(port) as serial:
        return _ask(serial)


def join(port: str, name: str, password: str) -> tuple[About, str] | None:
    """Have a board join a Wi-Fi network and keep it: (what it is, where it sends who comes next, "" for nowhere).

    None: nobody speaks Improv there, and nothing was sent but the question.

    Raises:
        ConsoleError: the board could not join, or did not say so in time; it has the settings that it had.
    """
    with _opened(port) as serial:
        about = _ask(serial)
        if about is None:
            return None
        serial.write(improv.encode_command(improv.WIFI, (name, password)))
        for kind, data in _frames(serial, JOIN_S):
            if kind == improv.ERROR and data[:1] != bytes((improv.NONE,)):
                raise ConsoleError(f"{port}: {_why(data, name)}")
            if kind == improv.RESULT and data[:1] == bytes((improv.WIFI,)):
                return about, next(iter(_texts(data)), "")
        raise ConsoleError(
            f"{port}: got no answer within {JOIN_S:g} s whether it joined {name!r}; run: tinyren logs {port}"
        )


@contextmanager
def _opened(port: str) -> Iterator[Serial]:
    try:
        with Serial(port, BAUD, timeout=POLL_S, write_timeout=ANSWER_S, exclusive=True) as serial:
            yield serial
    except (SerialException, OSError) as error:
        raise ConsoleError(f"{port}: {error}; plug the board in again") from error


def _ask(serial: Serial) -> About | None:
    end_s = time.monotonic() + ANSWER_S
    while (left_s := end_s - time.monotonic()) > 0:
        serial.write(improv.encode_command(improv.ASK_INFO))
        for kind, data in _frames(serial, min(AGAIN_S, left_s)):
            texts = _texts(data) if kind == improv.RESULT and data[:1] == bytes((improv.ASK_INFO,)) else []
            if len(texts) >= 4:
                return About(*texts[:4])
    return None


def _frames(serial: Serial, wait_s: float) -> Iterator[tuple[int, bytes]]:
    """Frames as they come, until the time is over."""
    frames, end_s = improv.Frames(), time.monotonic() + wait_s
    while (now_s := time.monotonic()) < end_s:
        for octet in serial.read(1) + serial.read(serial.in_waiting):
            frame = frames.take(octet, int(now_s * 1000) & 0x3FFFFFFF)
            if frame and frame[0]:
                yield frame


def _texts(data: bytes) -> list[str]:
    """The texts of a result, each cut and on one line; none where it is not whole."""
    try:
        texts = improv.split_texts(data)
    except ValueError:
        return []
    return [printable(text) for text in texts]


def _why(data: bytes, name: str) -> str:
    if data[:1] == bytes((improv.NOT_JOINED,)):
        return (f"the board could not join {name!r}, its settings are as before; check name and password, and that the "
                "network is in reach and has 2.4 GHz")  # fmt: skip
    if data[:1] == bytes((improv.BUSY,)):
        return "the board is joining a network just now; run the same command again"
    return f"the board refuses these settings (Improv's error {data[:1].hex() or 'none'}); its settings are as before"

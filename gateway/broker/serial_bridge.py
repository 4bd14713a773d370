"""Gives boards without a network the broker: what they say on a serial port goes there and back; it reads no frame.

A board speaks MQTT on its port as another does on TCP (D3), so a port is joined to a TCP connection of its own:

  state      leaves to   when
  away       waiting     the port is there and can be opened
  waiting    joined      the board says something: a connection to the broker is made for it
  joined     waiting     the broker ends the connection (for garbage, or it ended); then REJOIN_S are dropped
  any        away        the port is gone (the connection ends, so the broker tells that the board is gone), or it fails

A port is opened for nobody else, so two bridges or a console never share one; who holds it is told, once. Boards find
out by themselves that a peer is gone, as on any UART (device/agent/mqtt.py).
"""

import contextlib
import glob
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import serial  # type: ignore[import-untyped]

from boards.ports import holders

AUTO = "auto"
AUTO_PORTS = "/dev/serial/by-id/*"
BAUD = 115_200
LOOK_S = 1.0
REJOIN_S = 1.0
PIECE_BYTES = 4096
MAX_WAITING_BYTES = 16_384
CONNECT_S = 5.0


def split_port(text: str) -> tuple[str, int]:
    """(path, baud) of PATH or PATH@BAUD, which settings.py has checked."""
    path, _, baud = text.partition("@")
    return path, int(baud or BAUD)


class SerialBridge:
    """A part of a site (threads.py): looks for its ports, each of which has a thread.

    Args:
        ports: PATH, PATH@BAUD, or AUTO for all that are plugged in. broker: (host, port), asked at each joining.
        find: what AUTO means now.
    """

    def __init__(
        self,
        ports: Sequence[str],
        broker: Callable[[], tuple[str, int]],
        find: Callable[[], Sequence[str]] = lambda: glob.glob(AUTO_PORTS),
    ) -> None:
        self.failure: Exception | None = None
        self._named = [split_port(port) for port in ports if port != AUTO]
        self._find = find if AUTO in ports else tuple
        self._broker = broker
        self._lines: dict[str, Line] = {}
        self._notices: deque[str] = deque(maxlen=64)
        self._stopping = threading.Event()

    def run(self) -> None:
        """Serve until `stop`."""
        try:
            while not self._stopping.is_set():
                for path, baud in self._wanted():
                    if path not in self._lines or not self._lines[path].is_alive():
                        line = self._lines[path] = Line(path, baud, self._broker, self._notices.append, self._stopping)
                        line.start()
                self._stopping.wait(LOOK_S)
        except Exception as error:
            self.failure = error
            raise
        finally:
            for line in self._lines.values():
                line.wake()
                line.join()

    def stop(self) -> None:
        self._stopping.set()

    def notices(self) -> list[str]:
        """What happened since the last call, for a person."""
        said = []
        while self._notices:
            said.append(self._notices.popleft())
        return said

    def joined(self) -> int:
        """How many boards have a connection to the broker."""
        return sum(line.is_joined for line in list(self._lines.values()))

    def _wanted(self) -> list[tuple[str, int]]:
        """A port that is named twice, or by a link too, is one."""
        found = {os.path.realpath(path): (path, BAUD) for path in self._find()}
        return list((found | {os.path.realpath(path): (path, baud) for path, baud in self._named}).values())


class Line(threading.Thread):
    """One port; ends when `stopping` is set and it is woken."""

    def __init__(
        self,
        path: str,
        baud: int,
        broker: Callable[[], tuple[str, int]],
        say: Callable[[str], object],
        stopping: threading.Event,
    ) -> None:
        super().__init__(name=f"serial {path}", daemon=True)
        self.is_joined = False
        self._path, self._baud, self._broker, self._stopping = path, baud, broker, stopping
        self._tell = say
        self._said = ""
        self._woken, self._waker = socket.socketpair()

    def wake(self) -> None:
        self._waker.send(b"\0")

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                with serial.Serial(self._path, self._baud, timeout=0, write_timeout=0, exclusive=True) as port:
                    self._say(f"serial port {self._path}: open; a board may speak there now")
                    self._serve(port.fileno())
            except (
                OSError,
                ValueError,
            ) as error:  # pyserial's are the first; the second is a baud that the port has not
                self._explain(error)
            select.select([self._woken], [], [], LOOK_S)

    def _serve(self, port: int) -> None:
        """Until the port fails or it is to end."""
        os.set_blocking(port, False)
        quiet_until_s, both = 0.0, list[Any]((port, self._woken))
        while not self._stopping.is_set():
            if port not in select.select(both, [], [], LOOK_S)[0]:
                continue
            said = _read(port)
            if said and time.monotonic() >= quiet_until_s:
                self._join_broker(port, said)
                quiet_until_s = time.monotonic() + REJOIN_S

    def _join_broker(self, port: int, said: bytes) -> None:
        """Pass on, until the broker ends the connection. OSError: the port failed."""
        try:
            link = socket.create_connection(self._broker(), timeout=CONNECT_S)
        except OSError:
            return  # the board tries again
        with link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.setblocking(False)
            self.is_joined = True
            try:
                self._pass_on(port, link, bytearray(said))
            finally:
                self.is_joined = False

    def _pass_on(self, port: int, link: socket.socket, up: bytearray) -> None:
        down = bytearray()
        while not self._stopping.is_set():
            reads: list[Any] = [self._woken]
            reads += [port] if len(up) < MAX_WAITING_BYTES else []
            reads += [link] if len(down) < MAX_WAITING_BYTES else []
            writes: list[Any] = ([link] if up else []) + ([port] if down else [])
            readable, writable, _ = select.select(reads, writes, [], LOOK_S)
            if port in readable:
                up += _read(port)
            if port in writable:
                del down[: os.write(port, down)]
            try:
                if link in readable:
                    if not (more := link.recv(PIECE_BYTES)):
                        return
                    down += more
                if link in writable:
                    del up[: link.send(up)]
            except BlockingIOError:
                continue
            except OSError:
                return

    def _explain(self, error: Exception) -> None:
        """Once for each cause, in words of what to do."""
        if not os.path.exists(self._path):
            self._say(f"serial port {self._path}: not plugged in; it is looked for each second")
        elif who := holders(os.path.realpath(self._path)):
            self._say(f"serial port {self._path}: {', '.join(who)} holds it; end that, and it is taken by itself")
        elif isinstance(error, PermissionError) or "ermission" in str(error):
            self._say(f"serial port {self._path}: not allowed; add this user to the group dialout, and sign in again")
        else:
            self._say(f"serial port {self._path}: {error}; plug it in again if this stays")

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._tell(text)


def _read(port: int) -> bytes:
    """What is there; b"" for nothing yet. OSError: the port is gone."""
    with contextlib.suppress(BlockingIOError):
        if said := os.read(port, PIECE_BYTES):
            return said
        raise OSError("the port is gone")
    return b""

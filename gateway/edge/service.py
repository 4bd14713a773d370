"""Tells systemd how a service is: READY, STATUS, WATCHDOG and STOPPING; says nothing where nobody listens.

One datagram a message to the socket that NOTIFY_SOCKET names; "@" begins an abstract one. The variable is taken out of
the environment, or mosquitto, which knows it too, would say that the gateway is ready. Source: sd_notify(3).
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping, MutableMapping

SHARE = 3  # of the watchdog's time that passes between two signs of life


class Service:
    """The service manager of this process, or none."""

    def __init__(
        self, environment: MutableMapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address, self._clock = environment.pop("NOTIFY_SOCKET", ""), clock
        self._pause_s = _watchdog_s(environment) / SHARE
        self._due_s = 0.0

    def ready(self, status: str) -> None:
        """It serves now; `status` is one line for `systemctl status`."""
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Call often: sends a sign of life when one is due, if the manager wants any."""
        now_s = self._clock()
        if self._pause_s and now_s >= self._due_s:
            self._due_s = now_s + self._pause_s
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            with contextlib.suppress(OSError):  # also where nobody reads: a gateway does not wait to be watched
                link.sendto(text.encode(), socket.MSG_DONTWAIT, address)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """WATCHDOG_USEC, if it is meant for this process; 0.0: nobody watches."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", str(os.getpid()))
    return int(usec) / 1e6 if usec.isascii() and usec.isdigit() and pid == str(os.getpid()) else 0.0

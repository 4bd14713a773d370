"""What a person sees of a long command: a line an event, a bar on a terminal, a line per 10 % elsewhere.

On stderr only: stdout belongs to the result. What a line looks like is logs.py's.
"""

import os
import sys
import threading
import time
from typing import Any, TextIO

from gateway.monitoring import logs
from gateway.text import printable

BAR_WIDTH = 24


class Progress:
    """Safe for several threads. Colour only on a terminal and without NO_COLOR.

    Attributes:
        style: logs.TEXT, or logs.JSON for an object a line and no bar.
    """

    def __init__(self, stream: TextIO = sys.stderr, started_s: float | None = None) -> None:
        self.style = logs.TEXT
        self._stream = stream
        self._started_s = time.monotonic() - (0.0 if started_s is None else time.time() - started_s)
        self._terminal = stream.isatty()
        self._dim, self._plain = ("\x1b[2m", "\x1b[0m") if self._terminal and "NO_COLOR" not in os.environ else ("", "")
        self._lock = threading.Lock()
        self._bar = ""
        self._tenth: dict[str, int] = {}

    def elapsed_s(self) -> float:
        """Seconds since the command began (since `make` began, when make says so)."""
        return time.monotonic() - self._started_s

    def say(self, text: str, level: str = "info", event: str = "said", **fields: Any) -> None:
        """One event, one line. `event` and `fields` (JSON values) are for who reads JSON."""
        with self._lock:
            self._clear()
            if self.style == logs.JSON:
                line = logs.json_line(time.time(), level, event, text, fields)
            else:
                line = f"{self._dim}{self.elapsed_s():7.1f} s{self._plain}  {printable(logs.hide_passwords(text))}"
            self._stream.write(line + "\n")
            self._stream.flush()

    def step(self, name: str, fraction: float) -> None:
        """How far a stage is, 0..1; the last call of a stage is with 1."""
        tenth = int(fraction * 10)
        if not self._terminal or self.style == logs.JSON:
            if tenth > self._tenth.get(name, 0):
                self._tenth[name] = tenth
                self.say(f"{name} {tenth * 10} %", event="progress", stage=name, percent=tenth * 10)
            return
        if fraction >= 1:
            self.say(name)
            return
        with self._lock:
            self._clear()
            filled = int(fraction * BAR_WIDTH)
            self._bar = f"           {name} [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {fraction:4.0%}"
            self._stream.write(self._bar)
            self._stream.flush()

    def _clear(self) -> None:
        if self._bar:
            self._stream.write("\r" + " " * len(self._bar) + "\r")
            self._bar = ""

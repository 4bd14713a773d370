"""Runs the site's helper processes again when they end, with growing pauses; refuses to hide that they ended.

A pause doubles from FIRST_PAUSE_S to LONGEST_PAUSE_S and starts anew once a child has run for STEADY_S.
Linux ends a child when the *thread* that started it ends (PR_SET_PDEATHSIG), so one thread starts and watches them all.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
STOP_S = 5.0
LOG_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Backoff:
    """When something that ended may be started again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause_s = FIRST_PAUSE_S
        self._started_s = clock()
        self._due_s: float | None = None

    def ended(self) -> bool:
        """Say, at each look, that it is not running; True once when it is to be started again."""
        now_s = self._clock()
        if self._due_s is None:
            if now_s - self._started_s >= STEADY_S:
                self._pause_s = FIRST_PAUSE_S
            self._due_s = now_s + self._pause_s
        if now_s < self._due_s:
            return False
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._started_s, self._due_s = now_s, None
        return True


class Child:
    """One process; its output goes to `log`, begun anew at a start once it is over LOG_BYTES; one before is kept.

    Each start takes its standard input from `stdin`: a descriptor, which is closed here.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, stdin: Callable[[], int] = lambda: subprocess.DEVNULL
    ) -> None:
        self.name = name
        self._command, self._log, self._stdin = command, log, stdin
        self._process: subprocess.Popen[bytes] | None = None
        self._backoff = Backoff()

    def start(self) -> None:
        """Start it. Call from a thread that lives as long as the site."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            os.replace(self._log, self._log.with_suffix(".log.1"))
        parent, stdin = os.getpid(), self._stdin()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=stdin,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is the site's, which ends its children in order
                preexec_fn=lambda: end_with(parent),
            )
        if stdin >= 0:
            os.close(stdin)

    def watch(self) -> str | None:
        """Start it again if it ended and its pause is over; what happened in words, or None."""
        code = self._process.poll() if self._process else None
        if code is None or not self._backoff.ended():
            return None
        self.start()
        return f"{self.name} ended (code {code}) and was started again"

    def stop(self) -> None:
        """End it and wait until it is gone."""
        if self._process is not None:
            end(self._process)
        self._process = None


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, make it after STOP_S, and wait until it is gone."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_with(parent: int) -> None:
    """In a new child: be ended by the system when process `parent` is gone, also if that happened just now."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)

"""The threads of a site; refuses to let one end unnoticed.

A part has `run`, which serves until `stop`, and `failure`, which says why `run` ended otherwise.
"""

import threading
from contextlib import ExitStack, suppress
from typing import Any, Protocol


class Part(Protocol):
    failure: Exception | None

    def stop(self) -> None: ...


class Threads:
    """`ends` has each thread stopped and waited for, the last started first."""

    def __init__(self, ends: ExitStack) -> None:
        self._ends = ends
        self._parts: list[Part] = []

    def start(self, name: str, part: Any, *given: Any) -> None:
        """Have `part.run(*given)` run in a thread of this name."""

        def quietly() -> None:
            with suppress(Exception):  # it is in `failure`, which `watch` raises
                part.run(*given)

        thread = threading.Thread(target=quietly, name=name, daemon=True)
        thread.start()
        self._parts.append(part)
        self._ends.callback(thread.join)
        self._ends.callback(part.stop)

    def watch(self) -> None:
        """Raise what a thread ended with."""
        for part in self._parts:
            if part.failure is not None:
                raise part.failure

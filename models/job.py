"""What a check asks of a board, and how a board says that it cannot; it runs nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from device.native.shared import Model


class CheckFailed(ValueError):
    """The check could not run; one line."""


class Skipped(Exception):
    """A board cannot run this model; the message says why."""


@dataclass(frozen=True)
class Job:
    """What every board is to run.

    model: the artifact on this machine. macs: multiply-accumulates of a run. largest: its largest tensor, for a person.
    seed, count: which inputs (models/inputs.py), how many. report: is called with a board and how far it is, 0..1.
    """

    artifact: bytes
    model: Model
    macs: int
    largest: str
    seed: int
    count: int
    report: Callable[[str, float], None]

    def too_large(self, size: int, what: str, room: int | str) -> str:
        """Why a board with less than `size` bytes of `what` is skipped."""
        return f"model needs {size} bytes of {what} (its largest: {self.largest}), wanted at most {room}"

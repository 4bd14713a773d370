"""What is known of one run of a job: who it is, what an engine sees of it, and the result that settlement reads.

A job's runs are numbered from 1 and no number is used twice, so that the name of a run can exist once.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from gateway.storage.folders import write_whole
from gateway.workloads.errors import WorkloadError
from gateway.workloads.workload import Workload

CREATED, RUNNING, ENDED = "created", "running", "ended"
MEASURED_BY = "measured by the gateway"
_NAME = re.compile(r"([a-z0-9-]{1,48})\.([1-9][0-9]{0,8})")


class Run(NamedTuple):
    """The number-th run of a job."""

    job: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.job}.{self.number}"


def parse_run(name: str) -> Run | None:
    """The run that a name is of, or None."""
    found = _NAME.fullmatch(name)
    return Run(found[1], int(found[2])) if found else None


def write_json(path: Path, value: object) -> None:
    """Write JSON so that whoever looks sees all of it or none, also after a power cut."""
    write_whole(path, [json.dumps(value).encode()])


@dataclass(frozen=True)
class Seen:
    """A run as its engine sees it now. pid: of its first process. reason: why it ended, where the engine knows."""

    run: Run
    state: str
    pid: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Usage:
    """What a run used. fuel: of WebAssembly, 0 for containers. peak_memory_bytes: with the files that it had open."""

    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    fuel: int = 0


@dataclass(frozen=True)
class Result:
    """What a run came to.

    escrow: 0x and 64 hex digits, or empty. ok: it ended by itself with 0. exit_code: None where there was none.
    ended_ms: when the gateway saw it. published: path of a scratch volume → CID. hasty: restart.Ended.
    """

    job: str
    run: int
    escrow: str
    ok: bool
    exit_code: int | None
    reason: str
    ended_ms: int
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    fuel: int
    published: dict[str, str]
    hasty: int
    measured_by: str = MEASURED_BY


class Place(NamedTuple):
    """What is there for a run: host paths of its volumes, and for a module its file."""

    volumes: tuple[tuple[Path, str, bool], ...] = ()
    """(path of this machine, path within the job, whether it may write)"""
    source: str = ""
    """Id of the image, or path of the module."""


class CannotStart(WorkloadError):
    """This run can never start; it counts as one that failed."""


class Engine(Protocol):
    """What runs jobs of one kind. All but CannotStart that it raises is Unavailable: try again later."""

    def runs(self) -> list[Seen]:
        """All runs that are there, ended ones until they are discarded."""

    def create(self, run: Run, workload: Workload, place: Place) -> None:
        """Have a run there; nothing happens if it is already."""

    def start(self, run: Run) -> None:
        """Let it run; nothing happens if it does or did."""

    def stop(self, run: Run) -> None:
        """Ask it to end, make it after a while."""

    def usage(self, run: Run) -> Usage:
        """What it used until now, or in all."""

    def discard(self, run: Run) -> None:
        """Remove what is left of an ended run; nothing happens if nothing is."""

"""Jobs that this gateway itself runs, [container] and [wasm]; gateway/workloads does it, opened by the first of them.

A job that is running is wanted there; one that is paused is not. What is wanted already is left alone, so this may be
told again at any time, and is after a restart.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.deeploy.desired import Entry
from gateway.deeploy.reconcile import RUNNING
from gateway.storage.r1fs import R1FS
from gateway.workloads.errors import Invalid, Unavailable
from gateway.workloads.errors import Refused as NotEnforced
from gateway.workloads.workload import parse

if TYPE_CHECKING:
    from gateway.workloads.service import Workloads

UNSEEN = {"state": "waiting", "finished": False, "reason": "", "health": "", "cpu_s": 0.0}


class WorkloadJobs:
    """Used under the service's lock.

    Args:
        folder: where they are kept. say: tells a person.
    """

    def __init__(self, folder: Path, r1fs: R1FS, say: Callable[[str], None] = lambda text: None) -> None:
        self._folder, self._r1fs, self._say = folder, r1fs, say
        self._workloads: Workloads | None = None
        self._told: dict[str, tuple[str, str]] = {}

    def follow(self, entries: Iterable[Entry]) -> dict[str, str]:
        """Want what jobs want; why not, by name of each that cannot be."""
        failed = {}
        for entry in entries:
            now = entry.document, entry.state
            if entry.job.workload is None or self._told.get(entry.job.name) == now:
                continue
            self._told[entry.job.name] = now
            try:
                if entry.state == RUNNING:
                    self._opened().apply(entry.job.name, parse(entry.job.workload))
                elif self._workloads is not None:
                    self._workloads.remove(entry.job.name)
            except (Invalid, Unavailable, NotEnforced) as error:
                failed[entry.job.name] = str(error)
        return failed

    def observed(self, entry: Entry) -> dict[str, Any]:
        """A job as it was at the last look: service.Observed as JSON values; UNSEEN before that."""
        is_told = self._told.get(entry.job.name) == (entry.document, entry.state)
        rows = self._workloads.observed() if self._workloads and is_told else []
        kind = next(iter(entry.job.workload or ""), "")
        return next((asdict(row) for row in rows if row.job == entry.job.name), {**UNSEEN, "kind": kind})

    def logs(self, name: str, tail: int) -> list[str]:
        """The last lines that a job wrote."""
        return self._workloads.logs(name, tail) if self._workloads else []

    def stop(self) -> None:
        """Let go of them; jobs go on."""
        if self._workloads is not None:
            self._workloads.stop()

    def _opened(self) -> "Workloads":
        if self._workloads is None:
            from gateway.workloads.service import Workloads

            self._workloads = Workloads(self._folder, self._r1fs, report=self._say)
            self._workloads.start()
        return self._workloads

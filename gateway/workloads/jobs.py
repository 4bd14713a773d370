"""What is kept of jobs and of their results, each change one write; runs nothing and knows no clock.

job/NAME            the table, whether it is wanted, the numbers of its runs
result/NAME/NUMBER  what a run came to (runs.Result); of unpaid ones the newest KEPT_RESULTS
"""

import json
import threading
from dataclasses import asdict, dataclass, replace
from typing import Any

from gateway.workloads.keep import Keep
from gateway.workloads.reconcile import Desired
from gateway.workloads.restart import Ended
from gateway.workloads.runs import Result, Run
from gateway.workloads.workload import Workload, parse

KEPT_RESULTS = 100


@dataclass(frozen=True)
class Job:
    """A job as it is kept. base, begun, finished: reconcile.Desired. stopping: the run that is being ended, and why."""

    name: str
    workload: Workload
    wanted: bool
    base: int = 0
    begun: int = 0
    stopping: tuple[int, str] = (0, "")
    last: Result | None = None

    def desired(self, held: str) -> Desired:
        last = self.last
        ended = Ended(last.ok, last.ended_ms, last.hasty) if last and last.run > self.base else None
        finished, limits = last.run if last else 0, self.workload.limits
        return Desired(
            self.name, self.wanted, self.base, self.begun, finished, ended, self.workload.restart, limits.time_s, held
        )


class Jobs:
    """The jobs of a gateway, for any thread. Every function that writes raises Unavailable; nothing changed then."""

    def __init__(self, keep: Keep) -> None:
        self._keep, self._lock = keep, threading.RLock()
        self._jobs: dict[str, Job] = {}
        for key, text in keep.ls("job/"):
            self._jobs[key[4:]] = self._read(key[4:], json.loads(text))

    def all(self) -> list[Job]:
        return list(self._jobs.values())

    def get(self, name: str) -> Job | None:
        return self._jobs.get(name)

    def apply(self, name: str, workload: Workload) -> None:
        """Want a workload; nothing happens if it is wanted already."""
        with self._lock:
            job = self._jobs.get(name)
            if job is None:
                self._put(Job(name, workload, True))
            elif not job.wanted or job.workload.table != workload.table:
                self._put(replace(job, workload=workload, wanted=True, base=job.begun))

    def remove(self, name: str) -> None:
        with self._lock:
            job = self._jobs.get(name)
            if job and job.wanted:
                self._put(replace(job, wanted=False))

    def begin(self, run: Run) -> None:
        with self._lock:
            self._put(replace(self._jobs[run.job], begun=run.number))

    def stopping(self, run: Run, reason: str) -> None:
        with self._lock:
            job = self._jobs.get(run.job)
            if job and job.stopping[0] != run.number:
                self._put(replace(job, stopping=(run.number, reason)))

    def finish(self, result: Result) -> None:
        """Keep a result; the same one again changes nothing."""
        with self._lock:
            self._keep.put(_key(result.job, result.run), json.dumps(asdict(result)))
            self._jobs[result.job] = replace(self._jobs[result.job], last=result)
            old = result.run - KEPT_RESULTS
            text = self._keep.get(_key(result.job, old)) if old > 0 else None
            if text and not json.loads(text)["escrow"]:
                self._keep.delete(_key(result.job, old))

    def results(self) -> list[Result]:
        """All that are kept, a job's oldest first."""
        return [Result(**json.loads(text)) for _, text in self._keep.ls("result/")]

    def _put(self, job: Job) -> None:
        row = {"table": job.workload.table, "wanted": job.wanted, "base": job.base, "begun": job.begun}
        self._keep.put(f"job/{job.name}", json.dumps(row | {"stopping": job.stopping}))
        self._jobs[job.name] = job

    def _read(self, name: str, row: dict[str, Any]) -> Job:
        workload = parse(row["table"])
        number, reason = row["stopping"]
        results = self._keep.ls(f"result/{name}/")
        last = Result(**json.loads(results[-1][1])) if results else None
        return Job(name, workload, row["wanted"], row["base"], row["begun"], (number, reason), last)


def _key(job: str, run: int) -> str:
    return f"result/{job}/{run:09d}"

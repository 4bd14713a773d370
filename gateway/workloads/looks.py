"""One look: what is there, what is to be done, doing it; an engine that does not answer holds up only its own jobs."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from gateway.storage.errors import StoreError
from gateway.workloads.containers import Containers
from gateway.workloads.effects import Effects
from gateway.workloads.errors import WorkloadError
from gateway.workloads.jobs import Job, Jobs
from gateway.workloads.reconcile import BEGIN, CREATE, STOP, Action, reconcile
from gateway.workloads.runs import RUNNING, Engine, Run, Seen, Usage
from gateway.workloads.watching import Watching

T = TypeVar("T")


class Looks:
    """Looks at engines for one folder's jobs. `seen` and `used` are of the last look, for any thread to read."""

    def __init__(
        self,
        jobs: Jobs,
        engines: dict[str, Engine],
        effects: Effects,
        watching: Watching | None,
        report: Callable[[str], None],
    ) -> None:
        self._jobs, self._engines, self._effects, self._watching = jobs, engines, effects, watching
        self._report = report
        self._troubles: dict[str, str] = {}
        self.seen: dict[Run, Seen] = {}
        self.used: dict[Run, Usage] = {}

    def look(self, held: Callable[[Job], str], now_ms: int) -> bool:
        """Look once and act; whether it is worth to look again at once. held: why a job's runs may not begin."""
        by_engine: dict[str, list[Seen]] = {}
        for kind, engine in self._engines.items():
            if (rows := self.guard(kind, engine.runs)) is not None:
                by_engine[kind] = rows
        owner = {row.run: self._engines[kind] for kind, rows in by_engine.items() for row in rows}
        self.seen = {row.run: row for rows in by_engine.values() for row in rows}
        jobs = {job.name: job for job in self._jobs.all() if job.workload.kind in by_engine}
        desired = [job.desired(held(job)) for job in jobs.values()]
        actions = reconcile(desired, self.seen.values(), self._sick(), now_ms)
        done = [self._act(action, owner) for action in actions]
        self._measure(owner)
        return any(done)

    def guard(self, name: str, step: Callable[[], T], settles: bool = True) -> T | None:
        """What a step gives, or None; what it could not do is told once, and it is tried again at the next look.

        settles: whether a step that is done ends the trouble that there was; one that only asks for something does not.
        """
        try:
            value = step()
        except (WorkloadError, StoreError, OSError) as error:
            if self._troubles.get(name) != str(error):
                self._report(f"jobs: {error}")
            self._troubles[name] = str(error)
            return None
        if settles:
            self._troubles.pop(name, None)
        return value

    def trouble(self, name: str) -> str:
        """What could not be done for a run or an engine at the last look, or empty."""
        return self._troubles.get(name, "")

    def _act(self, action: Action, owner: dict[Run, Engine]) -> bool:
        run, job = action.run, self._jobs.get(action.run.job)
        engine = owner.get(run) or self._engines[job.workload.kind if job else ""]

        def act() -> bool:
            self._effects.act(action, engine, self.seen.get(run))
            return action.kind not in (CREATE, STOP)

        return self.guard(run.name, act, settles=action.kind not in (BEGIN, CREATE)) or False

    def _sick(self) -> list[Run]:
        if self._watching is None:
            return []
        found = []
        for row in self.seen.values():
            job = self._jobs.get(row.run.job)
            if job and job.workload.health and row.state == RUNNING and row.run.number > job.base:
                found.append((row, job.workload.health))
        return self._watching.look(found)

    def _measure(self, owner: dict[Run, Engine]) -> None:
        """Read what running ones use and say."""
        self.used = {run: engine.usage(run) for run, engine in owner.items()}
        for run, engine in owner.items():
            job = self._jobs.get(run.job)
            if job and isinstance(engine, Containers) and self.seen[run].state == RUNNING:
                limit_bytes = job.workload.limits.log_bytes
                self.guard(f"log of {run.name}", partial(engine.follow, run, limit_bytes))

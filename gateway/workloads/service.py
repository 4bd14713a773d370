"""The jobs of a gateway, run by a thread: wanted here, observed here; refuses paid work where a limit does not hold.

    workloads = Workloads(SITE / "workloads", r1fs)
    workloads.start()                       # tries every limit, then goes on with the jobs that are kept
    workloads.apply("ping", parse(table))   # kept when this returns; warnings in words
    workloads.observed(); workloads.logs("ping", 20); workloads.usage()
    workloads.remove("ping")
    workloads.stop()                        # jobs go on; the next start finds them again

It may be killed at any point: see reconcile. The thread that starts podman's program ends it (gateway.children).
"""

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gateway.storage.r1fs import R1FS
from gateway.workloads import canary, logs
from gateway.workloads.canary import Finding
from gateway.workloads.containers import Containers
from gateway.workloads.effects import Effects
from gateway.workloads.errors import Refused, Unavailable
from gateway.workloads.health import HEALTHY
from gateway.workloads.jobs import Job, Jobs
from gateway.workloads.keep import Keep, SqliteKeep
from gateway.workloads.limits import CONTAINER, PROVEN, WASM
from gateway.workloads.looks import Looks
from gateway.workloads.podman import Podman
from gateway.workloads.restart import STEADY_MS, next_start
from gateway.workloads.runs import ENDED, Engine, Result, Run
from gateway.workloads.wasm_runs import WasmRuns
from gateway.workloads.watching import Watching
from gateway.workloads.workload import Workload, check_job, needed

TICK_S = 0.5
"""How often it is looked, besides at once after `apply` and `remove`."""
NAMES = {ENDED: "ending"}
"""What an engine's state of a run is to a job, whose run has ended when its result is kept."""


@dataclass(frozen=True)
class Observed:
    """A job as it is. health: health.Checked's, or empty. pid: of its first process, or 0.

    state: waiting (for its image or its pause), held (no run may begin), created, running, ending (its result is not
    kept yet), ended (well), failed (and is not started again), or removed. finished: whether it is known how it goes.
    """

    job: str
    kind: str
    wanted: bool
    run: int
    state: str
    finished: bool
    reason: str
    health: str
    since_ms: int
    pid: int
    cpu_s: float
    memory_bytes: int
    escrow: str


class Workloads:
    """All jobs of one folder. Any thread may call it; one folder is for one gateway."""

    def __init__(
        self,
        folder: Path,
        r1fs: R1FS,
        keep: Keep | None = None,
        report: Callable[[str], None] = lambda text: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises Unavailable: what is kept cannot be read."""
        folder = folder.resolve()
        (folder / "runs").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._report, self._clock = folder, report, clock
        self._keep = keep or SqliteKeep(folder / "jobs.sqlite")
        self._jobs = Jobs(self._keep)
        self._wasm = WasmRuns(folder / "runs")
        self._podman, self._containers, self._no_podman = self._new_podman()
        engines: dict[str, Engine] = {WASM: self._wasm}
        if self._containers:
            engines[CONTAINER] = self._containers
        self._watching = Watching(self._containers) if self._containers else None
        self._effects = Effects(folder, r1fs, self._keep, self._jobs, engines, clock)
        self._looks = Looks(self._jobs, engines, self._effects, self._watching, report)
        self._limits = {kind: self._kept_limits(kind) for kind in (CONTAINER, WASM)}
        self._tried, self._wake, self._ending = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="workloads")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and what it started; jobs go on."""
        self._ending.set()
        self._wake.set()
        self._thread.join()
        self._effects.close()
        if self._watching:
            self._watching.close()

    def apply(self, name: str, workload: Workload) -> list[str]:
        """Want a job; what is wanted already is left alone. Warnings in words.

        Raises:
            Invalid: the name. Unavailable: there is no podman, or it could not be kept. Refused: it is paid, and a
            limit does not hold on this machine. Nothing changed then.
        """
        check_job(name)
        if workload.kind == CONTAINER and self._podman is None:
            raise Unavailable(self._no_podman)
        missing = self.unenforced(workload)
        if workload.escrow and missing and self._tried.is_set():
            raise Refused(_paid(missing))
        self._jobs.apply(name, workload)
        self._wake.set()
        return [f"not enforced: {text}" for text in missing] if self._tried.is_set() else []

    def remove(self, name: str) -> None:
        """Want a job no more; nothing happens if nobody did. Unavailable: that could not be kept."""
        self._jobs.remove(name)
        self._wake.set()

    def observed(self) -> list[Observed]:
        """Each job that was ever applied, as it was at the last look."""
        return [self._observe(job) for job in self._jobs.all()]

    def logs(self, name: str, tail: int = 100) -> list[str]:
        """The last lines of a job's newest run that said something."""
        job = self._jobs.get(check_job(name))
        for number in range(job.begun if job else 0, 0, -1):
            if paths := logs.files(self._folder / "runs" / Run(name, number).name):
                return logs.tail(paths, tail)
        return []

    def usage(self) -> list[Result]:
        """What ended runs came to, with their escrow: what settlement reads."""
        return self._jobs.results()

    def limits(self, wait_s: float = 0.0) -> dict[str, dict[str, Finding]]:
        """{kind: {limit: finding}}: what the canary found; that of the last start until it has run again."""
        self._tried.wait(wait_s)
        return {kind: dict(findings) for kind, findings in self._limits.items()}

    def unenforced(self, workload: Workload) -> list[str]:
        """The limits that a workload needs and that do not hold here, each with what was seen."""
        found = self._limits[workload.kind]
        rows = [(name, found.get(name, Finding(False, "not tried yet"))) for name in needed(workload)]
        return [f"{name} ({finding.found})" for name, finding in rows if not finding.enforced]

    def _new_podman(self) -> tuple[Podman | None, Containers | None, str]:
        try:
            podman = Podman(self._folder / "podman")
        except Unavailable as error:
            return None, None, str(error)
        site = self._keep.get("site") or secrets.token_hex(8)
        self._keep.put("site", site)
        return podman, Containers(podman, f"/tinyren-{site}", self._folder / "runs"), ""

    def _run(self) -> None:
        try:
            if self._podman:
                self._looks.guard("podman", self._podman.start)
            self._try_limits()
            self._looks.guard("sweep", self._sweep)
            while not self._ending.is_set():
                self._wake.clear()
                if self._podman and (happened := self._podman.watch()):
                    self._report(happened)
                if not self._looks.look(self._held, int(1000 * self._clock())):
                    self._wake.wait(TICK_S)
        finally:
            if self._podman and self._containers:
                self._podman.stop()
                if not self._looks.seen:
                    self._podman.release()
                    self._containers.release()

    def _try_limits(self) -> None:
        if self._podman and self._containers:
            self._limits[CONTAINER] = canary.try_containers(self._podman, self._containers, self._folder / "runs")
        self._limits[WASM] = canary.try_wasm(self._wasm, self._folder / "runs")
        for kind, findings in self._limits.items():
            self._looks.guard("canary", partial(self._keep.put, f"canary/{kind}", json.dumps(findings)))
        self._tried.set()

    def _kept_limits(self, kind: str) -> dict[str, Finding]:
        if kind == CONTAINER and self._podman is None:
            return {name: Finding(False, self._no_podman) for name in PROVEN[kind]}
        return {name: Finding(*row) for name, row in json.loads(self._keep.get(f"canary/{kind}") or "{}").items()}

    def _sweep(self) -> None:
        rows = self._wasm.runs() + (self._containers.runs() if self._containers else [])
        seen = [row.run for row in rows]
        self._effects.sweep([*seen, *(Run(job.name, job.begun) for job in self._jobs.all())])

    def _held(self, job: Job) -> str:
        if not job.workload.escrow:
            return ""
        missing = self.unenforced(job.workload)
        return _paid(missing) if missing else ""

    def _observe(self, job: Job) -> Observed:
        run = Run(job.name, job.begun)
        seen, used = self._looks.seen.get(run), self._looks.used.get(run)
        checked = self._watching.of(run) if self._watching and seen else None
        is_there = seen is not None and (job.last is None or job.last.run < run.number)
        state, reason = (NAMES.get(seen.state, seen.state), seen.reason) if seen and is_there else self._idle(job)
        trouble = self._looks.trouble(run.name) or self._looks.trouble(job.workload.kind)
        health = checked.state if checked else ""
        up_ms = int(1000 * self._clock()) - seen.started_ms if seen and job.begun > job.base else 0
        return Observed(
            job=job.name,
            kind=job.workload.kind,
            wanted=job.wanted,
            run=job.begun,
            state=state,
            finished=is_finished(job.workload, state, health, up_ms),
            reason=trouble or (checked.reason if checked else "") or reason,
            health=health,
            since_ms=seen.started_ms if seen else 0,
            pid=seen.pid if seen else 0,
            cpu_s=used.cpu_s if used else 0.0,
            memory_bytes=used.peak_memory_bytes if used else 0,
            escrow=job.workload.escrow,
        )

    def _idle(self, job: Job) -> tuple[str, str]:
        """State and reason of a job of which nothing is there."""
        ended = job.desired("").ended
        last = f"run {job.last.run}: {job.last.reason}" if job.last else ""
        if not job.wanted:
            return "removed", last
        if job.workload.kind == CONTAINER and self._podman is None:
            return "held", self._no_podman
        if held := self._held(job):
            return "held", held
        if ended is None:
            return "waiting", "is prepared"
        due = next_start(job.workload.restart, ended)
        over = "ended" if ended.ok else "failed"
        return over if due.at_ms is None else "waiting", f"{last}; {due.reason}"


def is_finished(workload: Workload, state: str, health: str, up_ms: int) -> bool:
    """Whether it is known how a job goes: it is over, or may not begin, or serves: healthy, or up for STEADY_MS.

    A job that is never restarted does not serve: it is a task, whose end counts.
    """
    if state in ("ended", "failed", "held", "removed"):
        return True
    if state != "running" or workload.restart.policy == "never":
        return False
    return health == HEALTHY if workload.health else up_ms >= STEADY_MS


def _paid(missing: list[str]) -> str:
    return f"paid work needs limits that hold, and here do not: {'; '.join(missing)}"

"""Does what reconcile decided, one action at a time, each so that doing it again after a kill changes nothing.

What takes long (fetching content, loading images) is prepared in threads; an action whose preparation goes on is simply
decided again at the next look.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from gateway.storage.r1fs import R1FS
from gateway.workloads import logs
from gateway.workloads.containers import Containers
from gateway.workloads.errors import Refused
from gateway.workloads.jobs import Job, Jobs
from gateway.workloads.keep import Keep
from gateway.workloads.reconcile import BEGIN, CREATE, DISCARD, FINISH, START, STOP, Action
from gateway.workloads.restart import is_hasty
from gateway.workloads.runs import CannotStart, Engine, Place, Result, Run, Seen
from gateway.workloads.sources import MAX_MODULE_BYTES, check_module, fetch
from gateway.workloads.volumes import Volumes

THREADS = 2
KEPT_LOGS = 3


class Effects:
    """Acts on engines for one folder's jobs. `seen` names each run by the engine that has it."""

    def __init__(
        self, folder: Path, r1fs: R1FS, keep: Keep, jobs: Jobs, engines: dict[str, Engine], clock: Callable[[], float]
    ) -> None:
        self.volumes = Volumes(folder / "volumes", r1fs)
        self._modules, self._runs = folder / "modules", folder / "runs"
        self._modules.mkdir(parents=True, exist_ok=True)
        self._r1fs, self._keep, self._jobs, self._engines, self._clock = r1fs, keep, jobs, engines, clock
        self._threads = ThreadPoolExecutor(THREADS, "workload")
        self._preparing: dict[Run, Future[Place]] = {}

    def sweep(self, runs: Iterable[Run]) -> None:
        """Remove what no wanted job and none of these runs needs, and what a killed gateway left half fetched."""
        wanted = [job.workload for job in self._jobs.all() if job.wanted]
        self.volumes.sweep(runs, (volume.cid for workload in wanted for volume in workload.volumes if volume.cid))
        sources = {workload.source for workload in wanted}
        for path in self._modules.iterdir():
            if path.name not in sources:
                path.unlink()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def act(self, action: Action, engine: Engine, seen: Seen | None) -> None:
        """Do one action. Unavailable: not now; it is decided again."""
        kind, run, reason = action
        job = self._jobs.get(run.job)
        try:
            if kind in (BEGIN, CREATE) and job:
                if kind == BEGIN:
                    self._jobs.begin(run)
                self._create(run, job, engine)
            elif kind == START:
                engine.start(run)
            elif kind == STOP:
                self._jobs.stopping(run, reason)
                engine.stop(run)
            elif kind == FINISH and job and seen:
                self._finish(job, seen, engine)
            elif kind == DISCARD:
                self._discard(run, engine)
        except (CannotStart, Refused) as error:
            if job:
                now_ms = self._now_ms()
                self._finish(job, Seen(run, "", 0, now_ms, now_ms, None, f"could not start: {error}"), engine)
                self._discard(run, engine)

    def _create(self, run: Run, job: Job, engine: Engine) -> None:
        if run not in self._preparing:
            self._preparing[run] = self._threads.submit(self._prepare, run, job)
        future = self._preparing[run]
        if future.done():
            del self._preparing[run]
            engine.create(run, job.workload, future.result())

    def _prepare(self, run: Run, job: Job) -> Place:
        workload = job.workload
        engine = self._engines[workload.kind]
        source = self._image(job, engine) if isinstance(engine, Containers) else str(self._module(workload.source))
        return Place(self.volumes.prepare(run, workload), source)

    def _image(self, job: Job, engine: Containers) -> str:
        key = f"image/{job.workload.source}"
        known = self._keep.get(key) or ""
        found = engine.image(job.workload, self._fetched, known)
        if job.workload.is_by_cid and found != known:
            self._keep.put(key, found)
        return found

    def _module(self, cid: str) -> Path:
        path = self._modules / cid
        if not path.exists():
            fetched = self._fetched(cid, MAX_MODULE_BYTES)
            try:
                check_module(cid, fetched)
            except CannotStart:
                fetched.unlink()
                raise
            fetched.replace(path)
        return path

    def _fetched(self, cid: str, most_bytes: int) -> Path:
        return fetch(self._r1fs, cid, most_bytes, self._modules)

    def _finish(self, job: Job, seen: Seen, engine: Engine) -> None:
        """Keep what a run came to; only then may it be discarded."""
        run, workload = seen.run, job.workload
        if isinstance(engine, Containers):
            engine.follow(run, workload.limits.log_bytes)
        published, wrong = self.volumes.publish(run, workload)
        used = engine.usage(run)
        reason = job.stopping[1] if job.stopping[0] == run.number else seen.reason
        ok, ran_ms = seen.exit_code == 0 and job.stopping[0] != run.number, seen.ended_ms - seen.started_ms
        before = job.last.hasty if job.last and job.last.run > job.base else 0
        result = Result(
            job=run.job,
            run=run.number,
            escrow=workload.escrow,
            ok=ok,
            exit_code=seen.exit_code,
            reason="; ".join([reason, *wrong]),
            ended_ms=self._now_ms(),
            wall_s=ran_ms / 1000,
            cpu_s=used.cpu_s,
            peak_memory_bytes=used.peak_memory_bytes,
            fuel=used.fuel,
            published=published,
            hasty=before + 1 if is_hasty(ok, ran_ms) else 0,
        )
        self._jobs.finish(result)

    def _discard(self, run: Run, engine: Engine) -> None:
        self.volumes.release(run)
        engine.discard(run)
        old = run.number - KEPT_LOGS
        if old > 0:
            logs.remove(self._runs / Run(run.job, old).name)

    def _now_ms(self) -> int:
        return int(1000 * self._clock())

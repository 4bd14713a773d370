"""Does the health checks of running containers, in threads, and keeps what they came to; in memory only.

So a gateway that comes back knows of no failure, and a job that is well goes on.
"""

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from gateway.workloads.containers import Containers
from gateway.workloads.errors import Unavailable
from gateway.workloads.health import UNHEALTHY, Answer, Checked, check_http, check_tcp, is_due, judge
from gateway.workloads.runs import Run, Seen
from gateway.workloads.workload import Health

THREADS = 4


class Watching:
    """The health of all runs that have checks."""

    def __init__(self, engine: Containers) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(THREADS, "health")
        self._checked: dict[Run, Checked] = {}
        self._asked: dict[Run, Future[Answer | None]] = {}

    def look(self, running: Iterable[tuple[Seen, Health]]) -> list[Run]:
        """Take the answers that came, ask for those that are due; the runs that are unhealthy."""
        there = {seen.run: (seen, health) for seen, health in running}
        self._checked = {run: self._checked.get(run, Checked()) for run in there}
        for run in [run for run, future in self._asked.items() if future.done()]:
            answer = self._asked.pop(run).result()
            if run in there and answer:
                seen, health = there[run]
                self._checked[run] = judge(health, self._checked[run], answer, seen.started_ms)
        now_ms = int(1000 * time.time())
        for run, (seen, health) in there.items():
            if run not in self._asked and seen.pid and is_due(self._checked[run], now_ms):
                self._asked[run] = self._threads.submit(self._check, seen, health)
        return [run for run, checked in self._checked.items() if checked.state == UNHEALTHY]

    def of(self, run: Run) -> Checked | None:
        """What is known of a run's health; None where there are no checks."""
        return self._checked.get(run)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check(self, seen: Seen, health: Health) -> Answer | None:
        """One check; None where it could not be made, which says nothing of the job."""
        try:
            if health.tcp:
                reason = check_tcp(seen.pid, health.tcp, health.timeout_s)
            elif health.http:
                reason = check_http(seen.pid, health.http, health.timeout_s)
            else:
                reason = self._engine.run_inside(seen.run, health.command, health.timeout_s)
        except Unavailable:
            return None
        return Answer(reason, int(1000 * time.time()))

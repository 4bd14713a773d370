"""Decides what is to be done so that the runs that are there become those that are wanted; does nothing itself.

Rules:
1. A job has at most one run at a time. Its next one is begun only when the result of the last one is kept and nothing
   of it is left, so that a gateway that is killed at any point finds one run, and goes on with it.
2. A number is kept as begun before its run is created. One that is begun, has no result and is not there is created
   again with the same number, so that what it is called can exist once.
3. A run that goes on is left alone: only a time limit, three failed checks, a removal or another workload end it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.workloads.restart import Ended, Restart, next_start
from gateway.workloads.runs import CREATED, ENDED, RUNNING, Run, Seen

BEGIN, CREATE, START, STOP, FINISH, DISCARD = "begin", "create", "start", "stop", "finish", "discard"
TIME_GRACE_MS = 3_000


@dataclass(frozen=True)
class Desired:
    """What is kept of a job.

    base: the last number begun before this workload was applied, so runs up to it are another's. begun: the newest
    number. finished: the newest number whose result is kept. ended: of it, if it is above base. held: why no run may
    begin, or empty.
    """

    job: str
    wanted: bool
    base: int
    begun: int
    finished: int
    ended: Ended | None
    restart: Restart
    time_s: int
    held: str = ""


class Action(NamedTuple):
    """One thing to do; reason is for a person and stays with the result."""

    kind: str
    run: Run
    reason: str = ""


def reconcile(jobs: Iterable[Desired], seen: Iterable[Seen], sick: Iterable[Run], now_ms: int) -> list[Action]:
    """What is to be done now. sick: the runs whose health checks failed."""
    there: dict[str, list[Seen]] = {}
    for row in seen:
        there.setdefault(row.run.job, []).append(row)
    failing = set(sick)
    actions = []
    for job in jobs:
        rows = there.pop(job.job, [])
        actions += [action for row in rows if (action := _treat(job, row, row.run in failing, now_ms))]
        if not rows:
            actions += _next(job, now_ms)
    for rows in there.values():  # of jobs that nothing is known of
        for row in rows:
            running = row.state == RUNNING
            actions.append(Action(STOP if running else DISCARD, row.run, "no such job" if running else ""))
    return actions


def _treat(job: Desired, row: Seen, sick: bool, now_ms: int) -> Action | None:
    current = job.wanted and row.run.number > job.base
    if row.state == ENDED:
        return Action(DISCARD if row.run.number <= job.finished else FINISH, row.run)
    if row.state == CREATED:
        if not current or row.run.number <= job.finished:
            return Action(DISCARD, row.run)
        return None if job.held else Action(START, row.run)
    if not current:
        return Action(STOP, row.run, "replaced" if job.wanted else "removed")
    if now_ms - row.started_ms >= 1000 * job.time_s + TIME_GRACE_MS:  # the engine should have ended it
        return Action(STOP, row.run, f"time limit: ran for {job.time_s} s")
    return Action(STOP, row.run, "unhealthy") if sick else None


def _next(job: Desired, now_ms: int) -> list[Action]:
    if not job.wanted or job.held:
        return []
    if job.begun > max(job.finished, job.base):
        return [Action(CREATE, Run(job.job, job.begun))]
    due = next_start(job.restart, job.ended) if job.ended else None
    if due and (due.at_ms is None or now_ms < due.at_ms):
        return []
    return [Action(BEGIN, Run(job.job, job.begun + 1))]

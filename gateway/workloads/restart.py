"""Decides when a job that ended runs again; starts nothing and knows no clock.

A pause doubles from FIRST_PAUSE_MS to LONGEST_PAUSE_MS with each run in a row that failed or lasted under STEADY_MS.
"""

from dataclasses import dataclass
from typing import NamedTuple

POLICIES = ("never", "on-failure", "always")
FIRST_PAUSE_MS = 1_000
LONGEST_PAUSE_MS = 300_000
STEADY_MS = 60_000


@dataclass(frozen=True)
class Restart:
    """most: how often in a row a job may be started again after a failure or a short run."""

    policy: str = "on-failure"
    most: int = 5


class Ended(NamedTuple):
    """The newest run that ended. hasty: how many in a row, it included, failed or were short."""

    ok: bool
    ended_ms: int
    hasty: int


class Next(NamedTuple):
    """When a job runs again, or None for never, and why."""

    at_ms: int | None
    reason: str


def is_hasty(ok: bool, ran_ms: int) -> bool:
    """Whether a run counts towards the pause and towards `most`."""
    return not ok or ran_ms < STEADY_MS


def next_start(restart: Restart, ended: Ended) -> Next:
    """What a policy says after a run."""
    if restart.policy == "never":
        return Next(None, "done: it is never restarted")
    if restart.policy == "on-failure" and ended.ok:
        return Next(None, "done: it ended well")
    if ended.hasty > restart.most:
        return Next(
            None, f"given up: {ended.hasty} runs in a row failed or ended at once, at most {restart.most} restarts"
        )
    pause_ms = min(FIRST_PAUSE_MS << min(max(ended.hasty - 1, 0), 16), LONGEST_PAUSE_MS)
    return Next(ended.ended_ms + pause_ms, f"restarts after a pause of {pause_ms} ms")

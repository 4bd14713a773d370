"""How far a start of a site has come, and says so: every board here, epochs open, the first heartbeat, enough settled.

It opens and settles no epoch; it says whether one may be opened.
"""

from collections.abc import Callable, Sequence
from typing import Any

from gateway.intake.epochs import Epochs
from gateway.progress import Progress
from gateway.settlement.ledger import Settled
from gateway.settlement.settlement import Claim
from gateway.site.readiness import Readiness
from gateway.site.settling import tell
from gateway.site.status import Status


class Milestones:
    """What is reached is never lost again; the seconds go to `status.timings`.

    Args:
        first: the first epoch that this start may open; wanted: how many it is to settle, None for no end.
        notice: tells the operator what needs a look, as Progress.say what does not.
    """

    def __init__(
        self,
        status: Status,
        epochs: Epochs,
        readiness: Readiness,
        progress: Progress,
        first: int,
        wanted: int | None,
        notice: Callable[..., Any],
    ) -> None:
        self._status, self._epochs, self._readiness, self._progress = status, epochs, readiness, progress
        self._first, self._wanted, self._notice = first, wanted, notice
        self._settled = 0

    def turn(self, ids: Sequence[bytes | None]) -> bool:
        """Go on with the boards, whose ids are those that they have said; whether epochs may open since just now."""
        timings, was_ready = self._status.timings, self._readiness.is_ready
        if self._readiness.turn(ids) and timings.boot is None:
            timings.boot = self._progress.elapsed_s()
            if self._readiness.boards:
                self._progress.say("every board is here")
        if timings.first_heartbeat is None and self._status.heard():
            timings.first_heartbeat = self._progress.elapsed_s()
            self._progress.say("the first heartbeat is verified and stored")
        return self._readiness.is_ready and not was_ready

    def tell_ready(self) -> None:
        """Say that epochs are open."""
        self._progress.say(f"{self._readiness.words()}: epoch {self._epochs.windows.epoch}")
        if self._wanted is None:
            self._progress.say("Ctrl-C ends it; the same command goes on with it")

    def may_open(self, epoch: int) -> bool:
        return self._readiness.is_ready and (self._wanted is None or epoch < self._first + self._wanted)

    def settled(self, settled: Settled, claims: list[Claim]) -> None:
        """An epoch was settled, and `claims` paid with it."""
        timings = self._status.timings
        timings.first_root = timings.first_root or self._progress.elapsed_s()
        self._status.settled.append(settled)
        self._status.claims += claims
        self._settled += 1
        for text, event, fields in tell(settled, claims):
            (self._notice if event == "fraud" else self._progress.say)(text, event=event, **fields)

    def is_over(self) -> bool:
        """Whether all wanted epochs are settled."""
        return self._wanted is not None and self._settled >= self._wanted

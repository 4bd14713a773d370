"""When epochs may open: every board is there, bound and come with its account, or, after a while, without."""

from collections.abc import Callable, Sequence

from gateway.intake.dauth import DAuth
from gateway.progress import Progress

BOARDS_WAIT_S = 30.0


class Readiness:
    """Binds the boards of a start, until all are.

    Args:
        is_waiting: whether a device is bound and has not yet come with its account.
        binds: whether they are bound here; if not, epochs open when all are there, and each waits for its label.

    Attributes:
        is_ready: whether epochs may open; it stays so.
    """

    def __init__(
        self,
        dauth: DAuth,
        progress: Progress,
        boards: int,
        is_waiting: Callable[[bytes | None], bool],
        binds: bool = True,
    ) -> None:
        self._dauth, self._progress, self._boards, self._binds = dauth, progress, boards, binds
        self._is_waiting = is_waiting
        self._started_s = progress.elapsed_s()
        self._bound = 0
        self._is_complete = self.is_ready = False

    def turn(self, ids: Sequence[bytes | None]) -> bool:
        """Go on with binding; whether every board is here. `ids` are those that the boards have said."""
        if self._is_complete:
            return True
        here, waiting = self._dauth.turn(ids) if self._binds else (len(ids) - self._dauth.here(ids).count(None), 0)
        self._bound = here - waiting
        self._is_complete = self._bound == self._boards and not any(map(self._is_waiting, ids))
        self.is_ready |= self._is_complete or self._progress.elapsed_s() - self._started_s > BOARDS_WAIT_S
        return here == self._boards

    def words(self) -> str:
        if not self._boards:
            return "no emulated boards, waiting for devices"
        return f"{self._bound} of {self._boards} devices are ready"

"""When epochs may open: every board is there and bound, or, after a while, without those that are not."""

from collections.abc import Sequence

from gateway.dauth import DAuth
from gateway.progress import Progress

BOARDS_WAIT_S = 30.0


class Readiness:
    """Binds the boards of a start, until all are.

    Attributes:
        is_ready: whether epochs may open; it stays so.
    """

    def __init__(self, dauth: DAuth, progress: Progress, boards: int) -> None:
        self._dauth, self._progress, self._boards = dauth, progress, boards
        self._started_s = progress.elapsed_s()
        self._bound = 0
        self._is_complete = self.is_ready = False

    def turn(self, ids: Sequence[bytes | None]) -> bool:
        """Go on with binding; whether every board is here. `ids` are those that the boards have said."""
        if self._is_complete:
            return True
        here, waiting = self._dauth.turn(ids)
        self._bound = here - waiting
        self._is_complete = self._bound == self._boards
        self.is_ready |= self._is_complete or self._progress.elapsed_s() - self._started_s > BOARDS_WAIT_S
        return here == self._boards

    def words(self) -> str:
        return f"{self._bound} of {self._boards} devices"

"""When epochs may open: every board is there, bound and come with its account, or, after a while, without."""

from collections.abc import Sequence

from gateway.broker.device_accounts import DeviceAccounts
from gateway.intake.dauth import DAuth
from gateway.progress import Progress

BOARDS_WAIT_S = 30.0


class Readiness:
    """Binds the boards of a start, until all are.

    Args:
        accounts: with which a bound device is to come; None where the broker is another's.
        binds: whether they are bound here; if not, epochs open when all are there, and each waits for its label.

    Attributes:
        boards: how many there are to be. is_ready: whether epochs may open; it stays so.
    """

    def __init__(
        self,
        dauth: DAuth,
        progress: Progress,
        boards: int,
        accounts: DeviceAccounts | None,
        binds: bool = True,
    ) -> None:
        self._dauth, self._progress, self.boards, self._binds = dauth, progress, boards, binds
        self._accounts = accounts
        self._started_s = progress.elapsed_s()
        self._bound = 0
        self._is_complete = self.is_ready = False

    def turn(self, ids: Sequence[bytes | None]) -> bool:
        """Go on with binding; whether every board is here. `ids` are those that the boards have said."""
        if self._is_complete:
            return True
        here, waiting = self._dauth.turn(ids) if self._binds else (len(ids) - self._dauth.here(ids).count(None), 0)
        self._bound = here - waiting
        self._is_complete = self._bound == self.boards and not any(map(self._is_waiting, ids))
        self.is_ready |= self._is_complete or self._progress.elapsed_s() - self._started_s > BOARDS_WAIT_S
        return here == self.boards

    def words(self) -> str:
        if not self.boards:
            return "no emulated boards, waiting for devices"
        return f"{self._bound} of {self.boards} devices are ready"

    def _is_waiting(self, device: bytes | None) -> bool:
        """Whether it is bound and has not yet come with its account."""
        accounts = self._accounts
        return accounts is not None and device in self._dauth.owners() and not accounts.has_entered(device)

"""When a further gateway opens and closes epochs and windows, pure; knows no clock; opens no epoch of its own accord.

Rules:
1. The site's own gateway opens epochs and windows and states each (statements.Opened). What it states is done at once,
   with the same block, so that a device has one beacon wherever it is heard.
2. A window that it does not state within LATE_PART of its length is opened all the same, while the open epoch lasts: a
   gateway that is away costs nobody but who is heard by it alone. Windows late by more than half are not opened.
3. The open epoch ends when its time is over, LATE_PART of a window later than the site's own gateway would end it, or
   when that one states a later epoch. Only a stated epoch is opened, and those that were missed are passed over.
"""

from gateway.intake.windows import Step
from gateway.oracle.statements import Opened

LATE_PART = 4
LOOK_PART = 16
"""How often a window `due` is to be asked, so that what could not be done is tried again within it."""


class Following:
    """Where a further gateway stands in time; to gateway/intake/epochs.py what windows.Windows is.

    Attributes:
        epoch, opened_ms, window, count, window_ms: as those of windows.Windows.
    """

    def __init__(self) -> None:
        self.epoch, self.count, self.window_ms = 1, 1, 1_000
        self.opened_ms: int | None = None
        self.window = -1
        self._told: Opened | None = None
        self._told_ms = self._start_ms = 0
        self._is_over = False

    @property
    def planned(self) -> tuple[int, int]:
        """(count, window_ms) of the epoch to open."""
        return (self._told.count, self._told.window_ms) if self._told else (self.count, self.window_ms)

    def resume(self, count: int, window_ms: int, opened_ms: int, window: int, recorded_ms: int, now_ms: int) -> None:
        """Go on with epoch `self.epoch`; arguments as those of windows.Windows."""
        self.count, self.window_ms = count, window_ms
        self.opened_ms, self.window = opened_ms, window
        self._start_ms, self._is_over = opened_ms, now_ms < recorded_ms

    def heard(self, opened: Opened, now_ms: int) -> None:
        """The site's own gateway opened a window; what is not newer than what it said before changes nothing."""
        if self._told is None or (opened.epoch, opened.window) > (self._told.epoch, self._told.window):
            self._told_ms = now_ms  # first: another thread may ask meanwhile, and what is old has been done
            self._told = opened
            if self.opened_ms is not None and opened.epoch == self.epoch:
                self._start_ms = now_ms - opened.window * self.window_ms

    def due(self, now_ms: int) -> Step | None:
        """The next thing to do at this time, or None."""
        told = self._told
        if self.opened_ms is None:
            is_new = told and told.epoch >= self.epoch and now_ms - self._told_ms <= told.window_ms // 2
            return Step("open_epoch", told.epoch) if told and is_new else None
        if self._is_over or (told and told.epoch > self.epoch):
            return Step("close_epoch", self.epoch)
        if told and self.block(now_ms) is not None:
            return Step("open_window", self.epoch, told.window)
        window, late_ms = divmod(now_ms - self._start_ms - self.window_ms // LATE_PART, self.window_ms)
        if window >= self.count:
            return Step("close_epoch", self.epoch)
        if window > self.window and late_ms <= self.window_ms // 2 - self.window_ms // LATE_PART:
            return Step("open_window", self.epoch, window)
        return None

    def block(self, now_ms: int) -> int | None:
        """The block by which the window that is due was stated to be opened; None: the newest will do."""
        told = self._told
        if told is None or told.epoch != self.epoch or not self.window < told.window < self.count:
            return None
        return told.block if now_ms - self._told_ms <= self.window_ms // 2 else None

    def took(self, step: Step, now_ms: int) -> None:
        """The step was done at now_ms."""
        if step.kind == "open_window":
            self.window = step.window
        elif step.kind == "close_epoch":
            self.epoch, self.opened_ms = self.epoch + 1, None
        elif self._told is not None:
            self.count, self.window_ms = self.planned
            self.epoch, self.opened_ms, self.window, self._is_over = step.epoch, now_ms, -1, False
            self._start_ms = self._told_ms - self._told.window * self.window_ms

    def wake_ms(self, now_ms: int) -> int:
        """When `due` is to be asked again; what is heard is to be done at once."""
        return now_ms + max(1, self.window_ms // LOOK_PART)

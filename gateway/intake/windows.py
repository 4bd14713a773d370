"""When epochs and windows open and close, pure; knows no clock; refuses to open a window too late to be answered.

Rules:
1. Epoch N lasts `count` windows of window_ms from its opened_ms; the next opens at once. Window w is due at
   opened_ms + w * window_ms.
2. A window counts from when it was really opened. One that is late by more than half its length is not opened at all,
   for nobody could answer it at ease; windows that are not opened count for nobody.
3. Time only goes forward: it is the wall's once, when the gateway starts (`start_ms`), and the monotonic clock's from
   then on, so a wall clock that jumps while the gateway runs moves nothing.
4. After a restart an epoch goes on with the windows that remain and with its own `count` and window_ms, whatever the
   configuration says now. If its time is past, or if the wall is a window or more behind what the evidence recorded, it
   is closed with what it has and the next one opens: a wrong clock costs at most the epochs in which it was wrong.
"""

from dataclasses import dataclass
from typing import Literal

from device.agent import wire

MAX_WINDOWS = 0xFFFF


def beacon(block_hash: bytes, epoch: int, window: int) -> bytes:
    """The beacon, 14 bytes, of a window, from the hash (32 bytes) of the newest block when it opens (WIRE.md)."""
    return bytes(wire.make_beacon(epoch, window, block_hash))


def start_ms(wall_ms: int, recorded_ms: int, window_ms: int) -> int:
    """Where the site's time goes on: the wall's, or right after the recorded if the wall is less than a window late."""
    return recorded_ms + 1 if recorded_ms - window_ms < wall_ms <= recorded_ms else wall_ms


@dataclass(frozen=True)
class Step:
    """What is due. `window` is that of "open_window"."""

    kind: Literal["open_epoch", "open_window", "close_epoch"]
    epoch: int
    window: int = 0


class Windows:
    """Where the site stands in time: ask `due`, do it, then tell `took`.

    Args:
        count: windows an epoch (K), 1..65535.
        window_ms: length of a window.
        epoch: number of the next epoch to open.

    Attributes:
        planned: (count, window_ms) of the epochs to come; `count` and `window_ms` are the open one's.
        epoch, opened_ms: the open epoch, or the next one and None.
        window: the last that was opened in it, -1 for none.
    """

    def __init__(self, count: int, window_ms: int, epoch: int = 1) -> None:
        if not 1 <= count <= MAX_WINDOWS or window_ms < 1:
            raise ValueError(f"{count} windows of {window_ms} ms, wanted 1..{MAX_WINDOWS} of at least 1 ms")
        self.planned = count, window_ms
        self.count, self.window_ms = count, window_ms
        self.epoch = epoch
        self.opened_ms: int | None = None
        self.window = -1
        self._is_over = False

    def resume(self, count: int, window_ms: int, opened_ms: int, window: int, recorded_ms: int, now_ms: int) -> None:
        """Go on with epoch `self.epoch`, which is open since opened_ms.

        Args:
            count, window_ms: the epoch's own.
            window: the last that was opened, -1 for none.
            recorded_ms: the latest time that its evidence holds.
        """
        self.count, self.window_ms = count, window_ms
        self.opened_ms, self.window = opened_ms, window
        self._is_over = now_ms < recorded_ms

    def due(self, now_ms: int) -> Step | None:
        """The next thing to do at this time, or None."""
        if self.opened_ms is None:
            return Step("open_epoch", self.epoch)
        window, late_ms = divmod(now_ms - self.opened_ms, self.window_ms)
        if self._is_over or window >= self.count:
            return Step("close_epoch", self.epoch)
        if window > self.window and late_ms <= self.window_ms // 2:
            return Step("open_window", self.epoch, window)
        return None

    def took(self, step: Step, now_ms: int) -> None:
        """The step was done at now_ms."""
        if step.kind == "open_window":
            self.window = step.window
        elif step.kind == "open_epoch":
            self.count, self.window_ms = self.planned
            self.opened_ms, self.window, self._is_over = now_ms, -1, False
        else:
            self.epoch, self.opened_ms = self.epoch + 1, None

    def wake_ms(self, now_ms: int) -> int:
        """When `due` is to be asked again, later than now_ms: the next boundary between windows."""
        if self.opened_ms is None:
            return now_ms + self.window_ms
        return now_ms + self.window_ms - (now_ms - self.opened_ms) % self.window_ms

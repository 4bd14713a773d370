"""Opens and closes epochs and windows, on the disk and then on the bus; refuses to tell a beacon that is not recorded.

When is for `windows` to say. What each failure does, each counted and tried again at the next boundary:
1. No newest block, because the chain is away (`no_block`): the window is not opened and counts for nobody.
2. No space (`no_space`): the same; an epoch that cannot be closed for lack of space stays open, without windows.
After a restart the open epoch goes on: `resume` reads it back and counts what the registry had not saved.
"""

import time
from collections import Counter
from collections.abc import Callable

from gateway.intake.evidence import EpochWindows, Evidence, EvidenceFull, Window, heartbeats_path, last_epoch, read
from gateway.intake.ingest import Ingest
from gateway.intake.registry import Registry, RegistryFull
from gateway.intake.windows import Step, Windows, beacon, start_ms
from gateway.oracle.statements import Commitment, Opened
from gateway.site.following import Following

Block = tuple[int, bytes]
COMMIT_PART = 4
"""A window is committed when this part of the next one has passed."""


class ChainAway(Exception):
    """There is no newest block to be had now. Who gives `Epochs` its blocks raises this."""


class Clock:
    """The site's time in ms: set once, from then on monotonic (windows.py, rule 3)."""

    def __init__(self) -> None:
        self.set(time.time_ns() // 1_000_000)

    def set(self, now_ms: int) -> None:
        self._offset_ms = now_ms - time.monotonic_ns() // 1_000_000

    def at(self, monotonic_ms: int) -> int:
        """The site's time at a moment of the monotonic clock, which all processes share."""
        return self._offset_ms + monotonic_ms

    def __call__(self) -> int:
        return self._offset_ms + time.monotonic_ns() // 1_000_000


class Epochs:
    """The open epoch, driven by one thread that asks `turn` and, until `wake_ms`, need not ask again.

    Args:
        newest_block: (number, hash of 32 bytes) of the newest block; raises ChainAway.
        tell_beacon: publishes a beacon (14 bytes) and the window_ms for which it may be answered.
        on_closed: told the number of each epoch once it is closed.
        may_open: asked whether an epoch may be opened now; asked again at the next turn.
        tell_commitment: states to the oracles what the evidence was when a window was over (DESIGN.md D6).

    Attributes:
        newest: the window that was opened last, or None.
    """

    def __init__(
        self,
        evidence: Evidence,
        registry: Registry,
        ingest: Ingest,
        windows: Windows | Following,
        clock: Clock,
        newest_block: Callable[[], Block],
        tell_beacon: Callable[[bytes, int], None],
        on_closed: Callable[[int], None],
        may_open: Callable[[int], bool] = lambda epoch: True,
        tell_commitment: Callable[[Commitment], None] = lambda commitment: None,
    ) -> None:
        self.evidence, self.registry, self.ingest = evidence, registry, ingest
        self.windows, self.clock = windows, clock
        self._newest_block, self._tell_beacon, self._on_closed = newest_block, tell_beacon, on_closed
        self._may_open, self._tell_commitment = may_open, tell_commitment
        self._is_committed = True
        self._retry_ms = 0
        self.newest: Window | None = None

    def resume(self) -> None:
        """Go on where the evidence ends: count what the registry had not saved, open the windows again, set the clock.

        Raises:
            EvidenceDamaged: more of it is unreadable than a crash can tear.
        """
        opened = self.evidence.resume()
        newest = last_epoch(self.evidence.folder)
        self._recount(newest)
        self.windows.epoch = newest + 1 if opened is None else newest
        if opened is None:
            return
        recorded_ms = self._recorded_ms(opened)
        self.clock.set(start_ms(self.clock(), recorded_ms, opened.window_ms))
        self.newest = opened.windows[-1] if opened.windows else None
        number = self.newest.window if self.newest else -1
        self.windows.resume(opened.count, opened.window_ms, opened.opened_ms, number, recorded_ms, self.clock())
        for window in opened.windows[-2:]:
            self.ingest.open_window(window.beacon, window.opened_ms, opened.window_ms)

    def tell(self) -> None:
        """Tell the beacon of the window that was open before a restart, if its epoch is not over."""
        if self.newest and not self.closes():
            self._tell_beacon(self.newest.beacon, self.windows.window_ms)

    def closes(self) -> bool:
        """Whether the open epoch is to be closed now; what was received before belongs into it first."""
        step = self.windows.due(self.clock())
        return step is not None and step.kind == "close_epoch"

    def turn(self) -> None:
        """Do everything that is due."""
        while (now_ms := self.clock()) >= self._retry_ms and (step := self.windows.due(now_ms)) is not None:
            if step.kind == "open_epoch" and not self._may_open(step.epoch):
                return
            try:
                self._do(step, now_ms)
            except (EvidenceFull, RegistryFull):
                self._put_off("no_space", now_ms)
            except ChainAway:
                self._put_off("no_block", now_ms)

    def opened(self) -> Opened:
        """What is stated of the newest window to further gateways; there must be one."""
        assert self.newest is not None
        windows = self.windows
        return Opened(windows.epoch, self.newest.window, windows.count, windows.window_ms, self.newest.block)

    def commit(self) -> None:
        """State what the evidence of the windows before the newest is; call it when everything received is stored.

        It waits for a part of the window, so that nothing that came before is still on its way here.
        """
        if not self._is_committed and self.newest and self.clock() >= self._commit_ms(self.newest):
            self._commit(self.newest.window - 1)

    def wake_ms(self) -> int:
        """In how many ms `turn` and `commit` are to be asked again."""
        now_ms = self.clock()
        wake_ms = self.windows.wake_ms(now_ms)
        if not self._is_committed and self.newest:
            wake_ms = min(wake_ms, max(self._commit_ms(self.newest), now_ms + 1))
        return wake_ms - now_ms

    def save(self) -> None:
        """Save progress and counts up to the end of the evidence.

        Raises:
            RegistryFull: no space; the next call saves it all.
        """
        self.registry.save(self.windows.epoch, self.evidence.length_bytes)

    def _do(self, step: Step, now_ms: int) -> None:
        if step.kind == "open_epoch":
            self.evidence.open_epoch(step.epoch, *self.windows.planned, now_ms)
        elif step.kind == "open_window":
            self._open_window(step, now_ms)
        else:
            number, _ = self._newest_block()
            self.save()
            self._commit(self.windows.count - 1)
            self.evidence.close_epoch(now_ms, number)
            self.ingest.close_windows()
        self.windows.took(step, now_ms)
        if step.kind == "close_epoch":
            self._on_closed(step.epoch)

    def _open_window(self, step: Step, now_ms: int) -> None:
        number, block_hash = self._newest_block()
        window = Window(step.window, now_ms, number, block_hash, beacon(block_hash, step.epoch, step.window))
        self.save()
        self.evidence.open_window(window)
        self.ingest.open_window(window.beacon, now_ms, self.windows.window_ms)
        self.newest, self._is_committed = window, window.window == 0
        self._tell_beacon(window.beacon, self.windows.window_ms)

    def _commit_ms(self, newest: Window) -> int:
        return newest.opened_ms + self.windows.window_ms // COMMIT_PART

    def _commit(self, window: int) -> None:
        self._is_committed = True
        self._tell_commitment(Commitment(self.windows.epoch, window, *self.evidence.commitment()))

    def _put_off(self, reason: str, now_ms: int) -> None:
        self.registry.reject(Counter({reason: 1}))
        self._retry_ms = self.windows.wake_ms(now_ms)

    def _recount(self, newest: int) -> None:
        """Count the heartbeats behind the place that the registry saved, as a stream, each once."""
        epoch, offset = self.registry.counted
        for number in range(max(epoch, 1), newest + 1):
            path = heartbeats_path(self.evidence.folder, number)
            if not path.exists():  # a further gateway passes over what it did not hear
                continue
            for item in read(path, offset if number == epoch else 0):
                batch = self.ingest.recount([item])
                self.registry.advance(batch.progress, batch.heartbeats)
        if newest:
            end = heartbeats_path(self.evidence.folder, newest).stat().st_size
            self.registry.save(newest, end)

    def _recorded_ms(self, opened: EpochWindows) -> int:
        times = [opened.opened_ms, *(window.opened_ms for window in opened.windows)]
        times += [progress.last_ms for progress in self.registry.progress.values()]
        return max(times)

"""Which windows of a gateway's evidence were committed in time, judged by one oracle from what it saw; asks no clock.

In the next window a gateway states digest and length of its evidence so far. A commitment covers its window and those
before, so not every one need arrive. The chain is the clock: an oracle notes the newest block when one arrives. Window
w counts when a commitment that covers it, and that the evidence still has as a prefix, arrived
  1. before the chain reached the block of the window GRACE_WINDOWS + 2 places after w, or as many blocks after the
     close: in the next window, or inside the grace if nothing came between, which is how a gateway looks that was cut
     off;
  2. and no heartbeat that answers w lies behind the first such commitment: then it was added later, and w counts for
     nobody.
A gateway that says it was cut off and was not gains the grace and nothing more. Bound: blocks reach oracles within the
grace of reaching gateways.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.oracle.availability import Windows
from gateway.oracle.statements import Commitment

GRACE_WINDOWS = 2


@dataclass(frozen=True)
class Seen:
    """A commitment, and the number of the newest block that the oracle knew when it came."""

    commitment: Commitment
    block: int


def missing_windows(
    windows: Windows, seen: Iterable[Seen], answers: Iterable[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """Opened windows that do not count, as ranges (first, last), ascending and apart.

    Args:
        seen: those whose digest is that of the evidence's first bytes; of this gateway and epoch.
        answers: of each heartbeat that answers a window the offset behind it in its file, and the window.
    """
    ordered = sorted(seen, key=lambda item: (item.commitment.window, item.commitment.heartbeats_bytes))
    last_bytes: dict[int, int] = {}
    for end, window in answers:
        last_bytes[window] = max(end, last_bytes.get(window, 0))
    missing, place = [], 0
    for index, opened in enumerate(windows.opened):
        while place < len(ordered) and ordered[place].commitment.window < opened.window:
            place += 1
        after = index + 2 + GRACE_WINDOWS
        known = after < len(windows.opened)
        limit = windows.opened[after].block - 1 if known else windows.block + GRACE_WINDOWS + 2
        first = next((item for item in ordered[place:] if item.block <= limit), None)
        if first is None or last_bytes.get(opened.window, 0) > first.commitment.heartbeats_bytes:
            missing.append(opened.window)
    return as_ranges(missing)


def as_ranges(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as (first, last), apart."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return tuple(ranges)

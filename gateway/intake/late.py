"""What of a device arrived, live or late, and what did not, pure; it stores nothing and pays nothing.

Heartbeats and late records of a boot share one count of sequences (WIRE.md, 10). What arrived is kept as spans of it,
so that each (boot, sequence) is taken once and every one that is missing shows. Late records are no availability.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace

MAX_SPANS = 256

Span = tuple[int, int, int]
"""Boot, first and last sequence, all of which arrived."""


@dataclass(frozen=True)
class LateBatch:
    """Late records as their device signed them: all of one boot, sequences rising; `frame` is the COSE_Sign1."""

    device: bytes
    boot: int
    sequences: tuple[int, ...]
    dropped: int
    receipt_ms: int
    frame: bytes


@dataclass(frozen=True)
class Report:
    """What a device said of its last reset: why, and its last lines."""

    device: bytes
    boot: int
    reason: str
    lines: tuple[str, ...]
    receipt_ms: int
    frame: bytes


@dataclass(frozen=True)
class Account:
    """Counts of a device since ever, and what they follow from.

    Attributes:
        live, late: how many heartbeats and late records were taken.
        sequences: sum over its boots of the highest sequence that was seen.
        dropped: late records that it had to drop, by its newest batch.
        forgotten: late records that were taken and are no longer kept here.
        floor: (boot, sequence); nothing at or below it is taken any more.
        spans: what arrived above the floor, in order, no two of them adjoining.
    """

    live: int = 0
    late: int = 0
    sequences: int = 0
    dropped: int = 0
    forgotten: int = 0
    floor: tuple[int, int] = (0, 0)
    spans: tuple[Span, ...] = ()

    @property
    def missing(self) -> int:
        """Sequences that neither arrived nor were dropped, as far as later ones of their boots tell of them."""
        return max(0, self.sequences - self.live - self.late - self.dropped)

    def has(self, boot: int, sequence: int) -> bool:
        """Whether it arrived before, or is too old to tell."""
        at = bisect.bisect_right(self.spans, (boot, sequence, 1 << 32))
        return (boot, sequence) <= self.floor or (at > 0 and _holds(self.spans[at - 1], boot, sequence))

    def take_live(self, boot: int, sequence: int) -> "Account":
        """With a heartbeat; the same if it has it."""
        if self.has(boot, sequence):
            return self
        return replace(self._with(boot, sequence), live=self.live + 1)

    def take_late(self, boot: int, sequences: Sequence[int], dropped: int) -> "Account":
        """With those late records of a batch that it does not have, and what the device says to have dropped."""
        account = self
        for sequence in sequences:
            if not account.has(boot, sequence):
                account = replace(account._with(boot, sequence), late=account.late + 1)
        return replace(account, dropped=dropped)

    def _with(self, boot: int, sequence: int) -> "Account":
        at = bisect.bisect(self.spans, (boot, sequence, 0))
        highest = max((last for of, _, last in self.spans if of == boot), default=0)
        if boot == self.floor[0]:
            highest = max(highest, self.floor[1])
        before = at > 0 and _holds(self.spans[at - 1], boot, sequence - 1)
        behind = at < len(self.spans) and _holds(self.spans[at], boot, sequence + 1)
        first = self.spans[at - 1][1] if before else sequence
        last = self.spans[at][2] if behind else sequence
        spans = (*self.spans[: at - before], (boot, first, last), *self.spans[at + behind :])
        floor = self.floor
        if len(spans) > MAX_SPANS:
            floor, spans = (spans[0][0], spans[0][2]), spans[1:]
        return replace(self, spans=spans, floor=floor, sequences=self.sequences + max(0, sequence - highest))


def _holds(span: Span, boot: int, sequence: int) -> bool:
    return span[0] == boot and span[1] <= sequence <= span[2]

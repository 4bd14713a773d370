"""Which devices will soon lose work because nobody hears them, pure; it tells nobody.

A device that hears no gateway keeps records, for as many hours as it says in each heartbeat (WIRE.md 3, budget). While
nobody hears it those hours pass. So left = budget - hours since its last heartbeat, and a device is low when

1. left < least, where least = min(what the operator wants, half of the most that the device ever said): a device that
   holds two hours is not low all the time because the operator wants six. One that keeps nothing is never low by this.
2. or it has just dropped records: then it is low until it says a budget of `least` or more.

Each time that a device becomes low is one episode; what it does within one is no news.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Heard:
    """What is known of a device: the budget of its last heartbeat, when that came, records that it dropped ever."""

    budget_hours: int
    last_ms: int
    dropped: int


@dataclass(frozen=True)
class Low:
    """A device's state: the most hours it ever said, records dropped as of the last look, why it is low ("" if not).

    left_hours: until it loses work, by its last heartbeat; below 0 it does already.
    """

    most_hours: int
    dropped: int
    why: str = ""
    left_hours: float = 0.0


def judge(before: Mapping[str, Low], heard: Mapping[str, Heard], now_ms: int, wanted_hours: int) -> dict[str, Low]:
    """The state of each device that is known now; of one that is new, nothing is held against it but rule 1.

    Args:
        wanted_hours: 0: nobody wants to know, nobody is low.
    """
    return {
        device: _judge(before.get(device, Low(0, one.dropped)), one, now_ms, wanted_hours)
        for device, one in heard.items()
    }


def news(before: Mapping[str, Low], now: Mapping[str, Low]) -> Iterator[tuple[str, Low]]:
    """Devices that became low, and those that are no longer; one that is gone is no news."""
    for device, low in now.items():
        if bool(low.why) != bool(before[device].why if device in before else ""):
            yield device, low


def sentence(name: str, low: Low) -> str:
    """What a person is told of a piece of news, and what to do."""
    if not low.why:
        return f"{name} has room for its work again"
    return f"{name}: {low.why}; see that it has power and a link to this gateway"


def _judge(before: Low, heard: Heard, now_ms: int, wanted_hours: int) -> Low:
    most = max(before.most_hours, heard.budget_hours)
    least = min(wanted_hours, most // 2)
    silent_hours = max(0, now_ms - heard.last_ms) / HOUR_MS
    left = heard.budget_hours - silent_hours
    low = Low(most, heard.dropped, left_hours=round(left, 2))
    if not wanted_hours:
        return low
    if heard.dropped > before.dropped:
        return replace(low, why=f"it had to drop {heard.dropped - before.dropped} records of work that nobody heard")
    if least and left < least:
        when = f"in {max(0.0, left):.1f} h" if left > 0 else "now"
        silent = f"not heard for {silent_hours:.1f} h, it loses work {when}"
        room = f"it has room for {heard.budget_hours} h of work that nobody hears, of {most} h"
        return replace(low, why=silent if silent_hours >= 1 else room)
    if before.why and heard.budget_hours < max(1, least):
        return replace(low, why=before.why)
    return low

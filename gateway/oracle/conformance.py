"""Ratio1's own rule of availability on the same heartbeats, beside ours; for comparison, nobody is paid by it.

Ratio1 adds up the gaps between a node's heartbeats: one of more than 15 s or less than 5 s is not credited.
Availability is round(round(credited / length, 4) * 255), Python's rounding. It takes the sender's own times, whoever
signed; here it gets the gateway's receipt times of heartbeats that are signed, so the rule alone differs.

Source: Ratio1's public node software, as it credits epochs of 24 hours.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from gateway.oracle.availability import FULL, Heartbeat, Windows, score

LONGEST_MS, SHORTEST_MS = 15_000, 5_000


class Gaps(NamedTuple):
    """Gaps between heartbeats, as Ratio1 adds them up: credited time in ms, and how many are too short or too long."""

    credited_ms: int
    short: int
    long: int


class Compared(NamedTuple):
    """Availability of one device, 0..255 both: by our windows and by Ratio1's gaps; heartbeats: that it signed."""

    ours: int
    ratio1: int
    heartbeats: int
    gaps: Gaps


def gaps_of(times_ms: Iterable[int]) -> Gaps:
    """Of heartbeats at these times, in any order."""
    ordered = sorted(times_ms)
    found = [later - earlier for earlier, later in zip(ordered, ordered[1:], strict=False)]
    credited_ms = sum(gap for gap in found if SHORTEST_MS <= gap <= LONGEST_MS)
    return Gaps(credited_ms, sum(gap < SHORTEST_MS for gap in found), sum(gap > LONGEST_MS for gap in found))


def ratio1_availability(times_ms: Iterable[int], length_ms: int) -> int:
    """Of heartbeats at these times, in any order, in an epoch of this length."""
    return round(round(gaps_of(times_ms).credited_ms / length_ms, 4) * FULL)


def compare(
    windows: Windows,
    heartbeats: Iterable[Heartbeat],
    is_signed: Callable[[Heartbeat], bool],
    devices: Iterable[bytes],
) -> dict[bytes, Compared]:
    """Both availabilities of each device, as `availability.score` takes them."""
    known = list(devices)
    signed = [beat for beat in heartbeats if beat.device in known and is_signed(beat)]
    ours = score(windows, signed, lambda beat: True, known)
    times: dict[bytes, list[int]] = {device: [] for device in known}
    for beat in signed:
        times[beat.device].append(beat.receipt_ms)
    length_ms = windows.count * windows.window_ms
    return {
        device: Compared(ours[device], ratio1_availability(at_ms, length_ms), len(at_ms), gaps_of(at_ms))
        for device, at_ms in times.items()
    }


def reasons(found: Compared) -> list[str]:
    """Why the two differ, in words; none where they do not."""
    if found.ours == found.ratio1:
        return []
    said = []
    if found.gaps.short:
        said.append(f"Ratio1 credits no gap under {SHORTEST_MS // 1000} s: {found.gaps.short} were")
    if found.gaps.long:
        said.append(f"Ratio1 credits no gap over {LONGEST_MS // 1000} s: {found.gaps.long} were")
    if found.ours > found.ratio1:
        said.append("Ratio1 counts from the first heartbeat to the last, so an epoch's ends are not credited")
    else:
        said.append("a heartbeat that answers no open window counts for Ratio1 and not here")
    return said

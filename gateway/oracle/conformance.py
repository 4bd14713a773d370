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


class Compared(NamedTuple):
    """Availability, 0..255 both: by our windows, and by Ratio1's gaps."""

    ours: int
    ratio1: int


def ratio1_availability(times_ms: Iterable[int], length_ms: int) -> int:
    """Of heartbeats at these times, in any order, in an epoch of this length."""
    ordered = sorted(times_ms)
    gaps = (later - earlier for earlier, later in zip(ordered, ordered[1:], strict=False))
    credited_ms = sum(gap for gap in gaps if SHORTEST_MS <= gap <= LONGEST_MS)
    return round(round(credited_ms / length_ms, 4) * FULL)


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
    return {device: Compared(ours[device], ratio1_availability(times[device], length_ms)) for device in known}

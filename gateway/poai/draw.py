"""Which inferences are challenged, drawn from a block that nobody had when they were claimed; pure; no choice of ours.

    draw = SHA-256("tinyren challenge" | block hash | device | epoch u32 BE | window u16 BE)
    challenged if u64 BE of draw[0:8] < floor(2^64 * min(C, K) / K), K the windows of the epoch, C the challenges wanted
    which one:   first + (u64 BE of draw[8:16] mod units)        (bias below 2^-50)

1. The block is the one after the newest when the next window opened: a heartbeat had to be here before that window was
   opened, so the block is later, however seldom blocks come. The last window that was opened has no such block: what is
   claimed there is never a unit.
2. Each window is drawn by itself. With a fixed number of challenges a device that had its last one could rest.
3. The answer has to be received before the next window is over.
"""

import hashlib
from dataclasses import dataclass

from gateway.oracle.availability import Windows
from gateway.poai.claims import Claim

CHALLENGES = 14
"""Wanted in an epoch: who computes half is missed by all of them with a probability below e^-7 < 0.1 %."""
_U64 = 1 << 64


@dataclass(frozen=True)
class Turn:
    """When what was claimed in a window is challenged: after `block`, to be answered before until_ms (exclusive)."""

    block: int
    until_ms: int


def turns(windows: Windows) -> dict[int, Turn]:
    """The turn of each window that has one; windows: verified, in order.

    A turn whose block is not below that at which the epoch closed is none: its answer could be no evidence.
    """
    found = {}
    for window, after in zip(windows.opened, windows.opened[1:], strict=False):
        if after.block + 1 <= windows.block:
            found[window.window] = Turn(after.block + 1, after.opened_ms + windows.window_ms)
    return found


def draw(block_hash: bytes, claim: Claim, epoch: int, windows: int, challenges: int = CHALLENGES) -> int | None:
    """The inference of a claim that is challenged, first..count, or None.

    Args:
        block_hash: 32 bytes, of the turn's block. windows: K. challenges: C.
    """
    place = claim.device + epoch.to_bytes(4, "big") + claim.window.to_bytes(2, "big")
    drawn = hashlib.sha256(b"tinyren challenge" + block_hash + place).digest()
    if int.from_bytes(drawn[:8], "big") >= _U64 * min(challenges, windows) // windows:
        return None
    return claim.first + int.from_bytes(drawn[8:16], "big") % claim.units

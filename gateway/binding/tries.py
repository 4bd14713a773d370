"""How often a wrong code may be tried, pure: FREE times, then after pauses that double up to LONGEST_S.

Counted a device, or who asks for an admin session, in memory and by a monotonic clock, so no clock that jumps locks a
label; a restart gives FREE more of 2^40 codes. Of more than MOST that are counted, the one that rested longest is not.
"""

from gateway.binding.pending import Refused

FREE = 5
FIRST_S = 2.0
LONGEST_S = 3600.0
MOST = 4096


class Tries:
    """Wrong codes, by what they were tried for."""

    def __init__(self) -> None:
        self._wrong: dict[bytes, tuple[int, float]] = {}

    def check(self, counted: bytes, now_s: float) -> None:
        """Raises Refused: it is too early for another code."""
        left_s = self._wrong.get(counted, (0, now_s))[1] - now_s
        if left_s > 0:
            raise Refused("tries", f"too many wrong codes: wait {int(left_s) + 1} s, then compare it with the label")

    def failed(self, counted: bytes, now_s: float) -> None:
        """Count a wrong code."""
        count = self._wrong.pop(counted, (0, 0.0))[0] + 1
        if len(self._wrong) >= MOST:
            del self._wrong[next(iter(self._wrong))]
        pause_s = min(LONGEST_S, FIRST_S * 2.0 ** min(count - FREE, 32)) if count >= FREE else 0.0
        self._wrong[counted] = count, now_s + pause_s

    def passed(self, counted: bytes) -> None:
        """The code was right: what was wrong before is forgotten."""
        self._wrong.pop(counted, None)

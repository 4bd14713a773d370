"""Binds the site's devices to deeds: plans who gets which, asks the device and its owner to sign; decides no reward.

    id on the console ─▶ plan ─▶ bind message ─▶ device's signature ─▶ owner's signature ─▶ Devices.bind on chain

Only devices whose id the site read off its own boards are bound: an announce alone proves a key, not a board of ours.
Both sign the same EIP-712 struct; the chain checks both, so a wrong answer is refused there at the latest. A request is
sent again every RETRY_S until it is answered: messages may be lost and devices may restart.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

RETRY_S = 2.0
VALID_S = 3600
SLOTS = {1: 4, 2: 1}
MORE_SLOTS = 4
FIRST_DEEDS = (1, 1, 2, 1, 1)


@dataclass(frozen=True)
class PlannedDeed:
    """A deed the site mints: number, slots, and which of the site's owners (1 or 2) gets it."""

    number: int
    slots: int
    owner: int


def plan_deeds(devices: int) -> tuple[PlannedDeed, ...]:
    """Deeds for so many devices: 1 with four slots, 2 with one, then as many of four slots as it takes."""
    more = -(-max(0, devices - len(FIRST_DEEDS)) // MORE_SLOTS)
    return tuple(PlannedDeed(number, SLOTS.get(number, MORE_SLOTS), 2 - number % 2) for number in range(1, 3 + more))


def choose_deed(index: int) -> int:
    """Deed of the site's device number `index` (from 0): two in deed 1, the third in deed 2, then what is free."""
    return FIRST_DEEDS[index] if index < len(FIRST_DEEDS) else 3 + (index - len(FIRST_DEEDS)) // MORE_SLOTS


def assign(devices: Sequence[bytes | None], deeds: Mapping[int, tuple[int, tuple[bytes, ...]]]) -> dict[bytes, int]:
    """Which deed each unbound device gets: the planned one, or the first with a free slot.

    Args:
        devices: ids of the site's boards in their order; None for a board whose id is not known yet.
        deeds: (slots, ids of the devices in them) by number, on the chain now.
    """
    bound = {device for _, taken in deeds.values() for device in taken}
    free = {number: slots - len(taken) for number, (slots, taken) in deeds.items()}
    chosen = {}
    for index, device in enumerate(devices):
        if device is None or device in bound:
            continue
        order = sorted(free, key=lambda number: (number != choose_deed(index), number))
        number = next((number for number in order if free[number] > 0), None)
        if number is not None:
            free[number] -= 1
            chosen[device] = number
    return chosen


@dataclass
class Request:
    """A bind message on its way: for which deed, with which nonce and deadline (s), and when it was last sent."""

    deed: int
    nonce: int
    deadline_s: int
    sent_s: float


class Enrolment:
    """Requests that wait for a device's signature. Used by one thread.

    Args:
        ask: publishes a bind message: (device, deed, nonce, deadline in s).
        nonce_of: the chain's next nonce of a device.
        bind: (device, deed, nonce, deadline in s, device's signature) puts the binding on the chain.
        clock_s: seconds, monotonic; wall_s: seconds since 1970.
    """

    def __init__(
        self,
        ask: Callable[[bytes, int, int, int], None],
        nonce_of: Callable[[bytes], int],
        bind: Callable[[bytes, int, int, int, bytes], None],
        clock_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._ask, self._nonce_of, self._bind = ask, nonce_of, bind
        self._clock_s, self._wall_s = clock_s, wall_s
        self._requests: dict[bytes, Request] = {}

    def want(self, chosen: Mapping[bytes, int]) -> None:
        """Ask the devices of `chosen` (deed by device) that were not asked, and again those that did not answer."""
        now_s = self._clock_s()
        for device, deed in chosen.items():
            request = self._requests.get(device)
            if request is None or request.deed != deed:
                deadline_s = int(self._wall_s()) + VALID_S
                request = self._requests[device] = Request(deed, self._nonce_of(device), deadline_s, now_s - RETRY_S)
            if now_s - request.sent_s >= RETRY_S:
                request.sent_s = now_s
                self._ask(device, deed, request.nonce, request.deadline_s)

    def answered(self, answers: Iterable[tuple[bytes, int, bytes]]) -> list[bytes]:
        """Take (device, nonce, signature); who was asked is bound and returned, others are passed over."""
        bound = []
        for device, nonce, signature in answers:
            request = self._requests.get(device)
            if request is not None and request.nonce == nonce:
                self._bind(device, request.deed, nonce, request.deadline_s, signature)
                del self._requests[device]
                bound.append(device)
        return bound

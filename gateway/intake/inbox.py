"""Messages of devices between the bus's thread and the one that deals with them; refuses to grow without bound.

A message is acknowledged when it has been dealt with; one that found no room, without that, and counted.
"""

import threading
from collections import deque
from collections.abc import Callable

from gateway.broker.bus import Bus, Token

Item = tuple[str, bytes, int]


class Inbox:
    """A queue of (topic, payload, receipt time in ms).

    Args:
        most: messages that it holds. most_bytes: of a payload; of a longer one, only as much is kept as shows it.

    Attributes:
        wake: set when something came.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self.wake = threading.Event()
        self._most, self._kept_bytes = most, most_bytes + 1
        self._queue: deque[tuple[Item, Token]] = deque()
        self._dropped: deque[Token] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def offer(self, topic: str, payload: bytes, receipt_ms: int, token: Token) -> None:
        """Take a message from the bus, in its thread."""
        if len(self._queue) < self._most:
            self._queue.append(((topic, payload[: self._kept_bytes], receipt_ms), token))
        else:
            self._dropped.append(token)
        self.wake.set()

    def let_go(self, bus: Bus) -> int:
        """Acknowledge what found no room; how many that were."""
        count = len(self._dropped)
        for _ in range(count):
            bus.ack(self._dropped.popleft())
        return count

    def take(self, bus: Bus, most: int, deal: Callable[[list[Item]], None]) -> int:
        """Give the oldest messages to `deal`, at most so many, and then acknowledge them; how many that were."""
        taken = [self._queue.popleft() for _ in range(min(len(self._queue), most))]
        if taken:
            deal([item for item, _ in taken])
        for _, token in taken:
            bus.ack(token)
        return len(taken)

"""EDIL's own thread: messages of devices from the bus to the store; refuses to acknowledge before they are on the disk.

Bus thread -> bounded queue -> this thread, which takes whatever is there as one batch. What each failure does:
1. Crash before ciphertexts are synced: nothing was acknowledged, the device sends again.
2. Crash after it: the device sends again, the same bytes are `stored`.
3. Crash while closing: the round is open in the store, its deadline has passed, and it is closed again from the same
   ciphertexts with the same bytes.
4. No space: `space`, nothing is kept. A round that cannot be closed for lack of space takes nothing; it is tried again.
5. The clock jumps: within a run it is monotonic. Set back between runs it reopens nothing, because how a round ended is
   in the store; set forward it closes a round early, with everything that was acknowledged.
"""

import threading
from collections import Counter, deque

from device.agent import rounds
from gateway.aggregation.service import Aggregation
from gateway.aggregation.updates import Item
from gateway.bus import Bus, Token

TOPICS = ("tinyren/+/update", "tinyren/+/part", "tinyren/+/edil")
NAMES = tuple(topic.rsplit("/", 1)[1] for topic in TOPICS)
MAX_QUEUED = 16_384
MAX_BATCH = 4_096
MAX_PAYLOAD_BYTES = max(rounds.UPDATE_MAX_BYTES, rounds.PART_MAX_BYTES)
TURN_S = 0.2


class Receiver:
    """Messages in; what Aggregation does with them out.

    Attributes:
        failure: why `run` ended without being asked to, or None.
    """

    def __init__(self, aggregation: Aggregation) -> None:
        self.failure: Exception | None = None
        self._aggregation = aggregation
        self._queue: deque[tuple[Item, Token]] = deque()
        self._dropped: deque[Token] = deque()
        self._wake = threading.Event()
        self._is_stopping = False
        aggregation.on_change = self._wake.set

    def offer(self, topic: str, payload: bytes, receipt_ms: int, token: Token) -> None:
        """Take a message from the bus; of one that is too large, only as much as shows it."""
        if len(self._queue) < MAX_QUEUED:
            self._queue.append(((topic, payload[: MAX_PAYLOAD_BYTES + 1], receipt_ms), token))
        else:
            self._dropped.append(token)
        self._wake.set()

    def run(self, bus: Bus) -> None:
        """Serve until `stop`; what was offered by then is dealt with when this returns."""
        try:
            while not self._is_stopping:
                self._wake.clear()
                while self.take(bus):
                    pass
                if not self._aggregation.turn() and not self._queue:
                    self._wake.wait(TURN_S)
            while self.take(bus):
                pass
        except Exception as error:
            self.failure = error
            raise

    def stop(self) -> None:
        """Ask `run` to return."""
        self._is_stopping = True
        self._wake.set()

    def take(self, bus: Bus) -> int:
        """Deal with what is queued, at most MAX_BATCH messages; how many it was."""
        self._count_dropped(bus)
        taken = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]
        if taken:
            self._aggregation.take([item for item, _ in taken])
        for _, token in taken:
            bus.ack(token)
        return len(taken)

    def _count_dropped(self, bus: Bus) -> None:
        count = len(self._dropped)
        for _ in range(count):
            bus.ack(self._dropped.popleft())
        self._aggregation.rejected += Counter(overload=count)

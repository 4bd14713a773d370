"""Deeploy's own thread: devices' messages from the bus to the service, and what is due; refuses to acknowledge before.

Bus thread -> bounded queue -> this thread. What each failure does:
1. Crash before a message is dealt with: it was not acknowledged and comes again.
2. Crash after a request is stored: desired state has it, and this thread goes on from there. Before: it was refused.
3. Crash between a manifest that is sent and anything that the device says: it is sent again, the device knows it.
4. The store takes nothing (no space, cluster away): it is told, `store` counts it, the next turn tries again.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable

from device.agent import suit
from gateway.bus import Bus, Token
from gateway.deeploy.service import Deeploy, Item
from gateway.storage.cstore_record import CstoreError
from gateway.storage.errors import StoreError

TOPICS = ("tinyren/+/installed", "tinyren/+/want", "tinyren/+/output")
NAMES = tuple(topic.rsplit("/", 1)[1] for topic in TOPICS)
MAX_QUEUED = 4_096
MAX_BATCH = 64
MAX_PAYLOAD_BYTES = max(suit.INSTALLED_MAX_BYTES, suit.SMALL_MAX_BYTES, suit.OUTPUT_MAX_BYTES)
TURN_S = 1.0
FAILED_S = 2.0


class Receiver:
    """Messages in; what Deeploy does with them out.

    Attributes:
        deeploy: the service.
        failure: why `run` ended without being asked to, or None.
    """

    def __init__(self, deeploy: Deeploy, say: Callable[[str], None] = lambda text: None) -> None:
        self.failure: Exception | None = None
        self.deeploy, self._say = deeploy, say
        self._queue: deque[tuple[Item, Token]] = deque()
        self._dropped: deque[Token] = deque()
        self._wake = threading.Event()
        self._is_stopping = False
        self._told = ""
        deeploy.on_change = self._wake.set

    def offer(self, topic: str, payload: bytes, receipt_ms: int, token: Token) -> None:
        """Take a message from the bus; of one that is too large, only as much as shows it."""
        if len(self._queue) < MAX_QUEUED:
            self._queue.append(((topic, payload[: MAX_PAYLOAD_BYTES + 1], receipt_ms), token))
        else:
            self._dropped.append(token)
        self._wake.set()

    def run(self, bus: Bus) -> None:
        """Serve until `stop`."""
        try:
            while not self._is_stopping:
                self._wake.clear()
                while self.take(bus):
                    self._turn()
                if not self._turn() and not self._queue:
                    self._wake.wait(FAILED_S if self._told else TURN_S)
            self.take(bus)
            self.deeploy.stop()
        except Exception as error:
            self.failure = error
            raise

    def stop(self) -> None:
        """Ask `run` to return."""
        self._is_stopping = True
        self._wake.set()

    def take(self, bus: Bus) -> int:
        """Deal with what is queued, at most MAX_BATCH messages; how many it was."""
        count = len(self._dropped)
        for _ in range(count):
            bus.ack(self._dropped.popleft())
        self.deeploy.rejected += Counter(overload=count)
        taken = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]
        self.deeploy.take([item for item, _ in taken])
        for _, token in taken:
            bus.ack(token)
        return len(taken)

    def _turn(self) -> bool:
        """What is due; a store that fails is told once, and tried again."""
        try:
            did = self.deeploy.turn()
            self._told = ""
            return did
        except (StoreError, CstoreError) as error:
            if str(error) != self._told:
                self._told = str(error)
                self._say(f"jobs: {error}; it is tried again")
            return False

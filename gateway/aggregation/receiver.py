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

from collections import Counter

from device.agent import rounds
from gateway.aggregation.service import Aggregation
from gateway.broker.bus import Bus
from gateway.intake.inbox import Inbox

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
        self._inbox = Inbox(MAX_QUEUED, MAX_PAYLOAD_BYTES)
        self.offer = self._inbox.offer
        self._is_stopping = False
        aggregation.on_change = self._inbox.wake.set

    def run(self, bus: Bus) -> None:
        """Serve until `stop`; what was offered by then is dealt with when this returns."""
        try:
            while not self._is_stopping:
                self._inbox.wake.clear()
                while self.take(bus):
                    pass
                if not self._aggregation.turn() and not self._inbox:
                    self._inbox.wake.wait(TURN_S)
            while self.take(bus):
                pass
        except Exception as error:
            self.failure = error
            raise

    def stop(self) -> None:
        """Ask `run` to return."""
        self._is_stopping = True
        self._inbox.wake.set()

    def take(self, bus: Bus) -> int:
        """Deal with what is queued, at most MAX_BATCH messages; how many it was."""
        self._aggregation.rejected += Counter(overload=self._inbox.let_go(bus))
        return self._inbox.take(bus, MAX_BATCH, self._aggregation.take)

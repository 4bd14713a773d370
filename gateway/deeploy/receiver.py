"""Deeploy's own thread: devices' messages from the bus to the service, and what is due; refuses to acknowledge before.

Bus thread -> bounded queue -> this thread. What each failure does:
1. Crash before a message is dealt with: it was not acknowledged and comes again.
2. Crash after a request is stored: desired state has it, and this thread goes on from there. Before: it was refused.
3. Crash between a manifest that is sent and anything that the device says: it is sent again, the device knows it.
4. The store takes nothing (no space, cluster away): it is told, `store` counts it, the next turn tries again.
"""

from collections import Counter
from collections.abc import Callable

from device.agent import suit
from gateway.broker.bus import Bus
from gateway.deeploy.service import Deeploy
from gateway.intake.inbox import Inbox
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
        self._inbox = Inbox(MAX_QUEUED, MAX_PAYLOAD_BYTES)
        self.offer = self._inbox.offer
        self._is_stopping = False
        self._told = ""
        deeploy.on_change = self._inbox.wake.set

    def run(self, bus: Bus) -> None:
        """Serve until `stop`."""
        try:
            while not self._is_stopping:
                self._inbox.wake.clear()
                while self.take(bus):
                    self._turn()
                if not self._turn() and not self._inbox:
                    self._inbox.wake.wait(FAILED_S if self._told else TURN_S)
            self.take(bus)
            self.deeploy.stop()
        except Exception as error:
            self.failure = error
            raise

    def stop(self) -> None:
        """Ask `run` to return."""
        self._is_stopping = True
        self._inbox.wake.set()

    def take(self, bus: Bus) -> int:
        """Deal with what is queued, at most MAX_BATCH messages; how many it was."""
        self.deeploy.rejected += Counter(overload=self._inbox.let_go(bus))
        return self._inbox.take(bus, MAX_BATCH, self.deeploy.take)

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

"""The gateway's own thread: messages from the bus to `ingest`, then to the disk; refuses to acknowledge before.

Bus thread -> bounded queue -> this thread, which takes whatever is there as one batch. What each failure does:
1. Crash before the evidence is synced: nothing was acknowledged, the device sends again.
2. Crash after it: the device sends again, the bytes are known, so it is acknowledged again and stored once.
3. No space: nothing of the batch is stored or acknowledged, `no_space` counts it, the device sends again.
4. More messages than the queue holds: the newest are dropped and counted as `overload`.
"""

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future

from device.agent import wire
from gateway.broker.bus import Bus, Link
from gateway.intake.epochs import Epochs
from gateway.intake.evidence import EvidenceFull
from gateway.intake.ingest import MAX_PAYLOAD_BYTES, Batch, Item
from gateway.intake.registry import RegistryFull

MAX_QUEUED = 16_384
MAX_BATCH = 4_096
SUBSCRIBE_S = 0.5
NAMES = ("announce", "entered", "heartbeat", "late", "journal", "bound", "gone", "reveal")
TOPICS = tuple(f"tinyren/+/{name}" for name in NAMES)
BEACON_TOPIC = "tinyren/beacon"


class Intake:
    """Messages in; evidence, acknowledgements and calls out.

    Args:
        on_bound: told (id, nonce, signature) of each answer to a bind message; the signature is not checked here.
        on_gone: told the id of each device whose link ended. on_announced: of each that announced itself anew.
        on_entered: of each that came with its account.
        All are called on this thread.

    Attributes:
        failure: why `run` ended without being asked to, or None.
    """

    def __init__(
        self,
        on_bound: Callable[[bytes, int, bytes], None] = lambda device, nonce, signature: None,
        on_gone: Callable[[bytes], None] = lambda device: None,
        on_announced: Callable[[bytes], None] = lambda device: None,
        on_entered: Callable[[bytes], None] = lambda device: None,
    ) -> None:
        self.failure: Exception | None = None
        self._on_bound, self._on_gone = on_bound, on_gone
        self._on_announced, self._on_entered = on_announced, on_entered
        self._queue: deque[tuple[Item, object]] = deque()
        self._dropped: deque[object] = deque()
        self._checked: deque[tuple[int, bytes, Future[bool]]] = deque()
        self._wake = threading.Event()
        self._is_stopping = False

    def offer(self, topic: str, payload: bytes, receipt_ms: int, token: object) -> None:
        """Take a message, which the bus knows by `token`; of one that is too large, only as much as shows it."""
        if len(self._queue) < MAX_QUEUED:
            self._queue.append(((topic, payload[: MAX_PAYLOAD_BYTES + 1], receipt_ms), token))
        else:
            self._dropped.append(token)
        self._wake.set()

    def keep(self, frame: bytes, receipt_ms: int) -> Future[bool]:
        """Put a frame, which another part has checked whole, into the evidence of the open epoch; whether it is on the
        disk, once that is known: not if no epoch is open, or there is no space.
        """
        kept = Future[bool]()
        self._checked.append((receipt_ms, frame, kept))
        self._wake.set()
        return kept

    def run(self, bus: Link, epochs: Epochs) -> None:
        """Serve until `stop`; everything is saved when this returns. Nothing is told before answers can be received.

        Better have the bus subscribe to TOPICS before, and start boards after its `wait_subscribed`: a device announces
        itself when it connects, and an announce that nobody hears is lost.
        """
        bus.subscribe(*TOPICS)
        try:
            while not bus.wait_subscribed(SUBSCRIBE_S) and not self._is_stopping:
                pass
            epochs.tell()
            while not self._is_stopping:
                self._wake.clear()
                self.take(bus, epochs)
                while epochs.closes() and self.take(bus, epochs):
                    pass
                epochs.turn()
                if not self._queue and not self._checked:
                    epochs.commit()
                    self._wake.wait(epochs.wake_ms() / 1000)
            self.take(bus, epochs)
            with contextlib.suppress(RegistryFull):  # the next start counts again what is in the evidence
                epochs.save()
        except Exception as error:
            self.failure = error
            raise
        finally:
            epochs.evidence.release()

    def wake(self) -> None:
        """Have `run` look now at what is due."""
        self._wake.set()

    def stop(self) -> None:
        """Ask `run` to return."""
        self._is_stopping = True
        self._wake.set()

    def take(self, bus: Link, epochs: Epochs) -> int:
        """Deal with what is queued, at most MAX_BATCH messages; how many it was."""
        self._count_dropped(bus, epochs)
        taken = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]
        checked = [self._checked.popleft() for _ in range(len(self._checked))]
        if not taken and not checked:
            return 0
        batch = epochs.ingest.decide([item for item, _ in taken])
        is_open = epochs.ingest.is_open
        batch.stored += [(receipt_ms, frame) for receipt_ms, frame, _ in checked if is_open]
        store(batch, epochs)
        for _, _, kept in checked:
            kept.set_result(is_open and not batch.rejected["no_space"])
        for device, boot, sequence in batch.acks:
            bus.publish(wire.topic(device, "ack"), wire.encode_ack(boot, sequence))
        for late in batch.late:
            bus.publish(wire.topic(late.device, "late_ack"), wire.encode_ack(late.boot, late.sequences[-1]))
        for _, token in taken:
            bus.ack(token)
        for device, nonce, signature in batch.bound:
            self._on_bound(device, nonce, signature)
        for device in batch.gone:
            self._on_gone(device)
        for device in batch.announced:
            self._on_announced(device)
        for device in batch.entered:
            self._on_entered(device)
        return len(taken) + len(checked)

    def _count_dropped(self, bus: Link, epochs: Epochs) -> None:
        count = len(self._dropped)
        for _ in range(count):
            bus.ack(self._dropped.popleft())
        epochs.registry.reject(Counter(overload=count) if count else Counter())


def store(batch: Batch, epochs: Epochs) -> None:
    """Put on the disk what a batch leads to. Without space nothing of it counts and nothing is acknowledged."""
    try:
        epochs.registry.enroll(batch.announced.values())
        if batch.stored:
            epochs.evidence.append(batch.stored)
            epochs.ingest.challenges.update(dict.fromkeys(batch.revealed, True))
        epochs.registry.advance(batch.progress, batch.heartbeats)
    except (EvidenceFull, RegistryFull):
        batch.rejected["no_space"] += len(batch.stored) + len(batch.announced)
        batch.acks.clear()
    try:
        batch.rejected["replay"] += epochs.registry.late.keep(batch.late, epochs.clock())
        epochs.registry.late.keep_journals(batch.journals)
    except RegistryFull:
        batch.rejected["no_space"] += len(batch.late) + len(batch.journals)
        batch.late.clear()
    epochs.registry.reject(batch.rejected)


def tell_beacon(bus: Bus, beacon: bytes, window_ms: int) -> None:
    """Publish a beacon to every device, and keep it at the broker for those that connect later."""
    bus.publish(BEACON_TOPIC, wire.encode_beacon(beacon, window_ms), qos=1, retain=True)

"""Records of the windows in which nobody asked: kept while the gateway is away, sent when it is back; never evidence.

Rules (WIRE.md, "Late"):
  1. A window that ends without a beacon leaves a record, and so does a heartbeat that is given up. Both have sequences
     of the one count, so that what arrived, live or late, and what was dropped are all there was.
  2. Records leave in order, a batch at a time, while beacons come and no heartbeat waits. A batch is kept until the
     gateway's late_ack, which says that it is on its disk.
  3. A memory that fails costs the record, which is counted, and nothing else.
"""

from . import cose, reports, ticks, wire
from .cbor import const
from .errors import StoreError
from .ring import Ring

WINDOW_MS = const(60_000)  # until a beacon says how long one is
_WINDOW_LEAST_MS = const(1_000)
_WINDOW_MOST_MS = const(3_600_000)
RESEND_MS = const(5_000)
RESEND_MOST_MS = const(60_000)

_HOUR_MS = const(3_600_000)
_NO_BEACON = bytes(wire.BEACON_BYTES)


class Late:
    """ring (ring.Ring after open) and counts (kept, sent, and what the memory refused)."""

    def __init__(self, memory, identity, boot: int, client, now_ms: int):
        """
        Args:
            memory: as store.Store's, of ring.Ring's shape. boot: of this device, u32 from 1.
            client: mqtt.Client that publishes the batches.
        Raises:
            StoreError: the memory has another shape. OSError: as memory does.
        """
        self.ring = Ring(memory)
        self.ring.open()
        self.counts = {"kept": 0, "sent": 0, "store": 0}
        self._identity = identity
        self._boot = boot
        self._client = client
        self._beacon = _NO_BEACON
        self._window_ms = WINDOW_MS
        self._due_ms = ticks.add(now_ms, WINDOW_MS)
        self._is_heard = False
        self._frame = None
        self._last = (0, 0)  # of the batch that is sent: boot and its last sequence
        self._packet_id = 0
        self._sent_ms = now_ms
        self._wait_ms = RESEND_MS

    @property
    def budget(self) -> int:
        """Whole hours of windows without a beacon that have room, at most 23."""
        return min(wire.BUDGET_MAX_HOURS, self.ring.room * self._window_ms // _HOUR_MS)

    def hear(self, beacon: bytes, window_ms: int, now_ms: int):
        """A new beacon came, whose window has so many ms; the one after it is missed when it has ended, too."""
        self._beacon = beacon
        self._window_ms = min(_WINDOW_MOST_MS, max(_WINDOW_LEAST_MS, window_ms))
        self._due_ms = ticks.add(now_ms, 2 * self._window_ms)
        self._is_heard = True

    def is_missed(self, now_ms: int) -> bool:
        """Whether a window has just ended without a beacon. Asked again it is False, until the next has."""
        left_ms = ticks.diff(self._due_ms, now_ms)
        if 0 < left_ms <= 2 * self._window_ms:
            return False
        self._due_ms = ticks.add(now_ms, self._window_ms)
        self._is_heard = self._is_heard and left_ms > 0  # the clock went back: that says nothing of the gateway
        return left_ms <= 0

    def keep(self, record: bytes):
        """Keep a record (reports.pack_record), made after the last beacon that was heard."""
        try:
            self.ring.append(self._boot, self._beacon, record)
            self.counts["kept"] += 1
        except (OSError, StoreError):
            self.ring.lose()
            self.counts["store"] += 1

    def take_ack(self, payload):
        """A late_ack: the batch that it names is on the gateway's disk. Raises WireError."""
        if wire.decode_ack(payload) != self._last or self._frame is None:
            return
        self._client.forget(self._packet_id)
        self._frame = None
        try:
            self.ring.free()
        except (OSError, StoreError):
            self.counts["store"] += 1

    def tick(self, now_ms: int, is_quiet: bool):
        """Send what is due, if beacons come. is_quiet: no heartbeat waits for its ack."""
        if not self._is_heard or not is_quiet:
            return
        if self._frame is None:
            if self.ring.held and not self._client.queued:
                self._begin(now_ms)
        elif self._client.is_queued(self._packet_id):
            self._sent_ms = now_ms
        elif ticks.diff(now_ms, self._sent_ms) >= self._wait_ms:
            self._wait_ms = min(RESEND_MOST_MS, 2 * self._wait_ms)
            self._send(now_ms)

    def ms_left(self, now_ms: int) -> int:
        """Milliseconds until something is due, at least 0."""
        left = ticks.diff(self._due_ms, now_ms)
        if self._frame is not None and self._is_heard and not self._client.is_queued(self._packet_id):
            left = min(left, self._wait_ms - ticks.diff(now_ms, self._sent_ms))
        return max(0, left)

    def _begin(self, now_ms):
        try:
            batch = self.ring.batch(reports.BATCH_RECORDS)
        except OSError:
            self.counts["store"] += 1
            self._is_heard = False  # it is tried again after the next beacon
            return
        if batch:
            boot, beacon, records = batch
            payload = reports.encode_late(boot, beacon, self.ring.dropped, records)
            self._last = boot, int.from_bytes(records[-reports.RECORD_BYTES :][:4], "big")
            self._frame = cose.sign1(payload, self._identity.id, self._identity.sign)
            self._wait_ms = RESEND_MS
            self._send(now_ms)

    def _send(self, now_ms):
        self._packet_id = self._client.publish(wire.topic(self._identity.id, "late"), self._frame, now_ms)
        self._sent_ms = now_ms
        self.counts["sent"] += 1

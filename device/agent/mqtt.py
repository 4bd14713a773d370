"""An MQTT 3.1.1 client as a state machine over a byte stream, without I/O; refuses to believe that the peer is there.

What QoS 1 does when the network dies. A message given to `publish` is kept until the broker acknowledges it, and
lives through any number of broken connections: after each new one it is sent again, marked as a duplicate, in the old
order. So the broker gets it at least once and may get it twice, and receivers must not mind. It is kept in memory only:
a reset of the device loses it. At most QUEUE messages are kept; one more drops the oldest, and `counts["dropped"]` says
so. Sessions are clean: what the broker had for us while we were away is gone, except for retained messages.

The peer may vanish and come back without notice, and the stream may then hold the rest of an older session: on a UART
nobody tells. So silence is judged by what must come: CONNACK, SUBACK, PUBACK and PINGRESP within REPLY_MS. When one is
missing, or a byte comes that no broker may send in this state, everything of the connection is forgotten. After a time
that doubles with each failure, and after the stream has been quiet, it begins again with CONNECT.

  state        leaves to     when
  WAITING      CONNECTING    its time has come and the stream was quiet: sends CONNECT
  CONNECTING   SUBSCRIBING   CONNACK: sends SUBSCRIBE
  SUBSCRIBING  ONLINE        SUBACK: sends what is queued
  any other    WAITING       a reply is missing, a wrong byte came, the output is stuck, or the caller says `lost`
"""

from . import packets, ticks
from .cbor import const
from .errors import LocalError, PeerError

WAITING = const(0)
CONNECTING = const(1)
SUBSCRIBING = const(2)
ONLINE = const(3)

_MAX_PACKET_BYTES = const(640)
QUEUE = const(8)
INFLIGHT = const(4)
_KEEPALIVE_S = const(15)
PING_MS = const(7500)
REPLY_MS = const(5000)
_QUIET_MS = const(100)
QUIET_LIMIT_MS = const(2000)
_BACKOFF_MS = const(500)
_BACKOFF_LIMIT_MS = const(16000)
_REENTER_MS = const(1200)  # QEMU takes a second to connect a UART again

_OUT_BYTES = const(704)
_SUBSCRIBE_TOPICS = const(8)  # a packet: a topic of a device has up to 56 bytes
_OUT_RESERVE_BYTES = const(64)
_NOT_THIS_ACCOUNT = (b"\x00\x04", b"\x00\x05")


class Client:
    """counts (dict of int), sessions (how often ONLINE was reached), state, cause (which of counts the last failure is
    in; "" before one) and account (user, password), None for a stranger.
    """

    def __init__(self, client_id: str, will_topic: str, topics, deliver, entropy, now_ms: int):
        """
        Args:
            topics: topic filters to subscribe to with QoS 1.
            deliver: function (topic bytes, payload view, now_ms), called in feed for each message that arrives; the
                view is good until it returns. It must not raise.
            entropy: function that fills a buffer; spreads the reconnects of many devices.
        """
        self.state = WAITING
        self.sessions = 0
        self.cause = ""
        self.counts = {
            "connect": 0, "dropped": 0, "lost": 0, "oversize": 0, "protocol": 0, "refused": 0, "stuck": 0, "timeout": 0
        }  # fmt: skip
        self.account = None
        self._connect = self._as_stranger = packets.connect(client_id, _KEEPALIVE_S, will_topic)
        self._topics = topics
        self._deliver = deliver
        self._entropy = entropy
        self._reader = packets.Reader(_MAX_PACKET_BYTES)
        self._out = bytearray(_OUT_BYTES)
        self._out_start = self._out_end = 0
        self._queue = []
        self._packet_id = 0
        self._subscribe_id = self._granted = 0
        self._attempts = 0
        self._is_pinging = False
        self._due_ms = self._in_ms = self._out_ms = self._since_ms = now_ms

    # For the application

    def publish(self, topic: str, payload: bytes, now_ms: int, qos: int = 1) -> int:
        """Queue a message -> its packet id (QoS 1), or 0 (QoS 0: sent now, or dropped and counted).

        Raises:
            LocalError: the packet is too long ever to be sent.
        """
        packet_id = self._next_id() if qos else 0
        packet = packets.publish(topic, payload, packet_id)
        if len(packet) > _OUT_BYTES - _OUT_RESERVE_BYTES:
            raise LocalError(f"packet: got {len(packet)} bytes, wanted at most {_OUT_BYTES - _OUT_RESERVE_BYTES}")
        if not qos:
            if self.state != ONLINE or not self._put(packet, now_ms, _OUT_RESERVE_BYTES):
                self.counts["dropped"] += 1
            return 0
        if len(self._queue) == QUEUE:
            self._queue.pop(0)
            self.counts["dropped"] += 1
        self._queue.append(packets.Message(packet_id, packet))
        self._pump(now_ms)
        return packet_id

    @property
    def queued(self) -> int:
        """How many messages the broker has not yet acknowledged."""
        return len(self._queue)

    def is_queued(self, packet_id: int) -> bool:
        """Whether the broker has not yet acknowledged this message."""
        return any(message.packet_id == packet_id for message in self._queue)

    def forget(self, packet_id: int):
        """Take a message that is worth nothing any more out of the queue."""
        self._queue = [message for message in self._queue if message.packet_id != packet_id]

    def enter(self, client_id: str, will_topic: str, account, now_ms: int):
        """Come back as this account, (user, password), from now on; refused, as a stranger again."""
        self.account = account
        self._connect = packets.connect(client_id, _KEEPALIVE_S, will_topic, account)
        self._put(packets.DISCONNECT, now_ms)
        self._wait(_REENTER_MS, now_ms)

    # For the link

    def pending(self):
        """View of the bytes to be written; tell with `written` how many were."""
        return memoryview(self._out)[self._out_start : self._out_end]

    def written(self, size_bytes: int):
        self._out_start += size_bytes
        if self._out_start == self._out_end:
            self._out_start = self._out_end = 0

    def lost(self, now_ms: int):
        """The link knows that its connection is gone."""
        if self.state != WAITING:
            self._fail("lost", now_ms)

    def feed(self, data, now_ms: int):
        """Take bytes from the broker, in any portions. Never raises on what they hold."""
        self._in_ms = now_ms
        data = memoryview(data)
        at = 0
        try:
            while at < len(data) and self.state != WAITING:
                at = self._reader.read(data, at)
                if self._reader.is_whole:
                    self._take(now_ms)
                    self._reader.reset()
        except PeerError:
            self._fail("protocol", now_ms)

    def tick(self, now_ms: int):
        """Do what is due: CONNECT, PINGREQ, sending what waits, or giving a silent peer up."""
        if self.state == WAITING:
            late_ms = ticks.diff(now_ms, self._due_ms)
            if late_ms >= 0 and (ticks.diff(now_ms, self._in_ms) >= _QUIET_MS or late_ms >= QUIET_LIMIT_MS):
                self._begin(now_ms)
        elif self._reply_ms_left(now_ms) <= 0:
            self._fail("timeout", now_ms)
        elif self.state == ONLINE:
            if not self._is_pinging and self._ping_ms_left(now_ms) <= 0 and self._put(packets.PINGREQ, now_ms):
                self._is_pinging = True
                self._since_ms = now_ms
            self._pump(now_ms)

    def ms_left(self, now_ms: int) -> int:
        """Milliseconds until tick has something to do, at least 0."""
        if self.state == WAITING:
            quiet_ms = _QUIET_MS - ticks.diff(now_ms, self._in_ms)
            return max(0, ticks.diff(self._due_ms, now_ms), min(quiet_ms, _QUIET_MS))
        left = self._reply_ms_left(now_ms)
        if self.state == ONLINE and not self._is_pinging:
            left = min(left, self._ping_ms_left(now_ms))
        return max(0, left)

    # Connection

    def _begin(self, now_ms):
        self.counts["connect"] += 1
        self._attempts += 1
        self._out_start = self._out_end = 0
        self._reader.reset()
        self._put(self._connect, now_ms)
        self.state = CONNECTING
        self._since_ms = now_ms

    def _fail(self, cause, now_ms):
        self.counts[cause] += 1
        self.cause = cause
        self._out_start = self._out_end = 0
        backoff_ms = min(_BACKOFF_LIMIT_MS, _BACKOFF_MS << min(max(self._attempts - 1, 0), 8))
        chance = bytearray(2)
        self._entropy(chance)
        self._wait(backoff_ms // 2 + (backoff_ms // 2 * (chance[0] << 8 | chance[1]) >> 16), now_ms)

    def _wait(self, pause_ms, now_ms):
        """Until the next CONNECT."""
        self.state = WAITING
        self._is_pinging = False
        for message in self._queue:
            message.unsend()
        self._due_ms = ticks.add(now_ms, pause_ms)
        self._in_ms = now_ms

    def _reply_ms_left(self, now_ms):
        """Milliseconds until the oldest reply that is missing is given up; without one, a long time."""
        since = None
        if self.state != ONLINE or self._is_pinging:
            since = self._since_ms
        for message in self._queue:
            if message.is_sent and (since is None or ticks.diff(message.sent_ms, since) < 0):
                since = message.sent_ms
        return ticks.HALF if since is None else REPLY_MS - ticks.diff(now_ms, since)

    def _ping_ms_left(self, now_ms):
        return PING_MS - max(ticks.diff(now_ms, self._in_ms), ticks.diff(now_ms, self._out_ms))

    # Packets

    def _take(self, now_ms):
        """Act on the whole packet in the reader. Raises PeerError if this state does not allow it."""
        kind = self._reader.head & 0xF0
        body = self._reader.body
        if kind == packets.PUBLISH and self.state >= SUBSCRIBING:
            self._take_publish(body, now_ms)
        elif kind == packets.CONNACK and self.state == CONNECTING and bytes(body) == b"\x00\x00":
            self.state = SUBSCRIBING
            self._granted = 0
            self._subscribe(now_ms)
        elif kind == packets.CONNACK and self.state == CONNECTING and self.account and bytes(body) in _NOT_THIS_ACCOUNT:
            self.account, self._connect = None, self._as_stranger
            self._fail("refused", now_ms)
        elif kind == packets.SUBACK and self.state == SUBSCRIBING and self._is_granted(body):
            self._granted += len(body) - 2
            if self._granted < len(self._topics):
                self._subscribe(now_ms)
                return
            self.state = ONLINE
            self.sessions += 1
            self._attempts = 0
            self._pump(now_ms)
        elif kind == packets.PUBACK and self.state == ONLINE and len(body) == 2:
            self.forget(body[0] << 8 | body[1])
            self._pump(now_ms)
        elif kind == packets.PINGRESP and self.state == ONLINE and not len(body):
            self._is_pinging = False
        else:
            raise PeerError(f"packet: got {kind:#x} of {len(body)} bytes in state {self.state}, wanted another")

    def _subscribe(self, now_ms):
        """SUBSCRIBE to the next topic filters, as many as fit into the output."""
        self._subscribe_id = self._next_id()
        part = list(self._topics)[self._granted : self._granted + _SUBSCRIBE_TOPICS]
        self._put(packets.subscribe(self._subscribe_id, part), now_ms)
        self._since_ms = now_ms

    def _is_granted(self, body):
        granted = bytes(body[2:])
        return (
            len(body) == 2 + min(_SUBSCRIBE_TOPICS, len(self._topics) - self._granted)
            and body[0] << 8 | body[1] == self._subscribe_id
            and all(qos <= 1 for qos in granted)
        )

    def _take_publish(self, body, now_ms):
        topic, packet_id, payload = packets.split_publish(self._reader.head, body)
        if self._reader.is_cut:
            self.counts["oversize"] += 1
        else:
            self._deliver(topic, payload, now_ms)
        if packet_id and self.state != WAITING and not self._put(packets.puback(packet_id), now_ms):
            self._fail("stuck", now_ms)

    def _pump(self, now_ms):
        """Send queued messages in order while the output has room and few are unacknowledged."""
        if self.state != ONLINE:
            return
        for message in self._queue[:INFLIGHT]:
            if not message.is_sent:
                if not self._put(message.packet, now_ms, _OUT_RESERVE_BYTES):
                    return
                message.is_sent = True
                message.sent_ms = now_ms

    def _put(self, packet, now_ms, reserve_bytes=0):
        """Append a packet to the output if it fits whole and leaves the reserve -> whether it did."""
        if self._out_end - self._out_start + len(packet) > _OUT_BYTES - reserve_bytes:
            return False
        if self._out_end + len(packet) > _OUT_BYTES:
            size = self._out_end - self._out_start
            self._out[:size] = self._out[self._out_start : self._out_end]
            self._out_start, self._out_end = 0, size
        self._out[self._out_end : self._out_end + len(packet)] = packet
        self._out_end += len(packet)
        self._out_ms = now_ms
        return True

    def _next_id(self):
        """A packet id from 1 that no queued message has."""
        while True:
            self._packet_id = self._packet_id % 0xFFFF + 1
            if not self.is_queued(self._packet_id):
                return self._packet_id

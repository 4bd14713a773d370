"""The agent: a synchronous state machine that answers beacons, binds to one owner and runs its encoder; it does no I/O.

Rules (WIRE.md):
  1. One heartbeat a beacon, and none for a beacon that is not later than the last answered in this boot.
  2. An unacknowledged heartbeat that the broker has is sent again each 1,500 ms, the same bytes, until a newer beacon.
  3. A binding is signed only for this board, and for the stored owner or, if there is none, the first who asks; the
     owner is stored before the signature leaves.
  4. After each connection, and when the samples' source changes, the device announces what it is.
  5. What EDIL.md specifies is `edil`'s, which is loaded by the first message for it: 4 KB of heap that many never need.
     So is `reveal`, by the first challenge.
Foreign bytes change nothing but `counts`.
"""

from . import eip712, mqtt, ticks, wire
from .cbor import const
from .errors import StoreError, WireError

BEACON_TOPIC = "tinyren/beacon"
EDIL_NAMES = ("enrol", "round", "label", "taken")
RESEND_MS = const(1500)

_NO_OWNER = bytes(20)


class Agent:
    """client (mqtt.Client, to be joined with a link), identity, sequence (of the last heartbeat), counts, and edil
    (edil.Edil, None until a message for it comes).
    """

    def __init__(self, identity, store, sampler, model_cid: bytes, port, now_ms: int, vector=None):
        """
        Args:
            identity: identity.Identity. store: store.Store after open. sampler: sampling.Sampler.
            model_cid: 36 bytes, binary CIDv1 of the encoder.
            port: has BOARD, CORE, VERSION, entropy and keccak256, and what edil.Edil needs, as `_tinyren`.
            vector: of edil.Edil.
        """
        self.sequence = 0
        self.counts = {"answered": 0, "old_beacon": 0, "refused": 0, "resent": 0, "store": 0, "unacknowledged": 0}
        self.identity = identity
        self._store = store
        self._sampler = sampler
        self._model_cid = model_cid
        self._port = port
        self._announced = (0, "")
        self._last_beacon = (-1, -1)
        self._frame = None
        self._packet_id = 0
        self._sent_ms = now_ms
        self._receivers = {
            BEACON_TOPIC.encode(): self._take_beacon,
            self._topic("ack").encode(): self._take_ack,
            self._topic("bind").encode(): self._take_bind,
            self._topic("samples").encode(): self._take_samples,
            self._topic("challenge").encode(): self._take_challenge,
        }
        for name in EDIL_NAMES:
            self._receivers[self._topic(name).encode()] = self._edil_receiver(name)
        topics = [topic.decode() for topic in self._receivers]
        client_id = self._topic("gone").split("/")[1]
        self.client = mqtt.Client(client_id, self._topic("gone"), topics, self.receive, port.entropy, now_ms)
        self.edil = None
        self._vector = vector
        self._revealer = None

    @property
    def boot(self) -> int:
        """Which boot of this device this is."""
        return self._store.boot

    def tick(self, now_ms: int):
        """Do what is due."""
        self.client.tick(now_ms)
        self._sampler.tick(now_ms)
        if self.edil:
            self.edil.tick(now_ms)
        if self.client.state == mqtt.ONLINE:
            self._announce(now_ms)
            self._resend(now_ms)

    def ms_left(self, now_ms: int) -> int:
        """Milliseconds until tick has something to do, at least 0."""
        left = min(self.client.ms_left(now_ms), self._sampler.ms_left(now_ms))
        if self._is_delivered():
            left = min(left, max(0, RESEND_MS - ticks.diff(now_ms, self._sent_ms)))
        return left

    def receive(self, topic: bytes, payload, now_ms: int):
        """Take a message. A wrong one is counted as refused and changes nothing else."""
        try:
            self._receivers[topic](payload, now_ms)
        except (KeyError, WireError):
            self.counts["refused"] += 1
        except StoreError:
            self.counts["store"] += 1

    def _topic(self, name):
        return wire.topic(self.identity.id, name)

    def _edil_receiver(self, name):
        return lambda payload, now_ms: self._load_edil().receive(name, payload, now_ms)

    def _load_edil(self):
        if self.edil is None:
            from .edil import Edil

            self.edil = Edil(
                self.identity, self._store, self._sampler, self._model_cid, self.client, self._port, self._vector
            )
        return self.edil

    def _announce(self, now_ms):
        name = self._sampler.source.name
        if self._announced == (self.client.sessions, name):
            return
        self._announced = (self.client.sessions, name)
        port = self._port
        frame = wire.sign_announce(
            self.identity.id,
            self.identity.sign,
            port.BOARD,
            self.boot,
            port.VERSION,
            port.CORE,
            self._model_cid,
            self.identity.public_key,
            name,
        )
        self.client.publish(self._topic("announce"), frame, now_ms)

    def _take_beacon(self, payload, now_ms):
        beacon, _ = wire.decode_beacon(payload)
        number = wire.split_beacon(beacon)
        if number <= self._last_beacon:
            self.counts["old_beacon"] += 1
            return
        self._give_up()
        self._last_beacon = number
        self.sequence += 1
        self._frame = wire.sign_heartbeat(
            self.identity.id,
            self.identity.sign,
            beacon,
            self.boot,
            self.sequence,
            self._model_cid,
            self._sampler.count,
            self._sampler.chain,
        )
        self._sampler.pin()
        self._send(now_ms)
        self.counts["answered"] += 1

    def _take_ack(self, payload, now_ms):
        if wire.decode_ack(payload) == (self.boot, self.sequence) and self._frame:
            self.client.forget(self._packet_id)
            self._frame = None

    def _take_bind(self, payload, now_ms):
        chain_id, contract, deed, owner, board, nonce, deadline = wire.decode_bind(payload)
        if board != self._port.BOARD:
            raise WireError("malformed", f"board: got {board}, wanted {self._port.BOARD}")
        if owner == _NO_OWNER or self._store.owner not in (None, owner):
            raise WireError("malformed", "owner: got another, wanted the stored one, and not zero")
        if self._store.owner is None:
            self._store.bind(owner)
        digest = eip712.binding_digest(
            self._port.keccak256, chain_id, contract, deed, self.identity.id, owner, board, nonce, deadline
        )
        signature = self.identity.sign(digest)
        bound = wire.encode_bound(nonce, signature[:64] + bytes([27 + signature[64]]))
        self.client.publish(self._topic("bound"), bound, now_ms)

    def _take_samples(self, payload, now_ms):
        name, samples = wire.decode_samples(payload)
        push = getattr(self._sampler.source, "push", None)
        if push is None:
            raise WireError("malformed", "samples: got some, wanted none: this device has its own sensors")
        push(name, samples)

    def _take_challenge(self, payload, now_ms):
        if self._revealer is None:
            from .reveal import Revealer

            self._revealer = Revealer(self.identity, self._sampler, self.boot, self.client)
        self._revealer.receive(payload, self.sequence, now_ms)

    def _send(self, now_ms):
        self._packet_id = self.client.publish(self._topic("heartbeat"), self._frame, now_ms)
        self._sent_ms = now_ms

    def _resend(self, now_ms):
        if not self._is_delivered():
            self._sent_ms = now_ms
        elif ticks.diff(now_ms, self._sent_ms) >= RESEND_MS:
            self._send(now_ms)
            self.counts["resent"] += 1

    def _is_delivered(self):
        """Whether a heartbeat waits for its ack while the broker has it; before that, MQTT itself sends it again."""
        return self._frame is not None and not self.client.is_queued(self._packet_id)

    def _give_up(self):
        if self._frame is not None:
            self.client.forget(self._packet_id)
            self.counts["unacknowledged"] += 1

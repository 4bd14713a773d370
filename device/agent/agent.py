"""The agent: a synchronous state machine that answers beacons, binds to one owner and runs its encoder; it does no I/O.

Rules (WIRE.md):
  1. One heartbeat a beacon, and none for a beacon that is not later than the last answered in this boot.
  2. An unacknowledged heartbeat that the broker has is sent again each 1,500 ms, the same bytes, until a newer beacon.
  3. Whom it belongs to is `owner`'s. One that is released begins anew once the broker has its answer, so that nothing
     of the old owner's is left.
  4. After each connection, and when the samples' source changes, the device announces what it is.
  5. What EDIL.md specifies is `edil`'s, which is loaded by the first message for it: 4 KB of heap that many never need.
     So is what UPDATE.md specifies, `install`'s, unless this device ever took an update, and `reveal`, by the first
     challenge.
  6. The first ack of a boot tells the core (boot.Boot) that what runs is good.
  7. A window without a beacon leaves a late record, and so does a heartbeat that is given up (late.py), if there is a
     ring for them. What went wrong stands in the journal, which is told after the next connection.
  8. `light` shows which device this is; what switches it is the core's, who sets `switch` (function of is_on, or None).
Foreign bytes change nothing but `counts`.
"""

from . import mqtt, reports, ticks, wire
from .cbor import const
from .errors import StoreError, WireError
from .late import Late
from .topics import Topics
from .version import VERSION

EDIL_NAMES = ("enrol", "round", "label", "taken")
INSTALL_NAMES = ("trust", "manifest", "chunk")
NAMES = (
    "beacon", "ack", "bind", "release", "account", "samples", "challenge", "identify",
    "enrol", "round", "label", "taken", "trust", "manifest", "chunk", "late_ack",
)  # fmt: skip
RESEND_MS = const(1500)


class Agent:
    """client (mqtt.Client, to be joined with a link), identity, sequence (of the last heartbeat), counts, and edil
    (edil.Edil) and install (install.Install), None until a message for them comes, output (output.Output or None) and
    reader, the key (33 bytes) that answers to challenges are sealed to, or None.
    """

    def __init__(self, identity, store, sampler, model_cid: bytes, port, now_ms: int, vector=None, boot=None,
                 ring=None, journal=None):  # fmt: skip
        """
        Args:
            identity: identity.Identity. store: store.Store after open. sampler: sampling.Sampler.
            model_cid: 36 bytes, binary CIDv1 of the encoder.
            port: has BOARD, CORE, VERSION, entropy and keccak256, and what edil.Edil needs, as `_tinyren`.
            vector: of edil.Edil. boot: boot.Boot, or None on a device that takes no updates.
            ring: memory for late records (late.Late), or None. journal: journal.Journal, or None.
        Raises:
            StoreError: the ring's memory has a wrong shape. OSError: it cannot be read.
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
        self._record = None
        self._released = 0  # packet id of the answer to a release
        self.light = self.switch = None
        self._acked = 0  # in which session the gateway was last heard
        self._uptime = ticks.Uptime(now_ms)
        names = NAMES
        if not (boot and ring):  # else it is the constant, which takes no heap
            lacks = (() if boot else INSTALL_NAMES) + (() if ring else ("late_ack",))
            names = tuple([name for name in NAMES if name not in lacks])
        self._topics = topics = Topics(identity.id, names)
        gone = topics.own("gone")
        self.client = mqtt.Client(gone.split("/")[1], gone, topics, self.receive, port.entropy, now_ms)
        self.late = Late(ring, identity, self.boot, self.client, now_ms) if ring else None
        self.journal = journal
        if journal:
            journal.join(self.client, self._tell_journal)
        self.edil = None
        self._vector = vector
        self._revealer = None
        self.install = self.output = self.reader = None
        self._core = boot
        if boot and boot.banks.is_used:
            self._load_install(now_ms)

    @property
    def boot(self) -> int:
        """Which boot of this device this is."""
        return self._store.boot

    @property
    def is_online(self) -> bool:
        """Whether the broker answers."""
        return self.client.state == mqtt.ONLINE

    def tick(self, now_ms: int):
        """Do what is due."""
        self._uptime.tick(now_ms)
        self.client.tick(now_ms)
        self._sampler.tick(now_ms)
        if self.edil:
            self.edil.tick(now_ms)
        if self.install:
            self.install.tick(now_ms)
        if self.client.state == mqtt.ONLINE:
            self._announce(now_ms)
            self._resend(now_ms)
        if self.journal:
            self.journal.tick(self._uptime.s, now_ms, self._acked == self.client.sessions)
        if self.late:
            self._tick_late(now_ms)
        if self.light:
            self.light.tick(now_ms)
        if self._released and self._core and not self.client.is_queued(self._released):
            self._core.wants_reset = True

    def ms_left(self, now_ms: int) -> int:
        """Milliseconds until tick has something to do, at least 0."""
        left = min(self.client.ms_left(now_ms), self._sampler.ms_left(now_ms))
        if self._is_delivered():
            left = min(left, max(0, RESEND_MS - ticks.diff(now_ms, self._sent_ms)))
        for part in (self.install, self.late, self.light):
            if part:
                left = min(left, part.ms_left(now_ms))
        return left

    def receive(self, topic: bytes, payload, now_ms: int):
        """Take a message. A wrong one is counted as refused and changes nothing else."""
        try:
            self._take(self._topics.name_of(topic), payload, now_ms)
        except (KeyError, WireError) as error:
            self.counts["refused"] += 1
            self._note(f"refused: {_name(topic)}: {getattr(error, 'reason', 'unknown')}")
        except (OSError, StoreError) as error:
            self.counts["store"] += 1
            self._note(f"store: {_name(topic)}: {type(error).__name__}")

    def _take(self, name, payload, now_ms):
        """Take a message on the topic of that name, None for another's. Raises KeyError, and what its receiver does."""
        if name == "beacon":
            self._take_beacon(payload, now_ms)
        elif name == "ack":
            self._take_ack(payload)
        elif name == "samples":
            self._take_samples(payload)
        elif name == "late_ack":
            self.late.take_ack(payload)
        elif name in EDIL_NAMES:
            self._load_edil().receive(name, payload, now_ms)
        elif name in INSTALL_NAMES:
            self._load_install(now_ms).receive(name, payload, now_ms)
        else:
            self._take_seldom(name, payload, now_ms)

    def _load_edil(self):
        if self.edil is None:
            from .edil import Edil

            self.edil = Edil(
                self.identity, self._store, self._sampler, self._model_cid, self.client, self._port, self._vector
            )
        return self.edil

    def _load_install(self, now_ms):
        if self.install is None:
            from . import manifest  # noqa: F401 - see _take_seldom
            from .install import Install

            self.install = Install(self.identity, self._store, self.client, self._port, self._core, now_ms)
        return self.install

    def _load_revealer(self):
        if self._revealer is None:
            from .reveal import Revealer

            sealer = None
            if self.reader:
                from .seal import Sealer

                sealer = Sealer(self._port, self.reader)
            self._revealer = Revealer(self.identity, self._sampler, self.boot, self.client, sealer)
        return self._revealer

    def _announce(self, now_ms):
        name = self._sampler.source.name
        if self._announced == (self.client.sessions, name):
            return
        self._announced = (self.client.sessions, name)
        port, me = self._port, self.identity
        version = VERSION if self._core and self._core.agent else port.VERSION
        fields = port.BOARD, self.boot, version, port.CORE, self._model_cid, me.public_key, name
        self.client.publish(self._topics.own("announce"), wire.sign_announce(me.id, me.sign, *fields), now_ms)
        if self.client.account:
            self.client.publish(self._topics.own("entered"), b"", now_ms)

    def _take_beacon(self, payload, now_ms):
        beacon, window_ms = wire.decode_beacon(payload)
        number = wire.split_beacon(beacon)
        if number <= self._last_beacon:
            self.counts["old_beacon"] += 1
            return
        self._give_up()
        self._last_beacon = number
        if self.late:
            self.late.hear(beacon, window_ms, now_ms)
        self._count_record()
        self._frame = wire.sign_heartbeat(
            self.identity.id,
            self.identity.sign,
            beacon,
            self.boot,
            self.sequence,
            self._model_cid,
            self._sampler.count,
            self._sampler.chain,
            self.late.budget if self.late else 0,
        )
        self._sampler.pin()
        self._send(now_ms)
        self.counts["answered"] += 1

    def _take_ack(self, payload):
        if wire.decode_ack(payload) == (self.boot, self.sequence) and self._frame:
            self.client.forget(self._packet_id)
            self._frame = None
            self._acked = self.client.sessions
            if self._core:
                self._core.accept()

    def _take_seldom(self, name, payload, now_ms):
        """What comes so seldom that its module is loaded then. Raises KeyError: no name of these.

        What a module imports is loaded before it, for an import within an import takes 1 KB of stack.
        """
        if name == "identify":
            from . import light

            self.light = light.begin(self.light, self.switch, payload, now_ms)
        elif name == "challenge":
            self._load_revealer().receive(payload, self.sequence, now_ms)
        elif name == "account":
            from . import hkdf, account  # noqa: F401, I001

            account.enter(self.client, self.identity, payload, now_ms)
        elif name in ("bind", "release"):
            from . import eip712, owner  # noqa: F401

            banks = self._core.banks if self._core else None
            act = owner.release if name == "release" else owner.bind
            frame = act(self.identity, self._store, self._port, banks, payload)
            packet_id = self.client.publish(self._topics.own("bound"), frame, now_ms)
            self._released = packet_id if name == "release" else 0
        else:
            raise KeyError(name)

    def _take_samples(self, payload):
        name, samples = wire.decode_samples(payload)
        push = getattr(self._sampler.source, "push", None)
        if push is None:
            raise WireError("malformed", "samples: got some, wanted none: this device has its own sensors")
        push(name, samples)

    def _send(self, now_ms):
        self._packet_id = self.client.publish(self._topics.own("heartbeat"), self._frame, now_ms)
        self._sent_ms = now_ms

    def _resend(self, now_ms):
        if not self._is_delivered():
            self._sent_ms = now_ms
        elif ticks.diff(now_ms, self._sent_ms) >= RESEND_MS:
            self._send(now_ms)
            self._keep()
            self.counts["resent"] += 1

    def _is_delivered(self):
        """Whether a heartbeat waits for its ack while the broker has it; before that, MQTT itself sends it again."""
        return self._frame is not None and not self.client.is_queued(self._packet_id)

    def _give_up(self):
        if self._frame is not None:
            self.client.forget(self._packet_id)
            self._frame = None
            self.counts["unacknowledged"] += 1
            self._keep()

    def _tell_journal(self, reason, lines, now_ms):
        payload = reports.encode_journal(self.boot, reason, lines)
        frame = wire.sign1(payload, self.identity.id, self.identity.sign)
        self.client.publish(self._topics.own("journal"), frame, now_ms)

    def _note(self, text):
        if self.journal:
            self.journal.note(self._uptime.s, text)

    def _count_record(self):
        """Count one more heartbeat or late record, and hold what a late record says of now."""
        self.sequence += 1
        self._record = reports.pack_record(self.sequence, self._uptime.s, self._sampler.count, self._sampler.chain)

    def _tick_late(self, now_ms):
        if self.late.is_missed(now_ms):
            self._give_up()
            self._count_record()
            self._keep()
        if self._frame is not None and not self.is_online:
            self._keep()
        self.late.tick(now_ms, self._frame is None)

    def _keep(self):
        """Keep what was counted last as a late record, once: a reset does not lose it any more."""
        if self.late and self._record:
            self.late.keep(self._record)
            self._record = None


def _name(topic):
    """The last level of a topic, for the journal."""
    return "".join([chr(byte) for byte in bytes(topic).rpartition(b"/")[2]])

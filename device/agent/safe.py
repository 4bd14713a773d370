"""The agent of safe mode: it announces itself, takes updates and tells why it is here; it samples and signs no work."""

from . import account, mqtt, wire
from .errors import StoreError, WireError
from .identity import Identity, new_secret
from .install import Install
from .store import Store
from .topics import Topics

NAMES = ("account", "trust", "manifest", "chunk")
SOURCE = "none: safe mode"

_NO_MODEL = b"\x01\x55\x12\x20" + bytes(32)


def start(port, memory, boot):
    """As run.start, for a boot in safe mode -> Safe. Raises StoreError: the boot could not be counted."""
    store = Store(memory)
    secret = store.open(lambda: new_secret(port.entropy))
    return Safe(Identity(secret, port), store, port, boot, port.ticks_ms())


class Safe:
    """client (mqtt.Client), identity and install (install.Install); driven by run.step as an agent.Agent is."""

    def __init__(self, identity, store, port, boot, now_ms: int):
        self.counts = {"refused": 0, "store": 0}
        self.identity = identity
        self.boot = store.boot
        self._port = port
        self._announced = 0
        self._topics = topics = Topics(identity.id, NAMES)
        gone = topics.own("gone")
        self.client = mqtt.Client(gone.split("/")[1], gone, topics, self.receive, port.entropy, now_ms)
        self.install = Install(identity, store, self.client, port, boot, now_ms)

    @property
    def is_online(self) -> bool:
        return self.client.state == mqtt.ONLINE

    def tick(self, now_ms: int):
        """Do what is due."""
        self.client.tick(now_ms)
        if self.is_online and self._announced != self.client.sessions:
            self._announced = self.client.sessions
            self._announce(now_ms)
        self.install.tick(now_ms)

    def ms_left(self, now_ms: int) -> int:
        """Milliseconds until tick has something to do, at least 0."""
        return min(self.client.ms_left(now_ms), self.install.ms_left(now_ms))

    def receive(self, topic: bytes, payload, now_ms: int):
        """Take a message. A wrong one is counted as refused and changes nothing else."""
        try:
            name = self._topics.name_of(topic)
            if name is None:
                raise WireError("malformed", "topic: got another, wanted one of this device")
            if name == "account":
                account.enter(self.client, self.identity, payload, now_ms)
            else:
                self.install.receive(name, payload, now_ms)
        except WireError:
            self.counts["refused"] += 1
        except (OSError, StoreError):
            self.counts["store"] += 1

    def _announce(self, now_ms):
        port, me = self._port, self.identity
        version = port.VERSION[: wire.TEXT_MAX_BYTES - 5] + " safe"
        frame = wire.sign_announce(
            me.id, me.sign, port.BOARD, self.boot, version, port.CORE, _NO_MODEL, me.public_key, SOURCE
        )
        self.client.publish(self._topics.own("announce"), frame, now_ms)

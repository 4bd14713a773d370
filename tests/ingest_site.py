"""What the tests of ingest stand on: devices that sign, and ingest on a real disk with a clock that is a number."""

import cbor2
from coincurve import PrivateKey

from device.agent import wire
from gateway import curve
from gateway.broker.bus import Token
from gateway.intake import windows
from gateway.intake.epochs import ChainAway, Epochs
from gateway.intake.evidence import Evidence, heartbeats_path, read
from gateway.intake.ingest import Ingest
from gateway.intake.intake import Intake
from gateway.intake.registry import Registry

MODEL = bytes.fromhex("01551220") + bytes(32)
BLOCK = 7, bytes(range(32))
WINDOW_MS = 1000


class Signer:
    """A device's key and what it signs."""

    def __init__(self, number=1):
        key = PrivateKey(number.to_bytes(32, "big"))
        self.public_key = key.public_key.format()
        self.id = curve.address(self.public_key)
        self.sign = lambda digest: key.sign_recoverable(digest, hasher=None)

    def topic(self, name):
        return wire.topic(self.id, name)

    def announce(self, boot=1, board="qemu", public_key=None):
        key = public_key or self.public_key
        return wire.sign_announce(self.id, self.sign, board, boot, "0.1", "armv7m", MODEL, key, "tmp105")

    def heartbeat(self, beacon, boot=1, sequence=1, sign=None, chain=bytes(16), budget=23):
        return wire.sign_heartbeat(self.id, sign or self.sign, beacon, boot, sequence, MODEL, 5, chain, budget)

    def signed(self, claims):
        """Any payload, rightly signed: bytes as they are, else deterministic CBOR."""
        payload = claims if isinstance(claims, bytes) else cbor2.dumps(claims, canonical=True)
        return wire.sign1(payload, self.id, self.sign)


class Line:
    """The bus as `Intake` sees it: what is published and acknowledged is remembered."""

    def __init__(self):
        self.published, self.acked = [], []

    def publish(self, topic, payload, qos=0, retain=False):
        self.published.append((topic, payload))

    def ack(self, token):
        self.acked.append(token)


class Site:
    """Everything of ingest on a real disk, with a clock that is a number and no broker."""

    def __init__(self, folder, now_ms=1_700_000_000_000, count=12):
        self.folder, self.now_ms, self.block, self.closed, self.beacon = folder, now_ms, BLOCK, [], None
        self.registry = Registry(folder / "state.sqlite")
        self.evidence = Evidence(folder / "evidence")
        ingest = Ingest(self.registry.devices, self.registry.progress)
        plan = windows.Windows(count, WINDOW_MS)
        self.epochs = Epochs(
            self.evidence, self.registry, ingest, plan, self, self.newest_block, self.tell_beacon, self.closed.append
        )
        self.line, self.intake = Line(), Intake()
        self.epochs.resume()
        self.epochs.tell()
        self.epochs.turn()

    def __call__(self):
        return self.now_ms

    def set(self, now_ms):
        self.now_ms = now_ms

    def newest_block(self):
        if self.block is None:
            raise ChainAway
        return self.block

    def tell_beacon(self, beacon, window_ms):
        assert window_ms == WINDOW_MS
        self.beacon = beacon

    def send(self, *messages):
        """Receive (topic, payload) now and deal with them as one batch."""
        for number, (topic, payload) in enumerate(messages):
            self.intake.offer(topic, payload, self.now_ms, Token(1, number, 1))
        self.intake.take(self.line, self.epochs)

    def wait(self, ms):
        self.now_ms += ms
        self.epochs.turn()

    def stored(self, epoch=1):
        return [frame for _, frame in read(heartbeats_path(self.folder / "evidence", epoch))]

    def acks(self):
        return [payload for topic, payload in self.line.published if topic.endswith("/ack")]

    def kill(self):
        """End without saving anything, as kill -9 does."""
        self.registry.close()
        self.evidence.release()


A, B = Signer(1), Signer(2)


def state(site):
    """Everything that a rejection may not change."""
    files = {path.name: path.read_bytes() for path in (site.folder / "evidence").iterdir()}
    return files, dict(site.registry.devices), dict(site.registry.progress), list(site.line.published)

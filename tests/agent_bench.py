"""A device on a bench: the real agent and encoder, a virtual clock, memory in RAM, and the test as its broker."""

from array import array
from pathlib import Path

import coincurve
from eth_hash.auto import keccak

from device.agent import mqtt, packets, ticks, wire
from device.agent.port import Port
from device.agent.run import start
from device.native.shared import Model

ROOT = Path(__file__).parent.parent
ARTIFACT = (ROOT / "models" / "host" / "encoder.ren").read_bytes()
OFFSETS, SHIFTS = (12800, 1024, 1024, 1024), (6, 3, 3, 3)
WRAP = ticks.PERIOD
SECRET = b"\x07" * 32
OWNER = b"\x0a" * 20
CONTRACT = b"\x0c" * 20


class Ram:
    """Byte-writable memory; when told to, it loses every write or raises the given error."""

    size, erase_bytes = 1024, 0

    def __init__(self):
        self.bytes = bytearray(self.size)
        self.fails = False

    def read(self, addr, buf):
        buf[:] = self.bytes[addr : addr + len(buf)]

    def write(self, addr, data):
        if isinstance(self.fails, OSError):
            raise self.fails
        if not self.fails:
            self.bytes[addr : addr + len(data)] = data


class VirtualPort(Port):
    """A port whose clock is the test's and whose entropy is fixed; it has no link."""

    def __init__(self, now_ms=0):
        super().__init__("", 0, board="board_a", version="0.1.0")
        self.now_ms = now_ms

    def ticks_ms(self):
        return self.now_ms

    def entropy(self, buffer):
        buffer[:] = SECRET[: len(buffer)]


class Counting:
    """A source whose n-th sample is (n, -n, 2n, 32767); it can have none, or fail."""

    name = "counting"

    def __init__(self):
        self.given = 0
        self.says = True

    def read(self, out):
        if isinstance(self.says, OSError):
            raise self.says
        self.given += 1
        out[:] = array("h", (self.given, -self.given, 2 * self.given, 32767))
        return self.says


class Bench:
    """An agent whose broker is the test: it is online, and what it publishes is read packet by packet."""

    def __init__(self, now_ms=0, memory=None, source=None, ring=None, journal=None, boot=None):
        self.memory = memory or Ram()
        self.port = VirtualPort(now_ms)
        self.source = source or Counting()
        kept = {"ring": ring, "journal": journal, "boot": boot}
        self.agent = start(self.port, self.memory, self.source, Model(ARTIFACT), OFFSETS, SHIFTS, **kept)
        self.client = self.agent.client
        self.sent = []

    def connect(self):
        while self.client.state != mqtt.CONNECTING:
            self.pass_ms(50)
        self.client.written(len(self.client.pending()))
        self.client.feed(b"\x20\x02\x00\x00", self.port.now_ms)
        while self.client.state == mqtt.SUBSCRIBING:
            subscribe = bytes(self.client.pending())
            self.client.written(len(subscribe))
            at = 2 + (subscribe[1] >> 7)  # behind a length of one byte, or two
            granted = b"\x01" * subscribe.count(b"tinyren/")
            self.client.feed(bytes([0x90, 2 + len(granted)]) + subscribe[at : at + 2] + granted, self.port.now_ms)
        assert self.client.state == mqtt.ONLINE
        self.agent.tick(self.port.now_ms)
        return self

    def pass_ms(self, ms, step_ms=50, acknowledge=True):
        for _ in range(0, ms, step_ms):
            self.port.now_ms = ticks.add(self.port.now_ms, step_ms)
            self.agent.tick(self.port.now_ms)
            if acknowledge and self.client.state == mqtt.ONLINE:
                self.published()

    def published(self, acknowledge=True):
        """What was published since the last call, [(name, payload)]; the broker acknowledges it."""
        reader, data, new = packets.Reader(1024), bytes(self.client.pending()), []
        self.client.written(len(data))
        at = 0
        while at < len(data):
            if data[at : at + 2] == packets.PINGREQ:
                self.client.feed(b"\xd0\x00", self.port.now_ms)
                at += 2
                continue
            at = reader.read(data, at)
            topic, packet_id, payload = packets.split_publish(reader.head, reader.body)
            new.append((topic.decode().rpartition("/")[2], bytes(payload)))
            if acknowledge:
                self.client.feed(packets.puback(packet_id), self.port.now_ms)
            reader.reset()
        self.sent += new
        return new

    def receive(self, name, payload):
        topic = "tinyren/beacon" if name == "beacon" else wire.topic(self.agent.identity.id, name)
        self.agent.receive(topic.encode(), memoryview(payload), self.port.now_ms)

    def give_beacon(self, epoch, window):
        self.receive("beacon", wire.encode_beacon(wire.make_beacon(epoch, window, bytes(32)), 5000))


def heartbeat(frame):
    """Fields of a heartbeat whose signature is its device's."""
    device_id, payload, signature, digest = wire.open_sign1(frame)
    keys = [coincurve.PublicKey.from_signature_and_message(signature + bytes([v]), digest, hasher=None) for v in (0, 1)]
    assert device_id in [keccak(key.format(compressed=False)[1:])[12:] for key in keys]
    return wire.decode_heartbeat(payload)


def bind_request(owner=OWNER, board="board_a", nonce=5):
    return wire.encode_bind(1337, CONTRACT, 1, owner, board, nonce, 1_800_000_000)

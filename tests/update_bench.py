"""A device that takes updates, through its lives: memories whose power can fail, and the test as its gateway."""

import hashlib

import coincurve
from eth_hash.auto import keccak

from device.agent import eip712, mqtt, suit, ticks
from device.agent.banks import Banks
from device.agent.boot import Boot
from device.agent.identity import Identity, device_id
from device.agent.install import Install
from device.agent.package import abi
from device.agent.phases import AGENT, MODEL
from device.agent.port import Port

BOARD = "board_a"
CONTRACT = b"\x0c" * 20
SECTOR_BYTES = 4096
PARAMETERS = suit.encode_parameters((0,), (0,), 50)


class PowerCut(BaseException):
    pass


class Power:
    """What the memories of a device have in common: the power fails in write number `cut` (None: never), of which it
    leaves `torn` (0..1) of the bytes.
    """

    def __init__(self):
        self.cut = None
        self.torn = 0.0
        self.writes = 0

    def spend(self, size):
        """How many of size bytes are written; fewer than all: then the power is gone."""
        self.writes += 1
        return size if self.cut is None or self.writes <= self.cut else int(size * self.torn)


class Eeprom:
    """A chip that stores pages; a power cut tears one of them."""

    erase_bytes = 0
    page_bytes = 128

    def __init__(self, power, size):
        self.power, self.size = power, size
        self.bytes = bytearray(b"\xff" * size)
        self.written = 0

    def read(self, addr, buffer):
        assert 0 <= addr <= self.size - len(buffer)
        buffer[:] = self.bytes[addr : addr + len(buffer)]

    def write(self, addr, data):
        assert 0 <= addr <= self.size - len(data)
        while len(data):
            page = bytes(data[: self.page_bytes - addr % self.page_bytes])
            self.put(addr, page)
            addr, data = addr + len(page), data[len(page) :]

    def put(self, addr, page):
        whole = self.power.spend(len(page))
        self.bytes[addr : addr + whole] = page[:whole]
        self.written += whole
        if whole < len(page):
            raise PowerCut


class Nor(Eeprom):
    """NOR flash: bits only go from 1 to 0 until their sector is erased; a torn erasure leaves anything."""

    erase_bytes = SECTOR_BYTES

    def put(self, addr, page):
        for old, new in zip(self.bytes[addr : addr + len(page)], page, strict=True):
            if new & ~old:
                raise ValueError("flash: got what is not erased")
        super().put(addr, page)

    def erase(self, addr):
        assert addr % self.erase_bytes == 0
        whole = self.power.spend(self.erase_bytes)
        self.bytes[addr : addr + whole] = b"\xff" * whole
        if whole < self.erase_bytes:
            middle = range(addr + whole, min(addr + whole + 64, addr + self.erase_bytes))
            self.bytes[middle.start : middle.stop] = bytes(self.bytes[at] | 0x5A for at in middle)
            raise PowerCut


class Party:
    """Who signs: address (20 bytes) and sign (digest -> 65 bytes)."""

    def __init__(self, secret):
        key = coincurve.PrivateKey(secret)
        self.address = device_id(key.public_key.format(compressed=False), keccak)
        self.sign = lambda digest: key.sign_recoverable(digest, hasher=None)


OWNER, KEY, STRANGER = Party(b"\x0a" * 32), Party(b"\x0b" * 32), Party(b"\x0d" * 32)


def trust(key=KEY, number=1, owner=OWNER, chain_id=1):
    digest = eip712.trust_digest(keccak, chain_id, CONTRACT, owner.address, key.address, number)
    signature = owner.sign(digest)
    return suit.encode_trust(chain_id, CONTRACT, key.address, number, signature[:64] + bytes([27 + signature[64]]))


def manifest(artifact, sequence=1, kind=MODEL, key=KEY, **changes):
    fields = {
        "sequence": sequence, "kind": kind, "board": BOARD, "abi": "ren3" if kind == MODEL else abi(), "needs": 1,
        "digest": hashlib.sha256(artifact).digest() if artifact else bytes(32), "size": len(artifact),
        "parameters": PARAMETERS if kind == MODEL else suit.NO_PARAMETERS,
    }  # fmt: skip
    return suit.sign_manifest(key.address, key.sign, *(fields | changes).values())


class Store:
    """What Install reads of a store: a device that is bound."""

    def __init__(self, owner=OWNER.address):
        self.boot, self.owner = 0, owner


class Broker:
    """A client that is online, and what it was given to publish: [(name, payload)]."""

    def __init__(self):
        self.state, self.sessions, self.queued, self.sent = mqtt.ONLINE, 1, 0, []

    def publish(self, topic, payload, now_ms):
        self.sent.append((topic.rpartition("/")[2], payload))


class Device:
    """A device through its lives. Artifacts say what they do: one that begins with "crash" raises when it runs, with
    "hang" hangs, with "mute" is online and never accepted, with "away" is never online; any other is accepted.
    """

    def __init__(self, memory=Eeprom, size=8192):
        self.power = Power()
        shape = (4096 if memory is Eeprom else 2 * SECTOR_BYTES, *[size] * 4)
        self.memories = [memory(self.power, size) for size in shape]
        self.port, self.store, self.artifacts = Port("", 0, board=BOARD), Store(), {}
        self.identity = Identity(b"\x07" * 32, self.port)
        self.now_ms = self.chunks = 0
        self.told, self.ran = [], []
        self.reset = "power"

    def begin(self):
        """Boot: what runs is accepted, or ends as it does -> whether it runs on."""
        area, *banks = self.memories
        reset, self.reset = self.reset, "power"
        self.store.boot += 1
        self.boot = Boot(Banks(area, banks[:2], banks[2:]), BOARD, reset, self.now_ms)
        self.broker = Broker()
        self.install = Install(self.identity, self.store, self.broker, self.port, self.boot, self.now_ms)
        self.ran.append(self.running())
        does = {bytes(content[:4]) for content in self.ran[-1]}
        if b"cras" in does:
            self.boot.fail("error: it crashes")
            self.reset = "asked"
        elif b"hang" in does:
            self.reset = "watchdog"
        else:
            if does & {b"mute", b"away"} and self.boot.trial:
                self.broker.state = mqtt.WAITING if b"away" in does else mqtt.ONLINE
                while not self.boot.wants_reset:
                    self.pass_ms(5000)
            elif not self.boot.is_safe:
                self.boot.accept()
            return True
        return False

    def running(self):
        """Contents (bytes) of the model and the agent that run; b"" for the firmware's own."""
        return tuple(self.content(kind) for kind in (MODEL, AGENT))

    def content(self, kind):
        bank, what = self.boot.bank_of(kind), self.boot.model if kind == MODEL else self.boot.agent
        if bank is None:
            return b""
        content = bytearray(what.size)
        bank.read(0, content)
        assert hashlib.sha256(content).digest() == what.digest
        return bytes(content)

    def receive(self, name, payload):
        """Why the message was refused without an answer, as text; None if it was not."""
        try:
            self.install.receive(name, payload, self.now_ms)
        except suit.WireError as error:
            return str(error)

    @property
    def kept(self):
        """All that is in the memories."""
        return [bytes(memory.bytes) for memory in self.memories]

    def pass_hours(self, hours):
        for _ in range(hours):
            self.pass_ms(3600 * 1000)

    def offer(self, *frames):
        """A gateway that gives trust and these manifests, and chunks as they are wanted, until nothing more happens."""
        self.receive("trust", trust())
        for frame in frames:
            self.receive("manifest", frame)
        for _ in range(40):
            if self.boot.wants_reset:
                return
            self.pass_ms(100)
            self.answer()

    def answer(self):
        sent, self.broker.sent = self.broker.sent, []
        for name, payload in sent:
            if name == "want":
                self.give(*suit.decode_want(payload))
            elif name == "installed":
                self.told.append(suit.decode_installed(suit.open_sign1(payload, 320)[1])[1:])

    def give(self, start, offset, count):
        artifact = self.artifacts[start]
        for at in range(offset, min(len(artifact), offset + 480 * count), 480):
            self.chunks += 1
            self.receive("chunk", suit.encode_chunk(start, at, artifact[at : at + 480]))

    def pass_ms(self, ms):
        self.now_ms = ticks.add(self.now_ms, ms)
        self.install.tick(self.now_ms)
        self.boot.tick(self.now_ms, self.broker.state == mqtt.ONLINE)

    def hold(self, *artifacts):
        """Artifacts that the gateway can give."""
        self.artifacts |= {hashlib.sha256(artifact).digest()[:8]: artifact for artifact in artifacts}

    def live(self, *frames, boots=8):
        """Boots until a boot ends without asking for another; the gateway offers the same each time."""
        for _ in range(boots):
            if not self.begin():
                continue
            if not self.boot.wants_reset:
                self.offer(*frames)
            self.answer()
            if not self.boot.wants_reset:
                return self
            self.reset = "asked"
        raise AssertionError("the device never came to rest")

    @property
    def units(self):
        return self.boot.banks.units

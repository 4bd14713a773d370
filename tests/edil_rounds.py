"""What the tests of aggregation stand on: devices that encrypt and sign, owner, holders, and a gateway's rounds."""

import hashlib

from coincurve import PrivateKey

from device.agent import eip712, hkdf, rounds, wire
from device.native import edil
from gateway import curve
from gateway.aggregation import rings
from gateway.aggregation.rounds_store import RoundsStore
from gateway.aggregation.service import Aggregation
from gateway.edil.keys import derive_device_key
from gateway.intake.registry import Device

DOMAIN = 31337, bytes(range(20))
MODEL = bytes.fromhex("01551220") + bytes(32)
NOW_MS = 1_700_000_000_000
DEADLINE_MS = NOW_MS + 60_000


def key(number):
    return PrivateKey(number.to_bytes(32, "big"))


def sign_with(secret):
    return lambda digest: secret.sign_recoverable(digest, hasher=None)


OWNER, STRANGER, GATEWAY = key(1001), key(1002), key(1003)
HOLDERS = [key(2001), key(2002)]
ADDRESSES = [curve.address_of(secret.secret) for secret in HOLDERS]
OWNER_ADDRESS = curve.address_of(OWNER.secret)


def enrol_frame(owner=OWNER, number=1, holders=HOLDERS, domain=DOMAIN, named=None):
    """An `enrol` message that `owner` signed; `named`: the owner's address in it, if it is another's."""
    keys = [holder.public_key.format() for holder in holders]
    address = named or curve.address_of(owner.secret)
    digest = eip712.enrolment_digest(curve.keccak, *domain, address, keys, number)
    signature = bytearray(owner.sign_recoverable(digest, hasher=None))
    signature[64] += 27
    return rounds.encode_enrol(*domain, keys, number, bytes(signature))


def manifest(number=1, kind=rounds.VECTOR, holders=HOLDERS, signer=None, **fields):
    """A manifest's frame, by holder 0 or another; a small vector of one digit unless told otherwise."""
    chosen = {
        "round": number, "ring": 1024, "model": MODEL, "kind": kind, "width": 8, "classes": 0, "first_row": 0,
        "rows": 16 if kind == rounds.VECTOR else 0, "windows": 8, "clip": 127, "digits": 1, "k_min": 2,
        "duration_ms": 1000, "deadline_ms": DEADLINE_MS,
        "holders": curve.keccak(b"".join(holder.public_key.format() for holder in holders)),
    } | fields  # fmt: skip
    signer = signer or holders[0]
    body = rounds.Manifest(*(chosen[name] for name in rounds.Manifest.FIELDS))
    return rounds.sign_manifest(body, curve.address_of(signer.secret), sign_with(signer))


class Agent:
    """A device: it encrypts values for a round and makes the messages that carry them."""

    def __init__(self, number):
        self.secret = key(number)
        self.public_key = self.secret.public_key.format()
        self.id = curve.address(self.public_key)
        self.sign = sign_with(self.secret)
        self.known = Device(self.id, self.public_key, "test", "none", "0", MODEL, "none", 1)

    def keys(self, enrolment, digest, index, holders):
        """The s_key of each holder, derived as the holder does it."""
        made = [derive_device_key(holder, self.public_key, self.id, enrolment) for holder in holders]
        return [hkdf.s_key(one, digest, index) for one in made]

    def encrypt(self, frame, enrolment, values, count=1, index=0, noise=None, holders=HOLDERS):
        """The ciphertext of values (ints) in the round of a manifest's frame."""
        body = rounds.open_manifest(frame)[0]
        is_inference = body.kind == rounds.INFERENCE
        used = holders[:1] if is_inference else holders
        a_key = hkdf.a_key(body.digest, self.id, index) if is_inference else hkdf.a_key(body.digest)
        work = bytearray(4 * body.ring)
        noise = noise or curve.keccak(self.id + body.digest + bytes([index]))
        packed = b"".join(value.to_bytes(4, "little", signed=True) for value in values)
        s_keys = b"".join(self.keys(enrolment, body.digest, index, used))
        size = edil.encrypt(body.ring, s_keys, a_key, noise, packed, body.digits, count, work)
        return bytes(work[:size])

    def messages(self, digest, enrolment, ciphertext, count=1, index=0, sign=None, named=None):
        """(topic, payload) of the header and of the parts."""
        named = named or hashlib.sha256(ciphertext).digest()
        header = rounds.sign_update(self.id, sign or self.sign, digest, enrolment, index, count, named)
        parts = [
            (wire.topic(self.id, "part"), rounds.encode_part(named, at, ciphertext[at : at + rounds.PART_BYTES]))
            for at in range(0, len(ciphertext), rounds.PART_BYTES)
        ]
        return [(wire.topic(self.id, "update"), header), *parts]


class Gateway:
    """A gateway's rounds on a real disk, with a clock that is a number, and what it published."""

    def __init__(self, folder, agents=(), secret=GATEWAY):
        self.folder, self.now_ms, self.published, self.said = folder, NOW_MS, [], []
        self.devices = {agent.id: agent.known for agent in agents}
        self.owners = {agent.id: OWNER_ADDRESS for agent in agents}
        self.secret = secret
        self.start()

    def start(self):
        self.store = RoundsStore(self.folder / "rounds.sqlite")
        self.rounds = Aggregation(
            self.store, self.secret, DOMAIN, self.devices, lambda: self.owners, self.publish, lambda: self.now_ms,
            self.said.append,
        )  # fmt: skip

    def restart(self):
        """End without saving anything, as kill -9 does, and start again."""
        self.store.close()
        self.start()

    def publish(self, topic, payload):
        self.published.append((topic, payload))

    def open(self, frame=None, **options):
        """Enrol the owner's devices and open a round: (frame, M, Enrolment digest)."""
        frame = frame or manifest()
        enrolment = self.rounds.enrol(OWNER_ADDRESS, enrol_frame())
        return frame, self.rounds.open_round(frame, **options), enrolment

    def send(self, messages):
        """Receive (topic, payload) now as one batch; what devices were told: [(device, M, index, status)]."""
        at = len(self.published)
        self.rounds.take([(topic, payload, self.now_ms) for topic, payload in messages])
        told = [(topic.split("/"), payload) for topic, payload in self.published[at:]]
        return [
            (bytes.fromhex(parts[1]), *rounds.decode_taken(payload)) for parts, payload in told if parts[2] == "taken"
        ]

    def give(self, agent, frame, enrolment, values, **options):
        """A device's whole upload; the last status that it was told."""
        ciphertext = agent.encrypt(frame, enrolment, values, **options)
        digest = rounds.open_manifest(frame)[0].digest
        return self.send(agent.messages(digest, enrolment, ciphertext, options.get("count", 1)))[-1][3]

    def state(self):
        """Everything that a refusal may not change."""
        content = [list(self.store._database.execute(f"SELECT * FROM {table}")) for table in TABLES]
        return content, {digest: dict(found.taken) for digest, found in self.rounds._rounds.items()}


TABLES = ("enrolment", "round", "weight", "ciphertext", "share", "head", "answer")


def key_sum(frame, enrolment, weighted, holders=HOLDERS, parts=None):
    """Sum over (agent, weight) of the secrets of some holders (all, or those numbered in `parts`), int32[N] bytes."""
    body = rounds.open_manifest(frame)[0]
    chosen = range(len(holders)) if parts is None else parts
    keys, weights = [], []
    for agent, weight in weighted:
        made = agent.keys(enrolment, body.digest, 0, holders)
        keys += [made[part] for part in chosen]
        weights += [weight] * len(chosen)
    return edil.secret(body.ring, b"".join(keys), weights)


def open_with(ring, ciphertext, a_key, secret):
    """The message of b + a s in plain integer arithmetic: a second implementation, list of N ints."""
    q = rings.RINGS[ring].q
    b = memoryview(edil.unpack(ring, ciphertext)).cast("I")
    product = memoryview(edil.product(ring, a_key, secret)).cast("I")
    opened = [((left + right) % q * rings.T + q // 2) // q % rings.T for left, right in zip(b, product, strict=True)]
    return [value - rings.T if value >= rings.T // 2 else value for value in opened]

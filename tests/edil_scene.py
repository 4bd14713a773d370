"""A round in memory: holders, owners and devices with fixed keys, real ciphertexts, a gateway that closes the set."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from coincurve import PrivateKey

from device.agent import eip712, hkdf, rounds, statistics
from device.agent.rounds import Manifest
from device.native import edil
from gateway import curve
from gateway.aggregation import aggregate, messages
from gateway.edil import owner as owners
from gateway.edil.client import Closed
from gateway.edil.plan import read_facts
from gateway.edil.shares import sign_with

FACTS = read_facts(Path(__file__).parents[1] / "models" / "host" / "host.json")
CHAIN_ID, CONTRACT = 1337, b"\x0c" * 20
WINDOWS = 3
NOW_MS = 1_800_000_000_000


def make_key(name):
    return PrivateKey(hashlib.sha256(name.encode()).digest())


DATA_OWNER, HOLDER, THIRD, GATEWAY, OWNER = map(make_key, ("data owner", "holder", "third", "gateway", "owner"))


def make_manifest(holders, **changes):
    """A classes round of three classes over windows of the shipped encoder, with changes."""
    fields = dict(
        round=7, ring=1024, model=FACTS.model, kind=rounds.CLASSES, width=FACTS.width, classes=3, first_row=0, rows=0,
        windows=WINDOWS, clip=100, digits=3, k_min=2, duration_ms=60_000, deadline_ms=NOW_MS + 60_000,
        holders=eip712.holders_digest(curve.keccak, [key.public_key.format() for key in holders]),
    )  # fmt: skip
    return Manifest(*(fields | changes).values())


def sum_windows(manifest, embeddings, labels):
    """The values that a device adds up, of int8[n, w] and one label each, as plain numpy has them."""
    z = np.clip(np.asarray(embeddings, np.int64), -manifest.clip, manifest.clip)
    upper = (z.T @ z)[np.triu_indices(manifest.width)]
    ones = np.eye(manifest.classes, dtype=np.int64)[np.asarray(labels)]
    return np.concatenate([z.sum(0), upper, ones.sum(0), (ones.T @ z).ravel()])


@dataclass
class Device:
    """A device with its embeddings, which only the test knows."""

    secret: PrivateKey
    owner: PrivateKey
    embeddings: np.ndarray
    labels: np.ndarray

    @property
    def id(self):
        return curve.address_of(self.secret.secret)


def make_device(number, owner=OWNER, windows=WINDOWS):
    rng = np.random.default_rng(number)
    return Device(
        make_key(f"device {number}"),
        owner,
        rng.integers(-128, 128, (windows, FACTS.width)),
        rng.integers(0, 3, windows),
    )


@dataclass
class Scene:
    """holders: H_0 first. Whoever wants something forged changes what is made on the way."""

    holders: list = field(default_factory=lambda: [DATA_OWNER, HOLDER])
    devices: list = field(default_factory=lambda: [make_device(number) for number in range(3)])
    manifest_changes: dict = field(default_factory=dict)
    manifest_frame: bytes = b""

    def __post_init__(self):
        manifest = make_manifest(self.holders, **self.manifest_changes)
        self.manifest_frame = self.manifest_frame or owners.sign_manifest(self.holders[0], manifest)
        self.manifest = rounds.open_manifest(self.manifest_frame)[0]

    def enrol(self, owner, holders=None, number=1):
        keys = [key.public_key.format() for key in holders or self.holders]
        return owners.sign_enrolment(owner, CHAIN_ID, CONTRACT, keys, number)

    def contribute(self, device, weight=1, holders=None, manifest=None, count=None):
        """What a device sends, and the gateway keeps: an aggregate.Contribution."""
        frame = self.enrol(device.owner, holders)
        enrolment = messages.open_enrolment(frame, curve.address_of(device.owner.secret))
        digest, s_keys = manifest or self.manifest.digest, b""
        for holder in enrolment.holders:
            shared = device.secret.ecdh(holder)
            s_keys += hkdf.s_key(hkdf.holder_key(shared, enrolment.digest, device.id, holder), digest, 0)
        values = sum_windows(self.manifest, device.embeddings, device.labels).astype(np.int32)
        assert len(values) == statistics.count_values(self.manifest)
        work, count = bytearray(4 * self.manifest.ring), count or len(device.embeddings)
        noise = hashlib.sha256(device.id + digest).digest()
        size = edil.encrypt(
            self.manifest.ring, s_keys, hkdf.a_key(digest), noise, values, self.manifest.digits, count, work
        )
        ciphertext = bytes(work[:size])
        signed = hashlib.sha256(ciphertext).digest()
        update = rounds.sign_update(device.id, sign_with(device.secret), digest, enrolment.digest, 0, count, signed)
        return aggregate.Contribution(device.id, weight, frame, update, ciphertext)

    def contribute_embedding(self, device, index):
        """One embedding of a device for a round of kind inference, of which the data owner alone has the key."""
        frame, digest = self.enrol(device.owner), self.manifest.digest
        enrolment = messages.open_enrolment(frame, curve.address_of(device.owner.secret))
        holder = enrolment.holders[0]
        s_key = hkdf.s_key(
            hkdf.holder_key(device.secret.ecdh(holder), enrolment.digest, device.id, holder), digest, index
        )
        z = np.clip(device.embeddings[index], -self.manifest.clip, self.manifest.clip).astype(np.int32)
        work, noise = bytearray(4 * self.manifest.ring), hashlib.sha256(device.id + bytes([index])).digest()
        size = edil.encrypt(self.manifest.ring, s_key, hkdf.a_key(digest, device.id, index), noise, z, 1, 1, work)
        ciphertext = bytes(work[:size])
        told = digest, enrolment.digest, index, 1, hashlib.sha256(ciphertext).digest()
        update = rounds.sign_update(device.id, sign_with(device.secret), *told)
        return aggregate.Contribution(device.id, 1, frame, update, ciphertext)

    def close(self, contributions=None):
        """The closed round as it is published."""
        contributions = contributions or [self.contribute(device) for device in self.devices]
        part = aggregate.close(self.manifest.ring, self.manifest.digest, contributions)
        return Closed(self.manifest_frame, sign_set(part.closed), part.aggregate)

    def expected(self, weights=None):
        """The sum of all devices' values, as plain numpy has it."""
        rows = [sum_windows(self.manifest, device.embeddings, device.labels) for device in self.devices]
        return np.dot(weights or [1] * len(rows), rows).tolist()


def sign_set(closed, gateway=GATEWAY):
    return messages.sign_set(closed, curve.address_of(gateway.secret), sign_with(gateway))

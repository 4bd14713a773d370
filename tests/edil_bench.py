"""Who a device meets in EDIL: its owner, share-holders who open what it encrypts, and a gateway that collects parts."""

import hashlib

import coincurve
import numpy as np
from eth_hash.auto import keccak

from device.agent import eip712, hkdf, rounds, statistics, wire
from device.native import edil as native
from device.native.shared import Model
from tests.agent_bench import ARTIFACT, CONTRACT, Bench, bind_request

CHAIN_ID = 1337
MODEL = Model(ARTIFACT)


class Party:
    """A key (secp256k1) that is a whole number: public (33 bytes), address (20 bytes), sign(digest)."""

    def __init__(self, number):
        self.key = coincurve.PrivateKey(number.to_bytes(32, "big"))
        self.public = self.key.public_key.format()
        self.address = keccak(self.key.public_key.format(compressed=False)[1:])[12:]

    def sign(self, digest):
        return self.key.sign_recoverable(digest, hasher=None)


OWNER = Party(1001)
HOLDERS = [Party(2001), Party(2002), Party(2003)]


def enrolment(number=1, owner=OWNER, holders=HOLDERS, bound_to=OWNER, chain_id=CHAIN_ID):
    """(message, digest) of an enrolment that `owner` signed for a device bound to `bound_to`."""
    keys = [holder.public for holder in holders]
    digest = eip712.enrolment_digest(keccak, chain_id, CONTRACT, bound_to.address, keys, number)
    signature = owner.sign(digest)
    signature = signature[:64] + bytes([27 + signature[64]])
    return rounds.encode_enrol(chain_id, CONTRACT, keys, number, signature), digest


def manifest(holders=HOLDERS, signer=None, kid=None, **fields):
    """A manifest's frame: moments of two windows in the smallest ring, but for the fields that are given."""
    values = {
        "round": 1, "ring": 1024, "model": MODEL.cid, "kind": rounds.MOMENTS, "width": MODEL.output_bytes,
        "classes": 0, "first_row": 0, "rows": 0, "windows": 2, "clip": 127, "digits": 3, "k_min": 2,
        "duration_ms": 600_000, "deadline_ms": 0,
        "holders": eip712.holders_digest(keccak, [holder.public for holder in holders]),
    } | fields  # fmt: skip
    signer = signer or holders[0]
    return rounds.sign_manifest(rounds.Manifest(*values.values()), kid or signer.address, signer.sign)


def signer_of(frame, max_bytes):
    """The addresses that may have signed a COSE_Sign1."""
    _, _, signature, digest = wire.open_sign1(frame, max_bytes)
    keys = [coincurve.PublicKey.from_signature_and_message(signature + bytes([v]), digest, hasher=None) for v in (0, 1)]
    return [keccak(key.format(compressed=False)[1:])[12:] for key in keys]


def gather(messages):
    """Whole ciphertexts of published messages [(name, payload)] -> [(fields of the update, ciphertext)] in order."""
    found, data = [], b""
    for name, payload in messages:
        if name == "update":
            device_id, body, _, _ = wire.open_sign1(payload, rounds.UPDATE_MAX_BYTES)
            assert device_id in signer_of(payload, rounds.UPDATE_MAX_BYTES)
            fields, data = rounds.decode_update(body), b""
        elif name == "part":
            start, offset, part = rounds.decode_part(payload)
            assert start == fields[-1][:8] and offset == len(data)
            data += part
            if hashlib.sha256(data).digest() == fields[-1]:
                found.append((fields, data))
    return found


def open_ring(ring, ciphertext, a_key, s_keys):
    """The coefficients that b + a s opens to, int64[ring]; s_keys: 32 bytes of each holder."""
    q, t = native.MODULI[ring], 1 << 16
    s = native.secret(ring, s_keys)
    b, product = native.unpack(ring, ciphertext), native.product(ring, a_key, s)
    b, product = (np.frombuffer(residues, np.uint32).astype(np.int64) for residues in (b, product))
    return (((b + product) % q * t + q // 2) // q + t // 2) % t - t // 2


def open_update(frame, enrolment_digest, device, fields, ciphertext, holders=HOLDERS):
    """What the holders together read in one device's ciphertext -> (values, count of windows, number of devices).

    Args:
        frame: the manifest's. device: identity.Identity. fields: of the update.
    """
    asked = rounds.open_manifest(frame)[0]
    index = fields[2]
    is_own = asked.kind == rounds.INFERENCE
    s_keys = b""
    for holder in holders[:1] if is_own else holders:
        shared = holder.key.ecdh(device.public_key)
        key = hkdf.holder_key(shared, enrolment_digest, device.id, holder.public)
        s_keys += hkdf.s_key(key, asked.digest, index)
    a_key = hkdf.a_key(asked.digest, device.id, index) if is_own else hkdf.a_key(asked.digest)
    m = open_ring(asked.ring, ciphertext, a_key, s_keys)
    size = statistics.count_values(asked) * asked.digits
    assert not m[size:-2].any()
    powers = 256 ** np.arange(asked.digits, dtype=object)
    values = [int(row @ powers) for row in m[:size].reshape(-1, asked.digits)]
    return values, int(m[-2]), int(m[-1])


def statuses(messages):
    """[(digest, status)] of the answers among published messages."""
    return [rounds.decode_status(payload) for name, payload in messages if name == "edil"]


def enrolled(**arguments):
    """A Bench whose device is bound to OWNER and enrolled, all of it published and acknowledged."""
    bench = Bench(**arguments).connect()
    bench.published()
    bench.receive("bind", bind_request(owner=OWNER.address))
    bench.receive("enrol", enrolment()[0])
    assert statuses(bench.published())[-1][1] == "enrolled"
    return bench

"""Checks a second time what a reader shows of a sealed answer; refuses to take anything from the first check.

Source: device/agent/WIRE.md, section 17 (ECIES of SEC 1, 5.1); docs/poai.md (openings); BIP 374 (the proof).
"""

import hashlib

from coincurve import PrivateKey, PublicKey

from gateway.verify.messages import Opening, Reveal, Sealed, is_point, reveal_of
from gateway.verify.read import Refused, keccak

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = PrivateKey.from_int(1).public_key
INFO = b"tinyren sealed reveal"


def is_opened(sealed: Sealed, opening: Opening) -> bool:
    """Whether an opening is its reader's, of this message, and proves what both agreed on."""
    reader, point = PublicKey(sealed.reader), PublicKey(sealed.point)
    signer = keccak(reader.format(compressed=False)[1:])[12:]
    if (opening.signer, opening.digest) != (signer, sealed.digest) or not is_point(opening.shared):
        return False
    if len(opening.proof) != 64:
        return False
    e, s = int.from_bytes(opening.proof[:32]), int.from_bytes(opening.proof[32:])
    shared = PublicKey(opening.shared)
    if not 0 < s < N or e % N == 0:
        return False
    try:
        first, second = _difference(s, G, e, reader), _difference(s, point, e, shared)
    except ValueError:  # the two are one point: their difference is none
        return False
    hashed = b"".join(key.format() for key in (reader, point, shared, G, first, second)) + sealed.digest
    tag = hashlib.sha256(b"BIP0374/challenge").digest()
    return hashlib.sha256(tag + tag + hashed).digest() == opening.proof[:32]


def uncovered(sealed: Sealed, shared: bytes) -> Reveal | None:
    """What was sealed, by the point (33 bytes) that an opening proved; None if it is no reveal of this inference."""
    agreed, plain = hashlib.sha256(shared).digest(), b""
    for number in range(-(-len(sealed.box) // 32)):
        stream = hashlib.sha256(agreed + (number + 1).to_bytes(4) + INFO).digest()
        plain += bytes(a ^ b for a, b in zip(sealed.box[32 * number :], stream, strict=False))
    try:
        reveal = reveal_of(sealed.receipt_ms, sealed.place[0], plain)
    except Refused:
        return None
    return reveal if reveal.place == sealed.place else None


def _difference(s: int, one: PublicKey, e: int, other: PublicKey) -> PublicKey:
    """s * one - e * other."""
    return PublicKey.combine_keys([one.multiply(s.to_bytes(32)), other.multiply((-e % N).to_bytes(32))])

"""Proofs that two pairs of points have one discrete logarithm, pure; it proves nothing about any other group.

With a secret a: A = a G, and C = a B for another's point B. The proof shows that C is what A's owner agreed with B's by
ECDH, and tells nothing else about a. Source: BIP 374 (Chaum and Pedersen 1992, with Fiat and Shamir's hash).
"""

import hashlib

from coincurve import PrivateKey, PublicKey

PROOF_BYTES = 64
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_GENERATOR = PrivateKey.from_int(1).public_key


def prove(secret: PrivateKey, other: PublicKey, entropy: bytes, message: bytes) -> bytes:
    """A proof of 64 bytes for C = secret * other; it is bound to `message` and to nothing that it does not name.

    Args:
        entropy: 32 fresh random bytes; should they repeat, nothing is given away. message: 32 bytes.
    """
    own, shared = secret.public_key, other.multiply(secret.secret)
    masked = bytes(a ^ b for a, b in zip(secret.secret, _tagged(b"aux", entropy), strict=True))
    nonce = int.from_bytes(_tagged(b"nonce", masked + own.format() + shared.format() + message)) % ORDER
    once = nonce.to_bytes(32)
    e = _challenge(own, other, shared, _GENERATOR.multiply(once), other.multiply(once), message=message)
    return e + ((nonce + int.from_bytes(e) * secret.to_int()) % ORDER).to_bytes(32)


def is_proven(own: PublicKey, other: PublicKey, shared: PublicKey, proof: bytes, message: bytes) -> bool:
    """Whether a proof shows that `shared` is what the owner of `own` agrees with `other`."""
    if len(proof) != PROOF_BYTES:
        return False
    e, s = proof[:32], proof[32:]
    minus = (-int.from_bytes(e) % ORDER).to_bytes(32)
    try:
        of_generator = PublicKey.combine_keys([_GENERATOR.multiply(s), own.multiply(minus)])
        of_other = PublicKey.combine_keys([other.multiply(s), shared.multiply(minus)])
    except ValueError:  # a scalar outside 1 .. n - 1, or a sum that is no point: no honest proof has either
        return False
    return e == _challenge(own, other, shared, of_generator, of_other, message=message)


def _challenge(own: PublicKey, other: PublicKey, shared: PublicKey, *last: PublicKey, message: bytes) -> bytes:
    """last: k times the generator and k times `other`, with the nonce k."""
    points = (own, other, shared, _GENERATOR, *last)
    return _tagged(b"challenge", b"".join(point.format() for point in points) + message)


def _tagged(name: bytes, data: bytes) -> bytes:
    """BIP 340's tagged hash."""
    tag = hashlib.sha256(b"BIP0374/" + name).digest()
    return hashlib.sha256(tag + tag + data).digest()

"""Curve and Keccak for CPython by the packages coincurve and eth-hash; the same functions and bytes as curve.py."""

import coincurve
from eth_hash.auto import keccak


def keccak256(data) -> bytes:
    """The digest, 32 bytes."""
    return keccak(bytes(data))


def pubkey(secret: bytes) -> bytes:
    """The public key, uncompressed, 65 bytes. Raises ValueError: the key is not in 1..n-1."""
    return coincurve.PrivateKey(secret).public_key.format(compressed=False)


def sign(secret: bytes, digest: bytes) -> bytes:
    """r | s | recovery id 0..3, 65 bytes. Raises ValueError: the key is not in 1..n-1."""
    return coincurve.PrivateKey(secret).sign_recoverable(digest, hasher=None)


def ecdh(secret: bytes, public: bytes) -> bytes:
    """SHA-256 of the compressed shared point; public is compressed, 33 bytes. Raises ValueError: it is no point."""
    if len(public) != 33:
        raise ValueError(f"public: got {len(public)} bytes, wanted 33")
    return coincurve.PrivateKey(secret).ecdh(public)


def recover(digest: bytes, signature: bytes) -> bytes:
    """Public key (65 bytes) of a signature r | s | recovery id 0..3. Raises ValueError: there is none."""
    return coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None).format(compressed=False)

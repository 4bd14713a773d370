"""HMAC and HKDF over SHA-256, and EDIL's keys that come of them, pure; refuses to keep or show any.

A device and a share-holder derive the same keys, each from its own secret (EDIL.md, sections 2 and 3).
Source: RFC 2104 (HMAC), RFC 5869 (HKDF). MicroPython has neither.
"""

import hashlib

from .cbor import const

KEY_BYTES = const(32)

_BLOCK_BYTES = const(64)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC of message under key (bytes of any length) -> 32 bytes."""
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    block = key + bytes(_BLOCK_BYTES - len(key))
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in block]) + message).digest()
    return hashlib.sha256(bytes([byte ^ 0x5C for byte in block]) + inner).digest()


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF, extract and expand -> 32 bytes."""
    return hmac_sha256(hmac_sha256(salt, secret), info + b"\x01")


def holder_key(shared: bytes, enrolment: bytes, device_id: bytes, holder: bytes) -> bytes:
    """k_j, which a device shares with one holder -> 32 bytes.

    Args:
        shared: 32 bytes that both agreed by ECDH. enrolment: digest of the Enrolment (32 bytes).
        device_id: 20 bytes. holder: the holder's compressed key (33 bytes).
    """
    return hkdf_sha256(shared, enrolment, b"tinyren edil key" + device_id + holder)


def s_key(key: bytes, manifest: bytes, index: int) -> bytes:
    """The seed of one holder's part of s in one ciphertext -> 32 bytes. key: k_j. manifest: M. index: u16."""
    return hmac_sha256(key, b"tinyren edil s" + manifest + index.to_bytes(2, "big"))


def a_key(manifest: bytes, device_id=None, index: int = 0) -> bytes:
    """The seed of a -> 32 bytes: one for all devices of a sum; with a device's id, that of its index-th inference."""
    own = b"" if device_id is None else device_id + index.to_bytes(2, "big")
    return hashlib.sha256(b"tinyren edil a" + manifest + own).digest()

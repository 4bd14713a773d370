"""A share-holder's and a data owner's own keys at work: what they agree with devices and each other; shows no key.

The derivations that devices share are device/agent/hkdf.py. Diffie-Hellman is static: who later gets a holder's secret
key reads every share and derives every k_j that it was ever used for (docs/edil.md).
"""

from collections.abc import Sequence
from typing import Any

from coincurve import PrivateKey
from Crypto.Cipher import AES

from device.agent import hkdf
from device.agent.rounds import HOLDERS_MAX, HOLDERS_MIN, KEY_BYTES
from gateway import curve

NONCE_BYTES = 12
TAG_BYTES = 16


def derive_device_key(secret: PrivateKey, device_key: bytes, device: bytes, enrolment: bytes) -> bytes:
    """k_j of a device (compressed key 33 bytes, id 20 bytes) under an Enrolment's digest, by a holder; 32 bytes."""
    shared = secret.ecdh(device_key)
    return hkdf.holder_key(shared, enrolment, device, secret.public_key.format())


class Seal:
    """Encryption of one holder's share of one closed set to the data owner; either of the two makes the same.

    Args:
        secret: one party's. other: the other's compressed key. holder, owner: the keys of H_j and H_0.
        manifest, set_digest: 32 bytes. index: j.
    """

    def __init__(
        self, secret: PrivateKey, holder: bytes, owner: bytes, manifest: bytes, set_digest: bytes, index: int
    ) -> None:
        other = owner if secret.public_key.format() == holder else holder
        self._key = hkdf.hkdf_sha256(secret.ecdh(other), manifest, b"tinyren edil share" + holder + owner)
        self._about = manifest + set_digest + bytes([index])

    def close(self, nonce: bytes, share: bytes) -> bytes:
        """Encrypt under a nonce never used before (12 bytes) -> bytes with the tag appended."""
        sealed, tag = self._cipher(nonce).encrypt_and_digest(share)
        return bytes(sealed + tag)

    def open(self, nonce: bytes, sealed: bytes) -> bytes:
        """Decrypt. Raises ValueError: this holder did not seal it for this set."""
        return bytes(self._cipher(nonce).decrypt_and_verify(sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]))

    def _cipher(self, nonce: bytes) -> Any:
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=nonce, mac_len=TAG_BYTES)
        cipher.update(self._about)
        return cipher


def parse_holders(texts: Sequence[str]) -> list[bytes]:
    """Compressed keys as text (66 hex digits) -> 2..4 keys of 33 bytes.

    Raises:
        ValueError: another number of them, one twice, or one that is no point of the curve.
    """
    found = [parse_holder(text) for text in texts]
    if not HOLDERS_MIN <= len(found) <= HOLDERS_MAX or len(set(found)) != len(found):
        raise ValueError(f"holders: got {len(found)}, {len(set(found))} of them different, wanted 2 to 4, each once")
    return found


def parse_holder(text: str) -> bytes:
    """A compressed key, 33 bytes, from 66 hex digits. Raises ValueError."""
    try:
        key = bytes.fromhex(text.removeprefix("0x"))
        if len(key) != KEY_BYTES:
            raise ValueError
        curve.parse_public_key(key)
    except ValueError:
        raise ValueError(f"holder: got {text!r}, wanted a compressed key, 66 hex digits") from None
    return key

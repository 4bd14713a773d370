"""secp256k1 and Keccak for the gateway; refuses signatures whose s is in the upper half (libsecp256k1's own rule).

Verification calls libsecp256k1 through coincurve's cffi handle with a parsed key and one reused signature slot, because
coincurve's public API wants DER and spends a tenth of the time on converting. The slot belongs to the thread.

Source: SEC 1 4.1.4 and 4.1.6, BIP 146 (low S), Ethereum yellow paper appendix F (address).
"""

import base64
import threading
from typing import Any

from coincurve import PrivateKey, PublicKey
from coincurve._libsecp256k1 import ffi, lib  # type: ignore[import-not-found]
from coincurve.context import GLOBAL_CONTEXT

try:
    from eth_hash.backends.pysha3 import keccak256 as _keccak  # twenty times as fast as pycryptodome's
except ImportError:
    from eth_hash.backends.pycryptodome import keccak256 as _keccak

ADDRESS_BYTES = 20
SIGNATURE_BYTES = 64
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
RATIO1_PREFIX = "0xai_"

_CONTEXT = GLOBAL_CONTEXT.ctx
_verify = lib.secp256k1_ecdsa_verify
_parse_signature = lib.secp256k1_ecdsa_signature_parse_compact


class _Slot(threading.local):
    """One signature in libsecp256k1's opaque form, a slot for each thread."""

    def __init__(self) -> None:
        self.signature = ffi.new("secp256k1_ecdsa_signature *")


_slot = _Slot()


def keccak(data: bytes) -> bytes:
    """Keccak-256 (the one of Ethereum, not SHA3-256), 32 bytes."""
    return bytes(_keccak(data))


def parse_public_key(public_key: bytes) -> Any:
    """Parse a key (33 or 65 bytes) once into the opaque value that `verify` takes.

    Raises:
        ValueError: the bytes are no point of the curve.
    """
    return PublicKey(public_key).public_key


def verify(key: Any, digest: bytes, signature: bytes) -> bool:
    """Tell whether r | s (64 bytes, low s) is `key`'s ECDSA signature of a 32-byte digest.

    Args:
        key: what `parse_public_key` returned.
    """
    if len(signature) != SIGNATURE_BYTES or len(digest) != 32:
        return False
    slot = _slot.signature
    return bool(_parse_signature(_CONTEXT, slot, signature) and _verify(_CONTEXT, slot, digest, key))


def verify_der(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Tell whether a DER signature of a 32-byte digest is good. Either half of s is taken: Ratio1's nodes sign both."""
    slot = _slot.signature
    try:
        key = parse_public_key(public_key)
    except ValueError:
        return False
    if len(digest) != 32 or not lib.secp256k1_ecdsa_signature_parse_der(_CONTEXT, slot, signature, len(signature)):
        return False
    lib.secp256k1_ecdsa_signature_normalize(_CONTEXT, slot, slot)
    return bool(_verify(_CONTEXT, slot, digest, key))


def is_low_s(signature: bytes) -> bool:
    """Tell whether s of r | s lies in the lower half of the order, so that nobody can flip it."""
    return 0 < int.from_bytes(signature[32:SIGNATURE_BYTES], "big") <= HALF_ORDER


def address(public_key: bytes) -> bytes:
    """EVM address, 20 bytes, of a public key of 33 or 65 bytes.

    Raises:
        ValueError: the bytes are no point of the curve.
    """
    return keccak(PublicKey(public_key).format(compressed=False)[1:])[-ADDRESS_BYTES:]


def address_of(secret: bytes) -> bytes:
    """EVM address, 20 bytes, of a private key of 32 bytes."""
    return address(PrivateKey(secret).public_key.format())


def ratio1_address(public_key: bytes) -> str:
    """Ratio1's node address of a public key: "0xai_" and base64url of the 33 compressed bytes, 49 characters."""
    return RATIO1_PREFIX + base64.urlsafe_b64encode(PublicKey(public_key).format()).decode().rstrip("=")


def recover(signature: bytes, digest: bytes, expected: bytes) -> bytes | None:
    """Find the public key of `expected` (address, 20 bytes) that signed a digest, or None.

    A COSE signature carries no recovery id, so all four are tried; the key is 33 bytes, compressed.
    """
    if len(signature) != SIGNATURE_BYTES or not is_low_s(signature):
        return None
    for recovery_id in range(4):
        try:
            found = PublicKey.from_signature_and_message(signature + bytes([recovery_id]), digest, hasher=None)
        except ValueError:  # no point has this x
            continue
        if keccak(found.format(compressed=False)[1:])[-ADDRESS_BYTES:] == expected:
            return bytes(found.format())
    return None

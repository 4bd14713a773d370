"""COSE_Sign1 with ES256K and the device id as key id: made and taken apart, pure; refuses every other COSE message.

Nothing here knows a curve: to sign is a function digest (32 bytes) -> 65 bytes r | s | recovery id, and whoever opens a
frame checks its signature (WIRE.md, "What a verifier checks").
Source: RFC 9052 (structure; external_aad is empty), RFC 8812 (ES256K = -47: ECDSA on secp256k1 over SHA-256, r | s).
"""

import hashlib

from . import cbor
from .cbor import const
from .errors import WireError
from .fields import check_bytes, check_int, take_claims, take_fields

_ALG = const(1)
_KID = const(4)
ID_BYTES = const(20)
HEARTBEAT_MAX_BYTES = const(192)

_PROTECTED = b"\xa1\x01\x38\x2e"  # {1: -47}
_SIG_STRUCTURE = b"\x84\x6aSignature1\x44" + _PROTECTED + b"\x40"  # the payload follows
_U64 = const(0xFFFFFFFFFFFFFFFF)
# Half the order of secp256k1: of the two signatures (r, s) and (r, n - s) only the one with s at most this is accepted.
_HALF_ORDER = b"\x7f" + b"\xff" * 15 + b"\x5d\x57\x6e\x73\x57\xa4\x50\x1d\xdf\xe9\x2f\x46\x68\x1b\x20\xa0"


def sign1(payload, device_id, sign) -> bytes:
    """Sign a payload -> tagged COSE_Sign1 frame (bytes); sign: digest (32 bytes) -> 65 bytes r | s | recovery id."""
    signature = bytes(sign(_sig_digest(payload))[:64])
    return cbor.encode(cbor.Sign1([_PROTECTED, {_KID: device_id}, payload, signature]))


def open_sign1(frame: bytes, max_bytes: int = HEARTBEAT_MAX_BYTES) -> tuple[bytes, bytes, bytes, bytes]:
    """Take a COSE_Sign1 apart -> (device id 20 bytes, payload bytes, signature 64 bytes r | s, digest 32 bytes).

    The signature is not checked here: recover the signer's address from it and the digest and compare with the id.

    Raises:
        WireError: not a tagged COSE_Sign1 of ES256K with one 20-byte key id and a low-S signature.
    """
    message = cbor.decode(frame, max_bytes)
    if type(message) is not cbor.Sign1:
        raise WireError("malformed", "frame: got no tag 18, wanted a COSE_Sign1")
    protected, unprotected, payload, signature = take_fields(message.items, "COSE_Sign1", (bytes, dict, bytes, bytes))
    if protected != _PROTECTED:
        _refuse_protected(protected)
    (device_id,) = take_claims(unprotected, "unprotected", (_KID,))
    check_bytes(device_id, "kid", ID_BYTES)
    if check_bytes(signature, "signature", 64)[32:] > _HALF_ORDER:
        raise WireError("malformed", "signature: got a high s, wanted s <= n / 2")
    return device_id, payload, signature, _sig_digest(payload)


def _refuse_protected(protected):
    """Tell what is wrong with other bytes than the one deterministic encoding of {1: -47}."""
    (alg,) = take_claims(cbor.decode(protected, len(protected)), "protected", (_ALG,))
    check_int(alg, "alg", -_U64, _U64)
    raise WireError("malformed", f"alg: got {alg}, wanted -47")


def _sig_digest(payload):
    return hashlib.sha256(_SIG_STRUCTURE + cbor.encode(payload)).digest()

"""Ratio1's signed messages: JSON that its nodes verify; refuses to sign what JSON writers spell differently.

Rules:
1. Canonical form: the message without its top-level signature fields, keys sorted, separators "," and ":", raw UTF-8;
   NaN and infinities become null. SIGN_CANON_V is part of it exactly when it says "v2".
2. EE_HASH = hex SHA-256 of that form; EE_SIGN = base64url, padded, of the DER ECDSA-SHA256 over the 32 raw hash bytes
   (so the curve signs SHA-256 of SHA-256); EE_SENDER = "0xai_" address of the key.
3. We sign only ASCII strings, integers, booleans, null, lists and objects of them. `verify` takes what Ratio1 sends.

Source: dAuth in Ratio1's public Python package (`DefaultBlockEngine.sign` and `.verify`, canonical form "v2").
"""

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from coincurve import PrivateKey

from gateway import curve

CANON = "SIGN_CANON_V"
CANON_VERSION = "v2"
SIGNATURE_FIELDS = frozenset({"EE_SIGN", "EE_SENDER", "EE_HASH", "EE_ETH_SIGN", "EE_ETH_SENDER", CANON})

Message = dict[str, Any]


class MessageRefused(ValueError):
    """A message that is not signed by the sender it names, or that cannot be signed so that everyone agrees."""


def encode_canonical(message: Mapping[str, Any]) -> bytes:
    """Bytes that are hashed: rule 1.

    Raises:
        MessageRefused: a value that JSON has no form for.
    """
    signed = {key: value for key, value in message.items() if key not in SIGNATURE_FIELDS}
    if message.get(CANON) == CANON_VERSION:
        signed[CANON] = CANON_VERSION
    try:
        text = json.dumps(_without_nan(signed), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise MessageRefused(f"message has no canonical form: {type(error).__name__}") from None


def sign(message: Mapping[str, Any], secret: bytes) -> Message:
    """A copy of the message with EE_SIGN, EE_SENDER and EE_HASH, signed by a private key of 32 bytes.

    Raises:
        MessageRefused: the message holds a float, a string beyond ASCII or anything else outside rule 3.
    """
    _require_portable(message, "message")
    signed = {**{key: value for key, value in message.items() if key not in SIGNATURE_FIELDS}, CANON: CANON_VERSION}
    digest = hashlib.sha256(encode_canonical(signed)).digest()
    key = PrivateKey(secret)
    signature = key.sign(digest)
    signed["EE_SIGN"] = base64.urlsafe_b64encode(signature).decode()
    signed["EE_SENDER"] = curve.ratio1_address(key.public_key.format())
    signed["EE_HASH"] = digest.hex()
    return signed


def verify(message: Mapping[str, Any]) -> str:
    """Check a signed message and return the "0xai_" address that signed it.

    The caller decides whether that address may say what the message says.

    Raises:
        MessageRefused: a signature field is missing or malformed, the hash is another's, or the signature is bad.
    """
    sender, hash_text, sign_text = (message.get(name) for name in ("EE_SENDER", "EE_HASH", "EE_SIGN"))
    if not (isinstance(sender, str) and isinstance(hash_text, str) and isinstance(sign_text, str)):
        raise MessageRefused("EE_SENDER, EE_HASH and EE_SIGN wanted as text")
    digest = hashlib.sha256(encode_canonical(message)).digest()
    if digest.hex() != hash_text:
        raise MessageRefused(f"EE_HASH {hash_text[:64]}, the message's is {digest.hex()}")
    try:
        signature = base64.urlsafe_b64decode(sign_text)
        public_key = decode_address(sender)
    except (ValueError, binascii.Error):
        raise MessageRefused("EE_SIGN or EE_SENDER is not base64url of a signature and a key") from None
    if not curve.verify_der(public_key, hashlib.sha256(digest).digest(), signature):
        raise MessageRefused(f"EE_SIGN is not {sender[:49]}'s signature of EE_HASH")
    return sender


def decode_address(text: str) -> bytes:
    """Compressed public key, 33 bytes, of a "0xai_" address.

    Raises:
        ValueError: the text is none.
    """
    encoded = text.removeprefix(curve.RATIO1_PREFIX)
    public_key = base64.b64decode(encoded, altchars=b"-_", validate=True)
    if encoded == text or len(public_key) != 33:
        raise ValueError(f"Ratio1 address wanted as 0xai_ and 44 base64url characters, got {len(text)} characters")
    return public_key


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return value


def _require_portable(value: Any, where: str) -> None:
    """Hold rule 3, naming the place of the first value that breaks it."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise MessageRefused(f"{where}: a key that is no ASCII text")
            _require_portable(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _require_portable(inner, f"{where}[{index}]")
    elif isinstance(value, str):
        if not value.isascii():
            raise MessageRefused(f"{where}: ASCII text wanted")
    elif not (value is None or isinstance(value, int)):
        raise MessageRefused(f"{where}: {type(value).__name__}, wanted text, integer, boolean, null, list or object")

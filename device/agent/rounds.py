"""EDIL's messages between device and gateway, pure; refuses every frame that is not exactly what EDIL.md specifies.

For each message a pair encode_/decode_; manifest and update travel signed (cose.py). Refusals are WireError (wire.py).
"""

import hashlib

from . import cbor
from .cbor import const
from .cose import open_sign1, sign1
from .errors import WireError
from .fields import check_bytes, check_int, check_text, take_claims, take_fields
from .wire import check_model, encode_checked

MANIFEST_MAX_BYTES = const(384)
UPDATE_MAX_BYTES = const(320)
ENROL_MAX_BYTES = const(384)
PART_MAX_BYTES = const(512)
PART_BYTES = const(480)
SMALL_MAX_BYTES = const(96)

ROUND = const(-65539)
UPDATE = const(-65540)

KEY_BYTES = const(33)
DIGEST_BYTES = const(32)
HOLDERS_MIN = const(2)
HOLDERS_MAX = const(4)
WINDOWS_MAX = const(255)
DEVICES_MAX = const(256)
STATUS_MAX_BYTES = const(16)

RINGS = {1024: 3456, 2048: 6912, 4096: 15360}  # coefficients: bytes of a ciphertext
MOMENTS, CLASSES, DECODER, INFERENCE, VECTOR = 1, 2, 3, 4, 5

_U16 = const(0xFFFF)
_U32 = const(0xFFFFFFFF)
_U64 = const(0xFFFFFFFFFFFFFFFF)


class Manifest:
    """What a round asks for: the fields of EDIL.md, section 3, and `digest` (32 bytes, M) once it was opened."""

    FIELDS = (
        "round", "ring", "model", "kind", "width", "classes", "first_row", "rows", "windows", "clip", "digits", "k_min",
        "duration_ms", "deadline_ms", "holders",
    )  # fmt: skip

    def __init__(self, *values):
        """values: one a field, in their order. Raises WireError: one is outside its range."""
        self.digest = None
        for index, name in enumerate(self.FIELDS):
            setattr(self, name, values[index])
        check_int(self.round, "round", 1, _U32)
        if self.ring not in RINGS:
            raise WireError("malformed", f"ring: got {self.ring}, wanted 1024, 2048 or 4096")
        check_model(self.model)
        check_int(self.kind, "kind", MOMENTS, VECTOR)
        check_int(self.width, "width", 1, 255)
        check_int(self.classes, "classes", 0, 255)
        check_int(self.first_row, "first_row", 0, _U16)
        check_int(self.rows, "rows", 0, _U16)
        check_int(self.windows, "windows", 1, WINDOWS_MAX)
        check_int(self.clip, "clip", 1, 127)
        check_int(self.digits, "digits", 1, 4)
        check_int(self.k_min, "k_min", 2, DEVICES_MAX)
        check_int(self.duration_ms, "duration_ms", 1, _U32)
        check_int(self.deadline_ms, "deadline_ms", 0, _U64)
        check_bytes(self.holders, "holders", DIGEST_BYTES)

    def values(self):
        """The fields' values in their order (list)."""
        return [getattr(self, name) for name in self.FIELDS]


def sign_manifest(manifest, data_owner: bytes, sign) -> bytes:
    """A Manifest, signed by the data owner (address, 20 bytes) -> frame of at most 384 bytes."""
    return sign1(cbor.encode({ROUND: manifest.values()}), data_owner, sign)


def open_manifest(frame: bytes):
    """Take a manifest apart -> (Manifest, data owner 20 bytes, signature 64 bytes, digest that is signed 32 bytes).

    The signature is not checked here.

    Raises:
        WireError
    """
    signer, payload, signature, signed = open_sign1(frame, MANIFEST_MAX_BYTES)
    (body,) = take_claims(cbor.decode(payload, MANIFEST_MAX_BYTES), "manifest", (ROUND,))
    kinds = [bytes if name in ("model", "holders") else int for name in Manifest.FIELDS]
    manifest = Manifest(*take_fields(body, "manifest", kinds))
    manifest.digest = hashlib.sha256(frame).digest()
    return manifest, signer, signature, signed


def encode_enrol(chain_id: int, contract: bytes, holders, number: int, signature: bytes) -> bytes:
    """Message on tinyren/ID/enrol -> bytes.

    Args:
        chain_id: u64. contract: 20 bytes. holders: 2..4 compressed keys (33 bytes each), the data owner's first.
        number: u32 from 1. signature: 65 bytes r | s | v with v 27 or 28, the owner's of the Enrolment.
    """
    return encode_checked([chain_id, contract, list(holders), number, signature], decode_enrol)


def decode_enrol(frame: bytes):
    """Message on tinyren/ID/enrol -> (chain_id, contract, holders list, number, signature). Raises WireError."""
    return check_enrol(cbor.decode(frame, ENROL_MAX_BYTES))


def check_enrol(body):
    """The decoded array of an enrolment -> its fields as decode_enrol gives them. Raises WireError."""
    chain_id, contract, holders, number, signature = take_fields(body, "enrol", (int, bytes, list, int, bytes))
    check_int(chain_id, "chain_id", 0, _U64)
    check_bytes(contract, "contract", 20)
    check_int(len(holders), "number of holders", HOLDERS_MIN, HOLDERS_MAX)
    for index, key in enumerate(holders):
        if check_bytes(key, "holder", KEY_BYTES)[0] not in (2, 3) or key in holders[:index]:
            raise WireError("malformed", f"holder {index}: got no compressed key, or one twice, wanted another")
    check_int(number, "number", 1, _U32)
    if check_bytes(signature, "signature", 65)[64] not in (27, 28):
        raise WireError("malformed", f"v: got {signature[64]}, wanted 27 or 28")
    return chain_id, contract, holders, number, signature


def sign_update(device_id, sign, manifest: bytes, enrolment: bytes, index: int, count: int, digest: bytes) -> bytes:
    """Header of a ciphertext, signed -> frame of at most 320 bytes.

    Args:
        manifest, enrolment, digest: 32 bytes each: M, the Enrolment's digest, SHA-256 of the ciphertext.
        index, count: u16; count of windows in it, from 1.
    """
    return sign1(encode_checked({UPDATE: [manifest, enrolment, index, count, digest]}, decode_update), device_id, sign)


def decode_update(payload: bytes):
    """Payload of an update -> (manifest, enrolment, index, count, digest), as sign_update. Raises WireError."""
    (body,) = take_claims(cbor.decode(payload, UPDATE_MAX_BYTES), "update", (UPDATE,))
    manifest, enrolment, index, count, digest = take_fields(body, "update", (bytes, bytes, int, int, bytes))
    check_bytes(manifest, "manifest", DIGEST_BYTES)
    check_bytes(enrolment, "enrolment", DIGEST_BYTES)
    check_int(index, "index", 0, WINDOWS_MAX - 1)
    check_int(count, "count", 1, WINDOWS_MAX)
    check_bytes(digest, "digest", DIGEST_BYTES)
    return manifest, enrolment, index, count, digest


def encode_part(digest: bytes, offset: int, data) -> bytes:
    """Message on tinyren/ID/part: SHA-256 of the ciphertext (32 bytes), offset, 1..480 bytes from there -> bytes."""
    return encode_checked([digest[:8], offset, data], decode_part)


def decode_part(frame: bytes):
    """Message on tinyren/ID/part -> (first 8 bytes of the digest, offset, data). Raises WireError."""
    start, offset, data = take_fields(cbor.decode(frame, PART_MAX_BYTES), "part", (bytes, int, bytes))
    check_bytes(start, "digest", 8)
    check_int(offset, "offset", 0, RINGS[4096] - 1)
    check_int(len(data), "part's bytes", 1, PART_BYTES)
    return start, offset, data


def encode_taken(manifest: bytes, index: int, status: str) -> bytes:
    """Message on tinyren/ID/taken: M (32 bytes), index, "stored" or why not -> bytes."""
    return encode_checked([manifest, index, status], decode_taken)


def decode_taken(frame: bytes):
    """Message on tinyren/ID/taken -> (manifest, index, status). Raises WireError."""
    manifest, index, status = take_fields(cbor.decode(frame, SMALL_MAX_BYTES), "taken", (bytes, int, str))
    check_bytes(manifest, "manifest", DIGEST_BYTES)
    check_int(index, "index", 0, WINDOWS_MAX - 1)
    return manifest, index, check_text(status, "status", STATUS_MAX_BYTES)


def encode_label(label) -> bytes:
    """Message on tinyren/ID/label: a class (0..255), or None for none -> bytes."""
    return encode_checked([] if label is None else [label], decode_label)


def decode_label(frame: bytes):
    """Message on tinyren/ID/label -> class, or None. Raises WireError."""
    body = cbor.decode(frame, SMALL_MAX_BYTES)
    if body == []:
        return None
    (label,) = take_fields(body, "label", (int,))
    return check_int(label, "label", 0, 255)


def encode_status(digest: bytes, status: str) -> bytes:
    """Message on tinyren/ID/edil: of what (32 bytes), "enrolled", "joined" or why not -> bytes."""
    return encode_checked([digest, status], decode_status)


def decode_status(frame: bytes):
    """Message on tinyren/ID/edil -> (digest, status). Raises WireError."""
    digest, status = take_fields(cbor.decode(frame, SMALL_MAX_BYTES), "edil", (bytes, str))
    return check_bytes(digest, "digest", DIGEST_BYTES), check_text(status, "status", STATUS_MAX_BYTES)

"""The wire format of devices, pure; refuses every frame that is not exactly what WIRE.md specifies.

For each message a pair encode_/decode_. Heartbeat and announce travel signed: sign_* makes the COSE_Sign1 frame and
open_sign1 takes it apart (cose.py); to sign is a function digest (32 bytes) -> 65 bytes r | s | recovery id.

A refused frame raises WireError whose `reason` is one of REASONS:
  too_large          longer than the message's limit; nothing was parsed
  malformed          not CBOR, another structure, or a value of the right type outside its length or range
  not_deterministic  CBOR, but not RFC 8949 4.2.1
  missing_claim      a label that must be there is not
  unknown_claim      a label that the message does not have
  wrong_type         a value of another type
Source: RFC 9052 (COSE), RFC 8812 (ES256K), RFC 9711 (EAT).
"""

import hashlib
from binascii import hexlify

from . import cbor
from .cbor import const
from .cose import HEARTBEAT_MAX_BYTES as HEARTBEAT_MAX_BYTES
from .cose import ID_BYTES as ID_BYTES
from .cose import open_sign1 as open_sign1
from .cose import sign1 as sign1
from .errors import LocalError as LocalError
from .errors import WireError as WireError
from .fields import check_bytes, check_int, check_text, take_claims, take_fields

REASONS = ("too_large", "malformed", "not_deterministic", "missing_claim", "unknown_claim", "wrong_type")

ANNOUNCE_MAX_BYTES = const(384)
_BIND_MAX_BYTES = const(160)
SMALL_MAX_BYTES = const(96)
_SAMPLES_MAX_BYTES = const(512)

BEACON_BYTES = const(14)
_MODEL_BYTES = const(36)
CHAIN_BYTES = const(16)
_SAMPLE_BYTES = const(8)
_BOARD_MAX_BYTES = const(32)
TEXT_MAX_BYTES = const(48)
BUDGET_MAX_HOURS = const(23)

NONCE = const(10)
_HWMODEL = const(259)
_BOOTCOUNT = const(267)
_SWVERSION = const(271)
_HEARTBEAT = const(-65537)
_ANNOUNCE = const(-65538)

_U32 = const(0xFFFFFFFF)
_U64 = const(0xFFFFFFFFFFFFFFFF)
_CID_HEAD = b"\x01\x55\x12\x20"


def topic(device_id: bytes, name: str) -> str:
    """Topic of a device's message: device id (20 bytes), e.g. "heartbeat" -> str."""
    return f"tinyren/{hexlify(device_id).decode()}/{name}"


# Heartbeat


def sign_heartbeat(device_id, sign, beacon, boot, sequence, model, count, chain, budget):
    """encode_heartbeat, signed -> frame of at most 192 bytes."""
    return sign1(encode_heartbeat(beacon, boot, sequence, model, count, chain, budget), device_id, sign)


def encode_heartbeat(
    beacon: bytes, boot: int, sequence: int, model: bytes, count: int, chain: bytes, budget: int
) -> bytes:
    """Payload of a heartbeat -> bytes.

    Args:
        beacon: 14 bytes, the one that is answered.
        boot, sequence, count: u32; boot and sequence from 1; count of inferences since boot.
        model: 36 bytes, binary CIDv1 of the model.
        chain: 16 bytes, chain of output digests since boot.
        budget: 0..23, whole hours for which late records have room; 23 is 23 or more.
    Raises:
        LocalError: a field does not fit.
    """
    return encode_checked({NONCE: beacon, _HEARTBEAT: [boot, sequence, model, count, chain, budget]}, decode_heartbeat)


def decode_heartbeat(payload: bytes) -> tuple[bytes, int, int, bytes, int, bytes, int]:
    """Payload of a heartbeat -> (beacon, boot, sequence, model, count, chain, budget), as encode_heartbeat takes them.

    Raises:
        WireError
    """
    beacon, body = take_claims(cbor.decode(payload, HEARTBEAT_MAX_BYTES), "heartbeat", (NONCE, _HEARTBEAT))
    kinds = (int, int, bytes, int, bytes, int)
    boot, sequence, model, count, chain, budget = take_fields(body, "heartbeat", kinds)
    check_bytes(beacon, "eat_nonce", BEACON_BYTES)
    check_int(boot, "boot", 1, _U32)
    check_int(sequence, "sequence", 1, _U32)
    check_model(model)
    check_int(count, "count", 0, _U32)
    check_bytes(chain, "chain", CHAIN_BYTES)
    check_int(budget, "budget", 0, BUDGET_MAX_HOURS)
    return beacon, boot, sequence, model, count, chain, budget


# Announce


def sign_announce(device_id, sign, board, boot, version, core, model, public_key, source):
    """encode_announce, signed -> frame of at most 384 bytes."""
    return sign1(encode_announce(board, boot, version, core, model, public_key, source), device_id, sign)


def encode_announce(
    board: str, boot: int, version: str, core: str, model: bytes, public_key: bytes, source: str
) -> bytes:
    """Payload of an announce -> bytes.

    Args:
        board: str, 1..32 bytes. version, core, source: str, 1..48 bytes each; source says where samples come from.
        boot: u32 from 1. model: 36 bytes. public_key: 33 bytes, compressed.
    Raises:
        LocalError: a field does not fit.
    """
    claims = {_HWMODEL: board.encode(), _BOOTCOUNT: boot, _SWVERSION: [version]}
    claims[_ANNOUNCE] = [core, model, public_key, source]
    return encode_checked(claims, decode_announce)


def decode_announce(payload: bytes) -> tuple[str, int, str, str, bytes, bytes, str]:
    """Payload of an announce -> (board, boot, version, core, model, public_key, source), as encode_announce takes them.

    Raises:
        WireError
    """
    labels = (_HWMODEL, _BOOTCOUNT, _SWVERSION, _ANNOUNCE)
    board, boot, version, body = take_claims(cbor.decode(payload, ANNOUNCE_MAX_BYTES), "announce", labels)
    (version,) = take_fields(version, "swversion", (str,))
    core, model, public_key, source = take_fields(body, "announce", (str, bytes, bytes, str))
    check_bytes(board, "hwmodel", None)
    try:
        board = str(board, "utf-8")
    except UnicodeError:
        raise WireError("malformed", "hwmodel: got bytes that are not UTF-8, wanted UTF-8") from None
    check_text(board, "hwmodel", _BOARD_MAX_BYTES)
    check_int(boot, "bootcount", 1, _U32)
    check_text(version, "swversion", TEXT_MAX_BYTES)
    check_text(core, "core", TEXT_MAX_BYTES)
    check_model(model)
    if check_bytes(public_key, "public key", 33)[0] not in (2, 3):
        raise WireError("malformed", f"public key: got first byte {public_key[0]}, wanted 2 or 3")
    check_text(source, "source", TEXT_MAX_BYTES)
    return board, boot, version, core, model, public_key, source


# Beacon


def make_beacon(epoch: int, window: int, block_hash: bytes) -> bytes:
    """The beacon of a window (u16) of an epoch (u32), from the hash of the newest block (32 bytes) -> 14 bytes."""
    number = epoch.to_bytes(4, "big") + window.to_bytes(2, "big")
    return number + hashlib.sha256(b"tinyren beacon" + block_hash + number).digest()[:8]


def split_beacon(beacon: bytes) -> tuple[int, int]:
    """Beacon (14 bytes) -> (epoch, window)."""
    return int.from_bytes(beacon[:4], "big"), int.from_bytes(beacon[4:6], "big")


def encode_beacon(beacon: bytes, window_ms: int) -> bytes:
    """Message on tinyren/beacon: beacon (14 bytes), length of its window in ms (u32 from 1) -> bytes."""
    return encode_checked([beacon, window_ms], decode_beacon)


def decode_beacon(frame: bytes) -> tuple[bytes, int]:
    """Message on tinyren/beacon -> (beacon 14 bytes, window_ms). Raises WireError."""
    beacon, window_ms = take_fields(cbor.decode(frame, SMALL_MAX_BYTES), "beacon", (bytes, int))
    return check_bytes(beacon, "beacon", BEACON_BYTES), check_int(window_ms, "window_ms", 1, _U32)


# Ack


def encode_ack(boot: int, sequence: int) -> bytes:
    """Message on tinyren/ID/ack: the heartbeat (boot, sequence), both u32 from 1, is stored -> bytes.

    On tinyren/ID/late_ack it says so of a batch of late records, by its last.
    """
    return encode_checked([boot, sequence], decode_ack)


def decode_ack(frame: bytes) -> tuple[int, int]:
    """Message on tinyren/ID/ack -> (boot, sequence). Raises WireError."""
    boot, sequence = take_fields(cbor.decode(frame, SMALL_MAX_BYTES), "ack", (int, int))
    return check_int(boot, "boot", 1, _U32), check_int(sequence, "sequence", 1, _U32)


# Bind and bound


def encode_bind(
    chain_id: int, contract: bytes, deed: int, owner: bytes, board: str, nonce: int, deadline: int
) -> bytes:
    """Message on tinyren/ID/bind, the fields of a Binding (eip712.py) without the device -> bytes.

    Args:
        chain_id, deed, nonce, deadline: u64; deadline in seconds since 1970.
        contract, owner: 20 bytes each. board: str, 1..32 ASCII characters.
    """
    return encode_checked([chain_id, contract, deed, owner, board, nonce, deadline], decode_bind)


def decode_bind(frame: bytes) -> tuple[int, bytes, int, bytes, str, int, int]:
    """Message on tinyren/ID/bind -> (chain_id, contract, deed, owner, board, nonce, deadline). Raises WireError."""
    body = cbor.decode(frame, _BIND_MAX_BYTES)
    kinds = (int, bytes, int, bytes, str, int, int)
    chain_id, contract, deed, owner, board, nonce, deadline = take_fields(body, "bind", kinds)
    for name, value in (("chain_id", chain_id), ("deed", deed), ("nonce", nonce), ("deadline", deadline)):
        check_int(value, name, 0, _U64)
    check_bytes(contract, "contract", ID_BYTES)
    check_bytes(owner, "owner", ID_BYTES)
    if max(check_text(board, "board", _BOARD_MAX_BYTES).encode()) > 127:
        raise WireError("malformed", "board: got other characters, wanted ASCII")
    return chain_id, contract, deed, owner, board, nonce, deadline


def encode_bound(nonce: int, signature: bytes) -> bytes:
    """Message on tinyren/ID/bound: the bind's nonce (u64), signature 65 bytes r | s | v with v 27 or 28 -> bytes."""
    return encode_checked([nonce, signature], decode_bound)


def decode_bound(frame: bytes) -> tuple[int, bytes]:
    """Message on tinyren/ID/bound -> (nonce, signature). Raises WireError."""
    nonce, signature = take_fields(cbor.decode(frame, SMALL_MAX_BYTES), "bound", (int, bytes))
    check_int(nonce, "nonce", 0, _U64)
    if check_bytes(signature, "signature", 65)[64] not in (27, 28):
        raise WireError("malformed", f"v: got {signature[64]}, wanted 27 or 28")
    return nonce, signature


# Account


def encode_account(gateway: bytes) -> bytes:
    """Message on tinyren/ID/account: the gateway's compressed public key, 33 bytes -> bytes."""
    return encode_checked([gateway], decode_account)


def decode_account(frame: bytes) -> bytes:
    """Message on tinyren/ID/account -> the gateway's key, 33 bytes, not yet known to be a point. Raises WireError."""
    (gateway,) = take_fields(cbor.decode(frame, SMALL_MAX_BYTES), "account", (bytes,))
    return check_bytes(gateway, "key", 33)


# Samples


def encode_samples(source: str, samples: bytes) -> bytes:
    """Message on tinyren/ID/samples: source (str, 1..48 bytes), samples int16[n, 4] little-endian, n >= 1 -> bytes."""
    return encode_checked([source, samples], decode_samples)


def decode_samples(frame: bytes) -> tuple[str, bytes]:
    """Message on tinyren/ID/samples -> (source str, samples bytes of int16[n, 4] little-endian). Raises WireError."""
    source, samples = take_fields(cbor.decode(frame, _SAMPLES_MAX_BYTES), "samples", (str, bytes))
    if not samples or len(samples) % _SAMPLE_BYTES:
        raise WireError("malformed", f"samples: got {len(samples)} bytes, wanted a multiple of 8")
    return check_text(source, "source", TEXT_MAX_BYTES), samples


def encode_checked(value, decode):
    """Encode what the decoder accepts, so that no sender can make what every receiver refuses."""
    frame = cbor.encode(value)
    try:
        decode(frame)
    except WireError as error:
        raise LocalError(f"cannot encode: {error}") from None
    return frame


def check_model(value):
    if check_bytes(value, "model", _MODEL_BYTES)[:4] != _CID_HEAD:
        raise WireError("malformed", "model: got another CID, wanted CIDv1, raw, sha2-256")

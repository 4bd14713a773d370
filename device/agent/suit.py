"""The messages of updates, pure; refuses every frame that is not exactly what UPDATE.md specifies.

For each message a pair encode_/decode_; manifest and installed travel signed (cose.py). Refusals are WireError.
Source: RFC 9019 and RFC 9124 for what a manifest has to say.
"""

from . import cbor
from .cbor import const
from .cose import open_sign1, sign1
from .errors import WireError
from .fields import check_bytes, check_int, check_text, take_claims, take_fields
from .manifest import Manifest
from .phases import AGENT as AGENT
from .phases import MODEL as MODEL
from .phases import REASON_BYTES
from .wire import encode_checked

MANIFEST_MAX_BYTES = const(448)
INSTALLED_MAX_BYTES = const(320)
CHUNK_MAX_BYTES = const(512)
CHUNK_BYTES = const(480)
CHUNKS_MAX = const(4)
TRUST_MAX_BYTES = const(160)
OUTPUT_MAX_BYTES = const(300)
OUTPUT_MOST = const(290)  # bytes of one output
SMALL_MAX_BYTES = const(96)

MANIFEST = const(-65546)
INSTALLED = const(-65547)

NO_PARAMETERS = b"\x80"  # an agent's
TOLD_FETCHING, TOLD_TRYING, TOLD_CONFIRMED, TOLD_REFUSED, TOLD_FAILED, TOLD_SAFE = 1, 2, 3, 4, 5, 6

_BOARD_MAX_BYTES = const(32)
_ABI_MAX_BYTES = const(24)
_PARAMETERS_MAX_BYTES = const(128)
_CHANNELS = const(4)
_PERIOD_MS = const(60000)
_NO_INDEX = const(255)
_U32 = const(0xFFFFFFFF)
_U64 = const(0xFFFFFFFFFFFFFFFF)


def sign_manifest(key: bytes, sign, *fields) -> bytes:
    """A Manifest of these fields, signed by the update key (address, 20 bytes) -> frame of at most 448 bytes.

    Raises:
        WireError: a field is outside its range.
    """
    return sign1(cbor.encode({MANIFEST: _check(Manifest(*fields)).values()}), key, sign)


def open_manifest(frame: bytes):
    """Take a manifest apart -> (Manifest, update key 20 bytes, signature 64 bytes, digest that is signed 32 bytes).

    The signature is not checked here.

    Raises:
        WireError
    """
    signer, payload, signature, signed = open_sign1(frame, MANIFEST_MAX_BYTES)
    return decode_manifest(payload), signer, signature, signed


def decode_manifest(payload: bytes):
    """Payload of a manifest -> Manifest. Raises WireError."""
    (body,) = take_claims(cbor.decode(payload, MANIFEST_MAX_BYTES), "manifest", (MANIFEST,))
    return _check(Manifest(*take_fields(body, "manifest", (int, int, str, str, int, bytes, int, bytes))))


def _check(manifest):
    """The manifest. Raises WireError: a field is outside its range."""
    check_int(manifest.sequence, "sequence", 1, _U32)
    check_int(manifest.kind, "kind", MODEL, AGENT)
    check_text(manifest.board, "board", _BOARD_MAX_BYTES)
    check_text(manifest.abi, "abi", _ABI_MAX_BYTES)
    check_int(manifest.needs, "needs", 0, _U32)
    check_bytes(manifest.digest, "digest", 32)
    check_int(manifest.size, "size", 0, _U32)
    if not manifest.size and manifest.digest != bytes(32):
        raise WireError("malformed", "digest: got one of nothing, wanted zeros with size 0")
    if manifest.kind == MODEL:
        decode_parameters(manifest.parameters)
    elif manifest.parameters != NO_PARAMETERS:
        raise WireError("malformed", "parameters: got some, wanted an agent's: an empty array")
    return manifest


def encode_parameters(offsets, shifts, sample_ms: int, report=(0, 255, -128), reader=b"") -> bytes:
    """Parameters of a model's manifest -> bytes.

    Args:
        offsets: int16, shifts: 0..15, one of each a channel, 1..4. sample_ms: 1..60000.
        report: every (u32; 0: nothing is reported), index (0..255; 255: none), least (int8).
        reader: the key that reveals are sealed to, 33 bytes; empty: they are for everybody.
    Raises:
        LocalError: a field does not fit.
    """
    body = [list(offsets), list(shifts), sample_ms, list(report)]
    return encode_checked(body + [reader] if reader else body, decode_parameters)


def decode_parameters(parameters: bytes):
    """Parameters of a model's manifest -> (offsets, shifts, sample_ms, (every, index, least), reader or b"").

    Raises:
        WireError
    """
    body = cbor.decode(check_bytes(parameters, "parameters", None), _PARAMETERS_MAX_BYTES)
    reader = b""
    if type(body) is list and len(body) == 5:
        reader = check_bytes(body.pop(), "reader", 33)
        if reader[0] not in (2, 3):
            raise WireError("malformed", f"reader: got first byte {reader[0]}, wanted 2 or 3")
    offsets, shifts, sample_ms, report = take_fields(body, "parameters", (list, list, int, list))
    check_int(len(offsets), "number of offsets", 1, _CHANNELS)
    check_int(len(shifts), "number of shifts", len(offsets), len(offsets))
    for offset in offsets:
        check_int(offset, "offset", -32768, 32767)
    for shift in shifts:
        check_int(shift, "shift", 0, 15)
    check_int(sample_ms, "sample_ms", 1, _PERIOD_MS)
    every, index, least = take_fields(report, "report", (int, int, int))
    check_int(every, "every", 0, _U32)
    check_int(index, "index", 0, _NO_INDEX)
    check_int(least, "least", -128, 127)
    return offsets, shifts, sample_ms, (every, index, least), reader


def encode_trust(chain_id: int, contract: bytes, key: bytes, number: int, signature: bytes) -> bytes:
    """Message on tinyren/ID/trust -> bytes.

    Args:
        chain_id: u64. contract: 20 bytes. key: the update key's address, 20 bytes. number: u32 from 1.
        signature: 65 bytes r | s | v with v 27 or 28, the owner's of the Trust (eip712.trust_digest).
    """
    return encode_checked([chain_id, contract, key, number, signature], decode_trust)


def decode_trust(frame: bytes):
    """Message on tinyren/ID/trust -> (chain_id, contract, key, number, signature). Raises WireError."""
    body = cbor.decode(frame, TRUST_MAX_BYTES)
    chain_id, contract, key, number, signature = take_fields(body, "trust", (int, bytes, bytes, int, bytes))
    check_int(chain_id, "chain_id", 0, _U64)
    check_bytes(contract, "contract", 20)
    check_bytes(key, "key", 20)
    check_int(number, "number", 1, _U32)
    if check_bytes(signature, "signature", 65)[64] not in (27, 28):
        raise WireError("malformed", f"v: got {signature[64]}, wanted 27 or 28")
    return chain_id, contract, key, number, signature


def encode_want(digest: bytes, offset: int, count: int) -> bytes:
    """Message on tinyren/ID/want: the artifact's digest (32 bytes), a multiple of 480, 1..4 chunks -> bytes."""
    return encode_checked([digest[:8], offset, count], decode_want)


def decode_want(frame: bytes):
    """Message on tinyren/ID/want -> (first 8 bytes of the digest, offset, count). Raises WireError."""
    start, offset, count = take_fields(cbor.decode(frame, SMALL_MAX_BYTES), "want", (bytes, int, int))
    check_bytes(start, "digest", 8)
    _check_offset(offset)
    return start, offset, check_int(count, "count", 1, CHUNKS_MAX)


def encode_chunk(digest: bytes, offset: int, data) -> bytes:
    """Message on tinyren/ID/chunk: the artifact's digest (32 bytes), offset, 1..480 bytes from there -> bytes."""
    return encode_checked([digest[:8], offset, data], decode_chunk)


def decode_chunk(frame: bytes):
    """Message on tinyren/ID/chunk -> (first 8 bytes of the digest, offset, data). Raises WireError."""
    start, offset, data = take_fields(cbor.decode(frame, CHUNK_MAX_BYTES), "chunk", (bytes, int, bytes))
    check_bytes(start, "digest", 8)
    _check_offset(offset)
    check_int(len(data), "chunk's bytes", 1, CHUNK_BYTES)
    return start, offset, data


def _check_offset(offset):
    if check_int(offset, "offset", 0, _U32) % CHUNK_BYTES:
        raise WireError("malformed", f"offset: got {offset}, wanted a multiple of {CHUNK_BYTES}")
    return offset


def sign_installed(
    device_id, sign, boot, kind, sequence, state, reason, fetched, model_sequence, agent_sequence
) -> bytes:
    """How far a device is with an update, signed -> frame of at most 320 bytes.

    Args:
        boot: u32 from 1. kind: 1 model, 2 agent. sequence, model_sequence, agent_sequence, fetched: u32.
        state: one of TOLD_*. reason: at most 64 bytes.
    """
    body = [boot, kind, sequence, state, reason, fetched, model_sequence, agent_sequence]
    return sign1(encode_checked({INSTALLED: body}, decode_installed), device_id, sign)


def decode_installed(payload: bytes):
    """Payload of installed -> (boot, kind, sequence, state, reason, fetched, model_sequence, agent_sequence).

    Raises:
        WireError
    """
    (body,) = take_claims(cbor.decode(payload, INSTALLED_MAX_BYTES), "installed", (INSTALLED,))
    fields = take_fields(body, "installed", (int, int, int, int, str, int, int, int))
    boot, kind, sequence, state, reason, fetched, model_sequence, agent_sequence = fields
    check_int(boot, "boot", 1, _U32)
    check_int(kind, "kind", MODEL, AGENT)
    check_int(sequence, "sequence", 0, _U32)
    check_int(state, "state", TOLD_FETCHING, TOLD_SAFE)
    if reason:
        check_text(reason, "reason", REASON_BYTES)
    check_int(fetched, "fetched", 0, _U32)
    check_int(model_sequence, "model_sequence", 0, _U32)
    check_int(agent_sequence, "agent_sequence", 0, _U32)
    return fields


def encode_output(count: int, output) -> bytes:
    """Message on tinyren/ID/output: inferences since boot (u32), the output's bytes (1..290) -> bytes."""
    return encode_checked([count, output], decode_output)


def decode_output(frame: bytes):
    """Message on tinyren/ID/output -> (count, output). Raises WireError."""
    count, output = take_fields(cbor.decode(frame, OUTPUT_MAX_BYTES), "output", (int, bytes))
    check_int(count, "count", 0, _U32)
    check_int(len(output), "output's bytes", 1, OUTPUT_MOST)
    return count, output

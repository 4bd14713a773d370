"""Reads what devices signed for the second scorer (verify.py); refuses every byte that the wire format does not give.

Source: device/agent/WIRE.md, sections on heartbeats and reveals, sealed or not; docs/poai.md (openings); RFC 9052
(COSE_Sign1), RFC 8812 (ES256K).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import cbor2
from coincurve import PublicKey

from gateway.verify.read import Refused, checksum, decode, keccak

ES256K_HEADER = bytes.fromhex("a101382e")  # {1: -47}, RFC 8812
RAW_SHA256_CID = bytes.fromhex("01551220")
HEARTBEAT_MAX_BYTES, REVEAL_MAX_BYTES, OPENING_MAX_BYTES = 192, 800, 288
KID, NONCE, CLAIM, REVEAL, SEALED, OPENING = 4, 10, -65537, -65550, -65551, -65552  # RFC 9052, RFC 9711, ours
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What of a signed heartbeat the rules use."""

    receipt_ms: int
    device: bytes
    beacon: bytes
    position: tuple[int, int]  # boot, sequence
    model: bytes
    count: int
    chain: bytes
    content: bytes  # SHA-256 of the payload that was signed


@dataclass(frozen=True)
class Reveal:
    """A signed answer to a challenge. place: device, boot, sequence, count, index; before: the chain, 16 bytes."""

    receipt_ms: int
    place: tuple[bytes, int, int, int, int]
    window: bytes
    outputs: bytes
    before: bytes


def read_heartbeat(item: object) -> Heartbeat:
    """The heartbeat in an item of evidence; raises Refused."""
    receipt_ms, _, kid, payload, signature = _take(item, HEARTBEAT_MAX_BYTES)
    match decode(payload):
        case {
            10: bytes(beacon),
            -65537: [int(boot), int(sequence), bytes(model), int(count), bytes(chained), int(budget)],
        }:
            claims = {NONCE: beacon, CLAIM: [boot, sequence, model, count, chained, budget]}
        case _:
            raise Refused("its payload is not a heartbeat's")
    if cbor2.dumps(claims) != payload:
        raise Refused("its CBOR is not deterministic, or holds more than a heartbeat")
    if (len(beacon), len(model), len(chained)) != (14, 36, 16):
        raise Refused("the length of a field is not a heartbeat's")
    if not all(_is_u32(value, least) for value, least in ((boot, 1), (sequence, 1), (count, 0))):
        raise Refused("its boot, sequence or count is not a u32, the first two from 1")
    if type(budget) is not int or not 0 <= budget <= 23:
        raise Refused("its budget is not 0 to 23 hours")
    if not model.startswith(RAW_SHA256_CID):
        raise Refused("its model is not a CIDv1 of raw bytes by SHA-256")
    _check_signer(kid, payload, signature)
    return Heartbeat(receipt_ms, kid, beacon, (boot, sequence), model, count, chained, hashlib.sha256(payload).digest())


@dataclass(frozen=True)
class Sealed:
    """A signed answer that `reader` alone can uncover. digest: SHA-256 of the message; keys are 33 bytes."""

    receipt_ms: int
    place: tuple[bytes, int, int, int, int]
    reader: bytes
    point: bytes
    box: bytes
    digest: bytes


@dataclass(frozen=True)
class Opening:
    """What shows that the reader with the address `signer` agreed on `shared` for the sealed message of this digest."""

    signer: bytes
    digest: bytes
    shared: bytes
    proof: bytes


def is_answer(item: object) -> bool:
    """Whether an item of evidence is meant as an answer to a challenge, sealed or not, or an opening of one."""
    match item:
        case [int(), bytes(message)]:
            match decode(message):
                case cbor2.CBORTag(tag=18, value=[bytes(), _, bytes(payload), bytes()]):
                    body = decode(payload)
                    return isinstance(body, dict) and list(body) in ([REVEAL], [SEALED], [OPENING])
    return False


def read_answer(item: object) -> Reveal | Sealed | Opening:
    """The answer to a challenge, or the opening of one, in an item of evidence; raises Refused."""
    receipt_ms, message, kid, payload, signature = _take(item, REVEAL_MAX_BYTES)
    match decode(payload):
        case {-65550: _}:
            found: Reveal | Sealed | Opening = reveal_of(receipt_ms, kid, payload)
        case {-65551: _}:
            found = _sealed_of(receipt_ms, kid, payload, hashlib.sha256(message).digest())
        case {-65552: [bytes(digest), bytes(shared), bytes(proof)]}:
            if cbor2.dumps({OPENING: [digest, shared, proof]}) != payload or len(message) > OPENING_MAX_BYTES:
                raise Refused("its CBOR is not deterministic, or longer than an opening")
            found = Opening(kid, digest, shared, proof)
        case _:
            raise Refused("its payload is no answer's")
    _check_signer(kid, payload, signature)
    return found


def reveal_of(receipt_ms: int, device: bytes, payload: bytes) -> Reveal:
    """The answer that a payload is; raises Refused."""
    match decode(payload):
        case {-65550: [int(boot), int(sequence), int(count), int(index), bytes(window), bytes(outputs), bytes(before)]}:
            body = [boot, sequence, count, index, window, outputs, before]
        case _:
            raise Refused("its payload is not a reveal's")
    if cbor2.dumps({REVEAL: body}) != payload:
        raise Refused("its CBOR is not deterministic, or holds more than a reveal")
    _check_place(boot, sequence, count, index)
    if not window or not outputs or len(outputs) % (count - index + 1) or len(before) != 16:
        raise Refused("its window, outputs or chain is not as long as a reveal's")
    return Reveal(receipt_ms, (device, boot, sequence, count, index), window, outputs, before)


def _sealed_of(receipt_ms: int, device: bytes, payload: bytes, digest: bytes) -> Sealed:
    match decode(payload):
        case {-65551: [int(boot), int(sequence), int(count), int(index), bytes(reader), bytes(point), bytes(box)]}:
            body = [boot, sequence, count, index, reader, point, box]
        case _:
            raise Refused("its payload is not a sealed reveal's")
    if cbor2.dumps({SEALED: body}) != payload:
        raise Refused("its CBOR is not deterministic, or holds more than a sealed reveal")
    _check_place(boot, sequence, count, index)
    if not box or not is_point(reader) or not is_point(point):
        raise Refused("its box is empty, or a key is no point of the curve")
    return Sealed(receipt_ms, (device, boot, sequence, count, index), reader, point, box, digest)


def is_point(key: bytes) -> bool:
    """Whether it is a compressed public key."""
    try:
        return len(key) == 33 and bool(PublicKey(key))
    except ValueError:
        return False


def _check_place(boot: int, sequence: int, count: int, index: int) -> None:
    if not all(_is_u32(value, 1) for value in (boot, sequence, count, index)) or index > count:
        raise Refused("its boot, sequence, count or index is not a u32 from 1, the index up to the count")


def _take(item: object, most_bytes: int) -> tuple[int, bytes, bytes, bytes, bytes]:
    """(receipt time, message, kid, payload, signature) of a message in an item of evidence; raises Refused.

    The message is built again from what was read: only deterministic CBOR of this very shape gives the same bytes.
    """
    match item:
        case [int(receipt_ms), bytes(message)]:
            pass
        case _:
            raise Refused("it is not [receipt time, message]")
    if len(message) > most_bytes:
        raise Refused(f"it has {len(message)} bytes, wanted at most {most_bytes}")
    match decode(message):
        case cbor2.CBORTag(tag=18, value=[bytes(header), {4: bytes(kid)}, bytes(payload), bytes(signature)]):
            rebuilt = cbor2.CBORTag(18, [header, {KID: kid}, payload, signature])
        case _:
            raise Refused("it is not a COSE_Sign1 with a kid")
    if cbor2.dumps(rebuilt) != message:
        raise Refused("its CBOR is not deterministic, or holds more than a signed message")
    if (header, len(kid)) != (ES256K_HEADER, 20):
        raise Refused("its algorithm or the length of its kid is not a device's")
    return receipt_ms, message, kid, payload, signature


def _check_signer(kid: bytes, payload: bytes, signature: bytes) -> None:
    if kid not in _recover(signature, cbor2.dumps(["Signature1", ES256K_HEADER, b"", payload])):
        raise Refused(f"its signature is not {checksum(kid)}'s")


def _is_u32(value: int, least: int) -> bool:
    return type(value) is int and least <= value < 2**32


def _recover(signature: bytes, signed: bytes) -> Iterator[bytes]:
    """The addresses whose key could have made a low-S signature r | s over SHA-256 of `signed`: at most two."""
    if len(signature) != 64 or int.from_bytes(signature[32:], "big") > HALF_ORDER:
        return
    for recovery_id in (0, 1):
        try:
            key = PublicKey.from_signature_and_message(signature + bytes([recovery_id]), signed)
        except ValueError:
            continue
        yield keccak(key.format(compressed=False)[1:])[12:]

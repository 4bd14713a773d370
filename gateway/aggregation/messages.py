"""EDIL's messages that no device reads: closed set, head, share, and the check of an enrolment; pure.

Refuses, by WireError, every frame that is not exactly what EDIL.md (sections 2, 5, 7, 8) specifies. Nothing here knows
a secret: to sign is a function digest (32 bytes) -> 65 bytes r | s | recovery id.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from coincurve import PublicKey

from device.agent import cbor, eip712, rounds
from device.agent.cose import open_sign1, sign1
from device.agent.errors import WireError
from device.agent.fields import check_bytes, check_int, take_claims, take_fields
from gateway import curve

CLOSED_SET, SHARE, HEAD, PLAIN, TRUSTED_SET = -65541, -65542, -65543, -65544, -65545
SET_MAX_BYTES = 1 << 18
SHARE_MAX_BYTES = 4 * 4096 + 512
HEAD_MAX_BYTES = 8192
PLAIN_MAX_BYTES = 4 * 4096 + 256
GATEWAY_TRUSTED = "gateway-trusted"
WEIGHT_MAX = 4
WEIGHTS_MAX = 256
NONCE_BYTES = 12

Sign = Callable[[bytes], bytes]


class Enrolment(NamedTuple):
    """What an owner signed, and the message that tells it to a device (EDIL.md, section 2).

    owner: address that signed. holders: compressed keys, the data owner's first. frame: the `enrol` message.
    """

    digest: bytes
    owner: bytes
    chain_id: int
    contract: bytes
    holders: tuple[bytes, ...]
    holders_digest: bytes
    number: int
    frame: bytes


class Entry(NamedTuple):
    """A device's place in a closed set: weight 1..4, which of the set's enrolments, its signed update."""

    weight: int
    enrolment: int
    frame: bytes


class ClosedSet(NamedTuple):
    """Who is in an aggregate: M, `enrol` messages, entries by device id, SHA-256 of the aggregate's ciphertext."""

    manifest: bytes
    enrolments: tuple[bytes, ...]
    entries: tuple[Entry, ...]
    aggregate: bytes


class Signed(NamedTuple):
    """A message with who says to have signed it; the signature is not checked."""

    signer: bytes
    signature: bytes
    digest: bytes
    body: Any

    def is_by(self, address: bytes) -> bool:
        """Tell whether it is the message of this address (20 bytes)."""
        return self.signer == address and curve.recover(self.signature, self.digest, address) is not None


class Share(NamedTuple):
    """A share-holder's answer for the data owner: M, SHA-256 of the set's frame, j, nonce, sealed share."""

    manifest: bytes
    set_digest: bytes
    holder: int
    nonce: bytes
    sealed: bytes


class Head(NamedTuple):
    """A linear head for embeddings: int8 weights [classes][width], one bias of 32 bits a class."""

    manifest: bytes
    weights: tuple[tuple[int, ...], ...]
    bias: tuple[int, ...]


class Plain(NamedTuple):
    """A device's values in the clear, int32, for the gateway-trusted round of this digest."""

    round: bytes
    values: tuple[int, ...]


class TrustedSet(NamedTuple):
    """Who is in a gateway-trusted sum: the round's digest, device ids, SHA-256 of the sum's ciphertext."""

    round: bytes
    devices: tuple[bytes, ...]
    aggregate: bytes


@dataclass(frozen=True)
class Update:
    """A device's header of a ciphertext, taken apart; `signature` over `signed` is not checked."""

    device: bytes
    manifest: bytes
    enrolment: bytes
    index: int
    count: int
    digest: bytes
    signature: bytes
    signed: bytes
    frame: bytes


def open_enrolment(frame: bytes, owner: bytes) -> Enrolment:
    """Take an `enrol` message whose Enrolment the owner (address, 20 bytes) signed.

    Raises:
        WireError: it is malformed, a holder is no point of the curve, or another signed it (reason `signature`).
    """
    chain_id, contract, holders, number, signature = rounds.decode_enrol(frame)
    for key in holders:
        _address(key)
    digest = eip712.enrolment_digest(curve.keccak, chain_id, contract, owner, holders, number)
    if curve.recover(signature[:64], digest, owner) is None:
        raise WireError("signature", f"enrolment: got another's signature, wanted that of 0x{owner.hex()}")
    named = eip712.holders_digest(curve.keccak, holders)
    return Enrolment(digest, owner, chain_id, contract, tuple(holders), named, number, frame)


def holder_address(enrolment: Enrolment, holder: int) -> bytes:
    """Address (20 bytes) of a holder; holder 0 is the data owner. Raises WireError: there is none of that number."""
    check_int(holder, "holder", 0, len(enrolment.holders) - 1)
    return _address(enrolment.holders[holder])


def open_update(frame: bytes) -> Update:
    """Take a device's header apart. Raises WireError."""
    device, payload, signature, signed = open_sign1(frame, rounds.UPDATE_MAX_BYTES)
    manifest, enrolment, index, count, digest = rounds.decode_update(payload)
    return Update(device, manifest, enrolment, index, count, digest, signature, signed, frame)


def sign_set(closed: ClosedSet, gateway: bytes, sign: Sign) -> bytes:
    """A closed set, signed by the gateway (address, 20 bytes) -> frame; the same set gives the same bytes."""
    body = [closed.manifest, list(closed.enrolments), [list(entry) for entry in closed.entries], closed.aggregate]
    return bytes(sign1(cbor.encode({CLOSED_SET: body}), gateway, sign))


def open_set(frame: bytes) -> Signed:
    """Take a closed set apart; `body` is a ClosedSet whose devices ascend. No signature in it is checked.

    Raises:
        WireError
    """
    signed, body = _open(frame, CLOSED_SET, "closed set", SET_MAX_BYTES, (bytes, list, list, bytes))
    manifest, enrolments, rows, aggregate = body
    check_bytes(manifest, "manifest", 32)
    check_bytes(aggregate, "aggregate", 32)
    for enrolment in enrolments:
        check_bytes(enrolment, "enrolment", None)
        rounds.decode_enrol(enrolment)
    check_int(len(rows), "number of entries", 1, rounds.DEVICES_MAX)
    entries, last = [], b""
    for row in rows:
        entry = Entry(*take_fields(row, "entry", (int, int, bytes)))
        check_int(entry.weight, "weight", 1, WEIGHT_MAX)
        check_int(entry.enrolment, "enrolment", 0, len(enrolments) - 1)
        device = open_update(entry.frame).device
        if device <= last:
            raise WireError("malformed", f"entries: got 0x{device.hex()} behind 0x{last.hex()}, wanted ascending ids")
        entries.append(entry)
        last = device
    check_int(sum(entry.weight for entry in entries), "sum of weights", 1, WEIGHTS_MAX)
    return signed._replace(body=ClosedSet(manifest, tuple(enrolments), tuple(entries), aggregate))


def sign_share(share: Share, holder: bytes, sign: Sign) -> bytes:
    """A share-holder's answer, signed by its key (address, 20 bytes) -> frame."""
    return bytes(sign1(cbor.encode({SHARE: list(share)}), holder, sign))


def open_share(frame: bytes) -> Signed:
    """Take a share-holder's answer apart; `body` is a Share. Raises WireError."""
    signed, body = _open(frame, SHARE, "share", SHARE_MAX_BYTES, (bytes, bytes, int, bytes, bytes))
    share = Share(*body)
    check_bytes(share.manifest, "manifest", 32)
    check_bytes(share.set_digest, "set", 32)
    check_int(share.holder, "holder", 1, rounds.HOLDERS_MAX - 1)
    check_bytes(share.nonce, "nonce", NONCE_BYTES)
    check_bytes(share.sealed, "sealed", None)
    return signed._replace(body=share)


def sign_head(head: Head, data_owner: bytes, sign: Sign) -> bytes:
    """A head, signed by the data owner (address, 20 bytes) -> frame."""
    weights = b"".join(struct.pack(f"{len(row)}b", *row) for row in head.weights)
    bias = struct.pack(f"<{len(head.bias)}i", *head.bias)
    return bytes(sign1(cbor.encode({HEAD: [head.manifest, len(head.bias), weights, bias]}), data_owner, sign))


def open_head(frame: bytes) -> Signed:
    """Take a head apart; `body` is a Head. Raises WireError."""
    signed, (manifest, classes, weights, bias) = _open(frame, HEAD, "head", HEAD_MAX_BYTES, (bytes, int, bytes, bytes))
    check_bytes(manifest, "manifest", 32)
    check_int(classes, "classes", 1, 255)
    check_bytes(bias, "bias", 4 * classes)
    width, rest = divmod(len(weights), classes)
    if rest or not width:
        raise WireError("malformed", f"weights: got {len(weights)} bytes, wanted a multiple of {classes} classes")
    flat = struct.unpack(f"{len(weights)}b", weights)
    rows = tuple(flat[at : at + width] for at in range(0, len(flat), width))
    return signed._replace(body=Head(manifest, rows, struct.unpack(f"<{classes}i", bias)))


def sign_plain(plain: Plain, device: bytes, sign: Sign) -> bytes:
    """A device's values in the clear, signed -> frame; for gateway-trusted rounds only."""
    values = struct.pack(f"<{len(plain.values)}i", *plain.values)
    return bytes(sign1(cbor.encode({PLAIN: [plain.round, values]}), device, sign))


def open_plain(frame: bytes) -> Signed:
    """Take a device's values in the clear apart; `body` is a Plain. Raises WireError."""
    signed, (digest, values) = _open(frame, PLAIN, "plain", PLAIN_MAX_BYTES, (bytes, bytes))
    check_bytes(digest, "round", 32)
    if not values or len(values) % 4:
        raise WireError("malformed", f"values: got {len(values)} bytes, wanted int32s")
    return signed._replace(body=Plain(digest, struct.unpack(f"<{len(values) // 4}i", values)))


def sign_trusted_set(closed: TrustedSet, gateway: bytes, sign: Sign) -> bytes:
    """Who is in a gateway-trusted sum, signed by the gateway (address, 20 bytes) -> frame; it names the mode itself."""
    body = [GATEWAY_TRUSTED, closed.round, list(closed.devices), closed.aggregate]
    return bytes(sign1(cbor.encode({TRUSTED_SET: body}), gateway, sign))


def open_trusted_set(frame: bytes) -> Signed:
    """Take the record of a gateway-trusted sum apart; `body` is a TrustedSet. Raises WireError."""
    signed, (mode, digest, devices, aggregate) = _open(
        frame, TRUSTED_SET, "trusted set", SET_MAX_BYTES, (str, bytes, list, bytes)
    )
    if mode != GATEWAY_TRUSTED:
        raise WireError("malformed", f"confidentiality: got {mode[:32]!r}, wanted {GATEWAY_TRUSTED!r}")
    check_bytes(digest, "round", 32)
    check_bytes(aggregate, "aggregate", 32)
    for device in devices:
        check_bytes(device, "device", 20)
    return signed._replace(body=TrustedSet(digest, tuple(devices), aggregate))


def _open(frame: bytes, label: int, name: str, max_bytes: int, kinds: Sequence[type]) -> tuple[Signed, list[Any]]:
    signer, payload, signature, digest = open_sign1(frame, max_bytes)
    (body,) = take_claims(cbor.decode(payload, max_bytes), name, (label,))
    return Signed(signer, signature, digest, None), take_fields(body, name, kinds)


def _address(key: bytes) -> bytes:
    try:
        return curve.address(PublicKey(key).format())
    except ValueError:
        raise WireError("malformed", "holder: got no point of the curve, wanted a compressed key") from None

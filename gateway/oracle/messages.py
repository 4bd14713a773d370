"""What oracles and gateways say to each other, JSON in Ratio1's canonical signed form; refuses any other form.

    opened (gateway)      {"type", "chain", "settlement", "epoch", "window", "windows", "window_ms", "block"}
    commitment (gateway)  {..., "epoch", "window", "digest", "heartbeats_bytes", "windows_bytes"}
    close (gateway)       {..., "epoch", "evidence", "block", "cid"}
    held (oracle)         {..., "epoch", "bundles": {gateway: "evidence/block/cid/first-last,first-last"}}
    vote (oracle)         {..., "epoch", "turn", "kind": "prevote" or "precommit", "value"}
    proposal (oracle)     {..., "epoch", "turn", "held": {"0": base64, ...}, "lock_turn", "votes": {"0": base64, ...}}
    decision (oracle)     {..., "epoch", "turn", "held": {...}, "votes": {...}}
    signature (oracle)    {..., "epoch", "evidence", "root", "total", "signature"}

Every message names the chain (number) and the settlement contract, so that none counts for another site. Ids, digests
and roots are lower-case hex after 0x, `total` is a decimal string of wei. A message inside another is its payload in
base64, opened and verified like any other: whoever believes the outer one need not have heard the inner. Those who
listen decide who may say what.
"""

import base64
import binascii
import json
import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

from gateway import curve, ratio1
from gateway.oracle.statements import (
    Bundle,
    Close,
    Commitment,
    Decision,
    Held,
    Kind,
    Message,
    Opened,
    Proposal,
    Root,
    Said,
    Signature,
    Vote,
)
from gateway.ratio1 import MessageRefused

TOPICS = "tinyren/oracle/"
MAX_BYTES = 1 << 20
MAX_OBJECTS = 3  # py-evm raises the recursion limit so far that deep JSON would overflow the gateway's stack
MAX_INNER = 256
MAX_EPOCH = (1 << 32) - 1
MAX_WINDOW = 0xFFFF
MAX_TURN = (1 << 31) - 1

_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}")
_CID = re.compile(r"(?:b[a-z2-7]{1,120})?")
_BUNDLE = re.compile(r"(0x[0-9a-f]{64})/(0|[1-9][0-9]{0,18})/((?:b[a-z2-7]{1,120})?)/([0-9,-]{0,4096})")
_GAP = re.compile(r"(0|[1-9][0-9]{0,4})-(0|[1-9][0-9]{0,4})")
_KINDS: dict[Any, Kind] = {"prevote": "prevote", "precommit": "precommit"}


class Site:
    """Where messages count: one settlement contract (20 bytes) on one chain."""

    def __init__(self, chain_id: int, settlement: bytes) -> None:
        self.chain_id = chain_id
        self.settlement = settlement
        self.fields = {"chain": chain_id, "settlement": _hex(settlement)}


def topic_of(message: Message) -> str:
    """The topic on which a message is published."""
    return TOPICS + type(message).__name__.lower()


def encode(message: Message, site: Site) -> dict[str, Any]:
    """The fields of a message, not yet signed."""
    return site.fields | {"type": type(message).__name__.lower()} | _fields(message)


def _fields(message: Message) -> dict[str, Any]:
    if isinstance(message, Signature):
        root = message.root
        common = {"epoch": root.epoch, "evidence": _hex(root.evidence), "root": _hex(root.root)}
        return common | {"total": str(root.total), "signature": _hex(message.signature)}
    fields: dict[str, Any] = {"epoch": message.epoch}
    if isinstance(message, Opened):
        fields |= {"window": message.window, "windows": message.count}
        return fields | {"window_ms": message.window_ms, "block": message.block}
    if isinstance(message, Commitment):
        fields |= {"window": message.window, "digest": _hex(message.digest)}
        return fields | {"heartbeats_bytes": message.heartbeats_bytes, "windows_bytes": message.windows_bytes}
    if isinstance(message, Close):
        return fields | {"evidence": _hex(message.evidence), "block": message.block, "cid": message.cid}
    if isinstance(message, Held):
        return fields | {"bundles": {_hex(bundle.gateway): _bundle_text(bundle) for bundle in message.bundles}}
    fields["turn"] = message.turn
    if isinstance(message, Vote):
        return fields | {"kind": message.kind, "value": _hex(message.value)}
    fields |= {"held": _inner(message.held), "votes": _inner(message.votes)}
    return fields | ({"lock_turn": message.lock_turn} if isinstance(message, Proposal) else {})


def decode(fields: Mapping[str, Any], site: Site, may_hold: bool = True) -> Message:
    """The message in fields that `encode` made; fields of its signature may stand beside them.

    Args:
        may_hold: whether it may hold other messages.

    Raises:
        MessageRefused: a field is missing, unknown, or of another type or range, or the message is another site's, or
            one inside it is refused.
    """
    body = {name: value for name, value in fields.items() if name not in ratio1.SIGNATURE_FIELDS}
    for name, wanted in site.fields.items():
        if body.pop(name, None) != wanted:
            raise MessageRefused(f"{name}: another site's, wanted {wanted}")
    kind, epoch = body.pop("type", None), _integer(body, "epoch", 1, MAX_EPOCH)
    message: Message
    if kind == "commitment":
        window, digest = _integer(body, "window", 0, MAX_WINDOW), _bytes(body, "digest", 32)
        heartbeats, windows = (_integer(body, name, 0, (1 << 63) - 1) for name in ("heartbeats_bytes", "windows_bytes"))
        message = Commitment(epoch, window, heartbeats, windows, digest)
    elif kind == "opened":
        count, window = _integer(body, "windows", 1, MAX_WINDOW), _integer(body, "window", 0, MAX_WINDOW)
        message = Opened(epoch, window, count, _integer(body, "window_ms", 1, MAX_TURN), _block(body))
    elif kind == "close":
        evidence, block = _bytes(body, "evidence", 32), _block(body)
        message = Close(epoch, evidence, block, _text(body, "cid", _CID))
    elif kind == "held":
        message = Held(epoch, _bundles(body))
    elif kind == "vote":
        message = _vote(body, epoch)
    elif kind in ("proposal", "decision") and may_hold:
        turn, held, votes = _integer(body, "turn", 0, MAX_TURN), _open(body, "held", site), _open(body, "votes", site)
        if kind == "decision":
            message = Decision(epoch, turn, held, votes)
        else:
            message = Proposal(epoch, turn, held, _integer(body, "lock_turn", -1, MAX_TURN), votes)
    elif kind == "signature":
        evidence, root = _bytes(body, "evidence", 32), _bytes(body, "root", 32)
        signature = _bytes(body, "signature", 65)
        message = Signature(Root(epoch, root, _decimal(body, "total"), evidence), signature)
    else:
        raise MessageRefused("type: wanted close, commitment, held, opened, vote, proposal, decision or signature")
    if body:
        raise MessageRefused(f"{len(body)} unknown fields")
    return message


def seal(message: Message, site: Site, secret: bytes) -> Said:
    """A message signed by a private key of 32 bytes, as it is published."""
    payload = json.dumps(ratio1.sign(encode(message, site), secret), sort_keys=True, separators=(",", ":")).encode()
    return Said(curve.address_of(secret), message, payload)


def open_sealed(payload: bytes, site: Site, may_hold: bool = True, holders: Container[bytes] | None = None) -> Said:
    """A published message and the EVM address (20 bytes) that signed it.

    Args:
        holders: who may hold other messages, None: anybody; those of others cost no signature to be checked.

    Raises:
        MessageRefused: too large, not JSON, not signed by the sender it names, or as `decode`.
    """
    if len(payload) > MAX_BYTES:
        raise MessageRefused(f"{len(payload)} bytes, wanted at most {MAX_BYTES}")
    if b"[" in payload or payload.count(b"{") > MAX_OBJECTS:
        raise MessageRefused(f"nested, wanted at most {MAX_OBJECTS} objects and no list")
    try:
        fields = json.loads(payload)
    except ValueError:
        raise MessageRefused("not JSON") from None
    if not isinstance(fields, dict):
        raise MessageRefused("wanted an object")
    sender = curve.address(ratio1.decode_address(ratio1.verify(fields)))
    may_hold = may_hold and (holders is None or sender in holders)
    return Said(sender, decode(fields, site, may_hold), payload)


def _inner(said: Iterable[Said]) -> dict[str, str]:
    return {str(index): base64.b64encode(item.payload).decode() for index, item in enumerate(said)}


def _open(body: dict[str, Any], name: str, site: Site) -> tuple[Said, ...]:
    """Messages inside one, none of which holds another."""
    values = body.pop(name, None)
    if not isinstance(values, dict) or len(values) > MAX_INNER or set(values) != set(map(str, range(len(values)))):
        raise MessageRefused(f"{name}: wanted at most {MAX_INNER} messages by number from 0")
    opened = []
    for index in range(len(values)):
        try:
            payload = base64.b64decode(values[str(index)], validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise MessageRefused(f"{name}: wanted base64") from None
        opened.append(open_sealed(payload, site, may_hold=False))
    return tuple(opened)


def _vote(body: dict[str, Any], epoch: int) -> Vote:
    turn, kind = _integer(body, "turn", 0, MAX_TURN), _KINDS.get(str(body.pop("kind", None)))
    if kind is None:
        raise MessageRefused("kind: wanted prevote or precommit")
    size_bytes = 0 if body.get("value") == "0x" else 32
    return Vote(epoch, turn, kind, _bytes(body, "value", size_bytes))


def _bundle_text(bundle: Bundle) -> str:
    gaps = ",".join(f"{first}-{last}" for first, last in bundle.missing)
    return f"{_hex(bundle.digest)}/{bundle.block}/{bundle.cid}/{gaps}"


def _bundles(body: dict[str, Any]) -> tuple[Bundle, ...]:
    values = body.pop("bundles", None)
    if not isinstance(values, dict):
        raise MessageRefused("bundles: wanted an object")
    found = []
    for gateway, text in values.items():
        parts = _BUNDLE.fullmatch(text) if isinstance(text, str) else None
        if parts is None or int(parts[2]) >> 63:
            raise MessageRefused("bundles: wanted evidence/block/cid/windows")
        place = _parse_hex(gateway, "bundles", 20)
        found.append(Bundle(place, bytes.fromhex(parts[1][2:]), int(parts[2]), parts[3], _gaps(parts[4])))
    return tuple(sorted(found))


def _gaps(text: str) -> tuple[tuple[int, int], ...]:
    """first-last,... ascending and apart."""
    gaps, least = [], 0
    for part in text.split(",") if text else []:
        ends = _GAP.fullmatch(part)
        if ends is None or not least <= (first := int(ends[1])) <= (last := int(ends[2])) <= MAX_WINDOW:
            raise MessageRefused(f"bundles: windows {part[:20]!r}, wanted first-last, ascending, up to {MAX_WINDOW}")
        gaps.append((first, last))
        least = last + 2
    return tuple(gaps)


def _text(body: dict[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = body.pop(name, None)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise MessageRefused(f"{name}: wanted {form.pattern}")
    return value


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _integer(body: dict[str, Any], name: str, low: int, high: int) -> int:
    value = body.pop(name, None)
    if type(value) is not int or not low <= value <= high:
        raise MessageRefused(f"{name}: wanted an integer {low}..{high}")
    return value


def _block(body: dict[str, Any]) -> int:
    return _integer(body, "block", 0, (1 << 63) - 1)


def _decimal(body: dict[str, Any], name: str) -> int:
    value = body.pop(name, None)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value) or int(value) >> 256:
        raise MessageRefused(f"{name}: wanted a decimal string below 2**256")
    return int(value)


def _bytes(body: dict[str, Any], name: str, size_bytes: int) -> bytes:
    return _parse_hex(body.pop(name, None), name, size_bytes)


def _parse_hex(value: Any, name: str, size_bytes: int) -> bytes:
    if not isinstance(value, str) or len(value) != 2 + 2 * size_bytes or not _HEX.fullmatch(value):
        raise MessageRefused(f"{name}: wanted 0x and {2 * size_bytes} lower-case hex digits")
    return bytes.fromhex(value[2:])

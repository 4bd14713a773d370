"""What oracles and the gateway say to each other, JSON in Ratio1's canonical signed form; refuses any other form.

    close (gateway)     {"type": "close", "chain", "settlement", "epoch", "evidence", "block"}
    table (oracle)      {"type": "table", ..., "root", "total", "availability": {device id: 0..255}}
    signature (oracle)  {"type": "signature", ..., "root", "total", "signature"}

Every message names the chain (number) and the settlement contract, so that none counts for another site. Ids, digests
and roots are lower-case hex after 0x, `total` is a decimal string of wei. Those who listen decide who may say what.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from gateway import curve, ratio1
from gateway.oracle.consensus import Close, Root, Signature, Table
from gateway.ratio1 import MessageRefused

CLOSE_TOPIC = "tinyren/oracle/close"
TABLE_TOPIC = "tinyren/oracle/table"
SIGNATURE_TOPIC = "tinyren/oracle/signature"
MAX_BYTES = 1 << 20
MAX_OBJECTS = 2  # py-evm raises the recursion limit so far that deep JSON would overflow the gateway's stack

Message = Close | Table | Signature

_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}")


class Site:
    """Where messages count: one settlement contract (20 bytes) on one chain."""

    def __init__(self, chain_id: int, settlement: bytes) -> None:
        self.chain_id = chain_id
        self.settlement = settlement
        self.fields = {"chain": chain_id, "settlement": _hex(settlement)}


def topic_of(message: Message) -> str:
    """The topic on which a message is published."""
    return {Close: CLOSE_TOPIC, Table: TABLE_TOPIC, Signature: SIGNATURE_TOPIC}[type(message)]


def encode(message: Message, site: Site) -> dict[str, Any]:
    """The fields of a message, not yet signed."""
    if isinstance(message, Close):
        fields = {"type": "close", "epoch": message.epoch, "evidence": _hex(message.evidence), "block": message.block}
        return site.fields | fields
    root = message.root
    common = {"epoch": root.epoch, "evidence": _hex(root.evidence), "root": _hex(root.root), "total": str(root.total)}
    if isinstance(message, Table):
        own: dict[str, Any] = {"availability": {_hex(device): value for device, value in message.availability}}
    else:
        own = {"signature": _hex(message.signature)}
    return site.fields | {"type": type(message).__name__.lower()} | common | own


def decode(fields: Mapping[str, Any], site: Site) -> Message:
    """The message in fields that `encode` made; fields of its signature may stand beside them.

    Raises:
        MessageRefused: a field is missing, unknown, or of another type or range, or the message is another site's.
    """
    body = {name: value for name, value in fields.items() if name not in ratio1.SIGNATURE_FIELDS}
    for name, wanted in site.fields.items():
        if body.pop(name, None) != wanted:
            raise MessageRefused(f"{name}: another site's, wanted {wanted}")
    kind = body.pop("type", None)
    epoch, evidence = _integer(body, "epoch", 1, (1 << 32) - 1), _bytes(body, "evidence", 32)
    message: Message
    if kind == "close":
        message = Close(epoch, evidence, _integer(body, "block", 0, (1 << 63) - 1))
    else:
        root = Root(epoch, _bytes(body, "root", 32), _decimal(body, "total"), evidence)
        if kind == "table":
            message = Table(root, _availability(body))
        elif kind == "signature":
            message = Signature(root, _bytes(body, "signature", 65))
        else:
            raise MessageRefused("type: wanted close, table or signature")
    if body:
        raise MessageRefused(f"{len(body)} unknown fields")
    return message


def seal(message: Message, site: Site, secret: bytes) -> bytes:
    """A message as it is published, signed by a private key of 32 bytes."""
    return json.dumps(ratio1.sign(encode(message, site), secret), sort_keys=True, separators=(",", ":")).encode()


def open_sealed(payload: bytes, site: Site) -> tuple[bytes, Message]:
    """The EVM address (20 bytes) that signed a published message, and the message.

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
    message = decode(fields, site)
    return curve.address(ratio1.decode_address(ratio1.verify(fields))), message


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _integer(body: dict[str, Any], name: str, low: int, high: int) -> int:
    value = body.pop(name, None)
    if type(value) is not int or not low <= value <= high:
        raise MessageRefused(f"{name}: wanted an integer {low}..{high}")
    return value


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


def _availability(body: dict[str, Any]) -> tuple[tuple[bytes, int], ...]:
    values = body.pop("availability", None)
    if not isinstance(values, dict):
        raise MessageRefused("availability: wanted an object")
    pairs = [(_parse_hex(device, "availability", 20), value) for device, value in values.items()]
    if not all(type(value) is int and 0 <= value <= 255 for _, value in pairs):
        raise MessageRefused("availability: wanted integers 0..255")
    return tuple(sorted(pairs))

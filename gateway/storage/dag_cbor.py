"""Structures as dag-cbor: encode, decode and links; refuses every encoding but the one that a value has.

Rules (ipld.io/specs/codecs/dag-cbor): text keys, shortest first, then bytewise; floats of 64 bits, neither NaN nor
infinite; integers of 64 bits; one tag, 42, before 0x00 and a binary CID; no indefinite length. cbor2 reads and writes;
what it would take beyond the rules is found by writing the value again and comparing. Depth and size are bounded.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cbor2

from gateway.storage.cid import decode_any, encode_text, is_cid, read_cid

MAX_DEPTH = 64
MAX_BYTES = 1 << 20
TAG_CID = 42


@dataclass(frozen=True)
class Link:
    """A link to another block by its CID's text."""

    cid: str


def encode_node(value: Any) -> bytes:
    """dag-cbor of None, bool, int, float, str, bytes, list or tuple, dict with text keys, Link.

    Raises:
        ValueError: another type, a number out of range, nesting over MAX_DEPTH, or more than MAX_BYTES.
    """
    data = cbor2.dumps(_plain(value, 0))
    if len(data) > MAX_BYTES:
        raise ValueError(f"dag-cbor: got {len(data)} bytes, wanted at most {MAX_BYTES}")
    return data


def decode_node(data: bytes) -> Any:
    """The value of dag-cbor bytes.

    Raises:
        ValueError: too large, no CBOR, or not the one encoding of a value.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"dag-cbor: got {len(data)} bytes, wanted at most {MAX_BYTES}")
    try:
        value = _linked(cbor2.loads(data), 0)
        again = encode_node(value)
    except ValueError as error:
        raise ValueError(f"dag-cbor: {error}") from None
    except Exception as error:  # cbor2 raises its own errors and, on hostile bytes, those of what it calls
        raise ValueError(f"dag-cbor: no whole item ({type(error).__name__})") from None
    if again != data:
        raise ValueError("dag-cbor: got another encoding than the one that the value has")
    return value


def links_of(value: Any) -> Iterator[bytes]:
    """Binary CIDs of the links in a decoded value, in the order of its bytes."""
    if isinstance(value, Link):
        yield decode_any(value.cid)
    elif isinstance(value, list):
        for item in value:
            yield from links_of(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from links_of(item)


def _plain(value: Any, depth: int) -> Any:
    """The value as cbor2 has to get it: keys in order, links as tags."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nesting: got over {MAX_DEPTH}, wanted at most that")
    if value is None or type(value) in (bool, str, bytes):
        return value
    if type(value) is int and -(1 << 64) <= value < 1 << 64:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is Link:
        return cbor2.CBORTag(TAG_CID, b"\x00" + decode_any(value.cid))
    if type(value) in (list, tuple):
        return [_plain(item, depth + 1) for item in value]
    if type(value) is dict and all(type(key) is str for key in value):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: _plain(value[key], depth + 1) for key in keys}
    raise ValueError(f"value: got {type(value).__name__}, wanted what dag-cbor has, finite, of at most 64 bits")


def _linked(value: Any, depth: int) -> Any:
    """What cbor2 read, with tags as links."""
    if depth > MAX_DEPTH:
        raise ValueError(f"nesting: got over {MAX_DEPTH}, wanted at most that")
    if isinstance(value, cbor2.CBORTag):
        data = value.value
        if value.tag != TAG_CID or type(data) is not bytes or data[:1] != b"\x00" or not is_cid(data[1:]):
            raise ValueError("tag: wanted 42 before 0x00 and a CID of version 1")
        return Link(encode_text(read_cid(data[1:])[0]))
    if isinstance(value, list):
        return [_linked(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {key: _linked(item, depth + 1) for key, item in value.items()}
    return value

"""Structures as JSON for /api/v0: links as {"/": CID}, bytes as {"/": {"bytes": base64}}; refuses a "/" beside others.

Source: ipld.io/specs/codecs/dag-json. Only values are turned here; what dag-cbor has not is refused there.
"""

import base64
import binascii
from typing import Any

from gateway.storage.cid import normalise
from gateway.storage.dag_cbor import Link


def to_json(value: Any) -> Any:
    """A value as dag_cbor gives it, as json can write it."""
    if isinstance(value, Link):
        return {"/": value.cid}
    if isinstance(value, bytes):
        return {"/": {"bytes": base64.b64encode(value).decode().rstrip("=")}}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return value


def from_json(value: Any) -> Any:
    """A value as json read it, as dag_cbor takes it; ValueError where "/" stands before anything else."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "/" not in value:
        return {key: from_json(item) for key, item in value.items()}
    match value:
        case {"/": str(cid)} if len(value) == 1:
            return Link(normalise(cid))
        case {"/": {"bytes": str(text), **rest}} if len(value) == 1 and not rest:
            try:
                return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
            except binascii.Error:
                raise ValueError(f"bytes: got {text[:64]!r}, wanted base64") from None
    raise ValueError('key "/": wanted a CID, or {"bytes": base64}, alone')

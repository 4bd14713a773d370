"""The JSON object that a POST carries; refuses every other body before it is read whole."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

MOST_BRACKETS = 1_000


class BadRequest(ValueError):
    """A request that is not what the route takes."""


async def read_object(request: Request, limit_bytes: int) -> Mapping[str, Any]:
    """The object in a request's body.

    Raises:
        BadRequest: another content type, over `limit_bytes`, nested too much, or not one JSON object.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise BadRequest(f"the body is over {limit_bytes} bytes")
    return parse_object(request.headers.get("content-type", ""), bytes(body))


def parse_object(content_type: str, body: bytes) -> Mapping[str, Any]:
    """The object in a body of this content type. Raises BadRequest, as read_object."""
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise BadRequest("the content type is not application/json")
    if body.count(b"[") + body.count(b"{") > MOST_BRACKETS:
        raise BadRequest(f"the body holds more than {MOST_BRACKETS} lists and objects")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("the body is no object")
    return value


def bytes_of(body: Mapping[str, Any], name: str, size: int | None = None) -> bytes:
    """The bytes of a field in hex, with or without 0x. Raises BadRequest: it is no hex, or not of `size` bytes."""
    value = body.get(name)
    wanted = "hex" if size is None else f"{size} bytes in hex"
    try:
        found = bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or size not in (None, len(found)):
        raise BadRequest(f"{name}: got {str(value)[:20]!r}, wanted {wanted}")
    return found

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
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise BadRequest("the content type is not application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise BadRequest(f"the body is over {limit_bytes} bytes")
    if body.count(b"[") + body.count(b"{") > MOST_BRACKETS:
        raise BadRequest(f"the body holds more than {MOST_BRACKETS} lists and objects")
    try:
        value = json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("the body is no object")
    return value

"""One JSON-RPC 2.0 call over HTTP POST, passed to the chain; refuses batches, bodies over 64 KB, other than JSON."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

BODY_LIMIT_BYTES = 64 * 1024
MOST_BRACKETS = 1_000  # py-evm raises Python's recursion limit so far that a deeper nesting would end the process
PARSE_ERROR, INVALID_REQUEST, INTERNAL_ERROR = -32700, -32600, -32603


class RpcError(Exception):
    """An error that the caller is told as it stands: a JSON-RPC code, a message and JSON data or None."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


async def answer(request: Request, call: Callable[[str, Any], Any]) -> Response:
    """Answer one request with the result of `call(method, params)`, which runs in a thread."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        return _error(None, RpcError(INVALID_REQUEST, "the content type is not application/json"), 415)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            return _error(None, RpcError(INVALID_REQUEST, f"the body is over {BODY_LIMIT_BYTES} bytes"), 413)
    identity = None
    try:
        message = _parse(bytes(body))
        identity = message.get("id")
        result = await to_thread.run_sync(call, message["method"], message.get("params", []))
        if "id" not in message:
            return Response(status_code=204)
        return _json({"jsonrpc": "2.0", "id": identity, "result": result})
    except RpcError as error:
        return _error(identity, error)
    except Exception as error:
        return _error(identity, RpcError(INTERNAL_ERROR, f"the call failed: {type(error).__name__}"))


def _parse(body: bytes) -> dict[str, Any]:
    if body.count(b"[") + body.count(b"{") > MOST_BRACKETS:
        raise RpcError(PARSE_ERROR, f"the body holds more than {MOST_BRACKETS} lists and objects")
    try:
        message: Any = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RpcError(PARSE_ERROR, "the body is not JSON") from None
    match message:
        case list():
            raise RpcError(INVALID_REQUEST, "batches are refused, send one call a request")
        case {"jsonrpc": "2.0", "method": str(), **others} if isinstance(others.get("params", []), list | dict):
            if type(others.get("id")) in (type(None), str, int):
                return dict(message)
    raise RpcError(INVALID_REQUEST, 'wanted {"jsonrpc": "2.0", "id", "method", "params"}')


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _error(identity: str | int | None, error: RpcError, status: int = 200) -> Response:
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return _json({"jsonrpc": "2.0", "id": identity, "error": body}, status)


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    """In ASCII, for what a caller sent may be half of a surrogate pair, which no other encoding has."""
    return Response(json.dumps(body), status, media_type="application/json")

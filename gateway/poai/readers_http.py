"""Routes of the site's page for readers of sealed work; decides nothing, knows no key.

    GET  /sealed/KEY   {"epoch", "items": [[receipt time in ms, frame]]}: what was sealed to a public key
    POST /openings     {"opening"} -> {"device"}: a frame that shows a fraud (docs/private.md)

Bytes are hex. What is not taken is 409 with {"error": reason, "message"}, another body 400.
"""

from collections.abc import Callable
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from device.agent.seal import KEY_BYTES
from gateway.poai.private import OPENING_MAX_BYTES
from gateway.poai.readers import Readers, Refused
from gateway.web.posted import BadRequest, bytes_of, read_object

BODY_LIMIT_BYTES = 4 * OPENING_MAX_BYTES


def routes(readers: Readers) -> list[Route]:
    """The routes over a gateway's Readers."""

    async def sealed(request: Request) -> Response:
        def call() -> dict[str, Any]:
            key = bytes_of(request.path_params, "key", KEY_BYTES)
            try:
                epoch, items = readers.sealed_to(key)
            except ValueError as error:
                raise BadRequest(f"key: {error}; wanted a compressed public key") from error
            return {"epoch": epoch, "items": [[receipt_ms, frame.hex()] for receipt_ms, frame in items]}

        return await _answer(call)

    async def opening(request: Request) -> Response:
        try:
            body = await read_object(request, BODY_LIMIT_BYTES)
        except BadRequest as error:
            return _error(400, "malformed", str(error))
        return await _answer(lambda: {"device": readers.take(bytes_of(body, "opening")).hex()})

    return [
        Route("/sealed/{key}", sealed, methods=["GET"]),
        Route("/openings", opening, methods=["POST"]),
    ]


async def _answer(call: Callable[[], Any]) -> Response:
    try:
        return JSONResponse(await to_thread.run_sync(call))
    except BadRequest as error:
        return _error(400, "malformed", str(error))
    except Refused as error:
        return _error(409, error.reason, str(error))


def _error(status: int, reason: str, message: str) -> Response:
    return JSONResponse({"error": reason, "message": message}, status)

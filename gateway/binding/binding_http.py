"""Routes of the site's page by which a device is bound, by a wallet or by `tinyren bind`; decides nothing.

    GET  /bind                                      the page for a phone or a wallet's browser (gateway/web)
    POST /binding/find   {"label"}                  {"token", "device", "board", "is_here"}
    POST /binding/ask    {"token", "deed"}          what the deed's owner signs by eth_signTypedData_v4
    POST /binding/sign   {"token", "signature"}     {"deed", "device", "owner", "tx"}, once it is on the chain

`label` is a QR code's text or the manual code, bytes are hex. What the service refuses is 409 with {"error": reason,
"message"}, another body 400.
"""

from collections.abc import Callable, Mapping
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.binding.pending import Refused
from gateway.binding.service import BindingService
from gateway.web.app import HERE
from gateway.web.posted import BadRequest, read_object

BODY_LIMIT_BYTES = 16 << 10
TEXT_LIMIT = 256
MOST_DEED = (1 << 64) - 1


def routes(service: BindingService) -> list[Route]:
    """The routes over a service."""

    async def page(request: Request) -> Response:
        return FileResponse(HERE / "templates" / "bind.html", media_type="text/html")

    return [
        Route("/bind", page),
        _post("/binding/find", lambda body: service.find(_text(body, "label"))),
        _post("/binding/ask", lambda body: service.ask(_text(body, "token"), _deed(body))),
        _post("/binding/sign", lambda body: service.sign(_text(body, "token"), _bytes(body, "signature"))),
    ]


def _post(path: str, call: Callable[[Mapping[str, Any]], Any]) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            body = await read_object(request, BODY_LIMIT_BYTES)
            return JSONResponse(await to_thread.run_sync(call, body))
        except BadRequest as error:
            return _error(400, "malformed", str(error))
        except Refused as error:
            return _error(409, error.reason, str(error))

    return Route(path, endpoint, methods=["POST"])


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.isascii() or not 1 <= len(value) <= TEXT_LIMIT:
        raise BadRequest(f"{name}: wanted 1 to {TEXT_LIMIT} characters of ASCII")
    return value.strip()


def _deed(body: Mapping[str, Any]) -> int:
    value = body.get("deed")
    if type(value) is not int or not 1 <= value <= MOST_DEED:
        raise BadRequest(f"deed: got {str(value)[:20]}, wanted a deed's number, 1 or more")
    return value


def _bytes(body: Mapping[str, Any], name: str) -> bytes:
    value = body.get(name)
    try:
        if not isinstance(value, str):
            raise ValueError
        return bytes.fromhex(value.removeprefix("0x"))
    except ValueError:
        raise BadRequest(f"{name}: wanted bytes in hex") from None


def _error(status: int, reason: str, message: str) -> Response:
    return JSONResponse({"error": reason, "message": message}, status)

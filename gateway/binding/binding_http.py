"""Routes of the site's page by which a device is bound, by a wallet or by `tinyren bind`; decides nothing.

    GET  /bind                                      the page for a phone or a wallet's browser (gateway/web)
    GET  /B/TEXT                                    the same, that text of a label filled in: what a label's URL opens
    POST /binding/find   {"label"}                  {"token", "device", "board", "is_here"}
    POST /binding/ask    {"token", "deed"}          what the deed's owner signs by eth_signTypedData_v4
    POST /binding/sign   {"token", "signature"}     {"deed", "device", "owner", "tx"}, once it is on the chain
    POST /binding/show   {"token"}                  {}: the device blinks for SHOW_S
    POST /binding/identify    {"device", "seconds"}         {}: the same for any device that was heard
    POST /binding/release     {"device", "owner"}           what the owner signs by eth_signTypedData_v4
    POST /binding/released    {"device", "owner", "boot", "signature"}      {"device", "boot"}, once it forgot its owner

`label` is a QR code's text or the manual code, bytes are hex. What the service refuses is 409 with {"error": reason,
"message"}, another body 400.
"""

from collections.abc import Callable, Mapping
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from device.agent import light
from gateway.binding.pending import Refused
from gateway.binding.service import BindingService
from gateway.labels import payload
from gateway.web import render
from gateway.web.posted import BadRequest, bytes_of, read_object

BODY_LIMIT_BYTES = 16 << 10
TEXT_LIMIT = 256
MOST_DEED = (1 << 64) - 1
MOST_BOOT = (1 << 32) - 1
SHOW_S = 10
ADDRESS_BYTES = 20


def routes(service: BindingService) -> list[Route]:
    """The routes over a service."""
    environment = render.templates()

    async def page(request: Request) -> Response:
        text = request.path_params.get("text")
        label = payload.PREFIX + text[:TEXT_LIMIT] if text else ""
        return render.page(request, environment, "bind.html", label=label)

    return [
        Route("/bind", page),
        Route(payload.PATH + "{text}", page),
        _post("/binding/find", lambda body: service.find(_text(body, "label"))),
        _post("/binding/ask", lambda body: service.ask(_text(body, "token"), _number(body, "deed", MOST_DEED))),
        _post("/binding/sign", lambda body: service.sign(_text(body, "token"), bytes_of(body, "signature"))),
        _post("/binding/show", lambda body: _show(service, body)),
        _post("/binding/identify", lambda body: _identify(service, body)),
        _post("/binding/release", lambda body: service.releasing.ask(*_addresses(body)).typed_data()),
        _post("/binding/released", lambda body: _released(service, body)),
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


def _show(service: BindingService, body: Mapping[str, Any]) -> dict[str, Any]:
    service.show(_text(body, "token"), SHOW_S)
    return {}


def _identify(service: BindingService, body: Mapping[str, Any]) -> dict[str, Any]:
    service.lights.identify(_address(body, "device"), _number(body, "seconds", light.MAX_S))
    return {}


def _released(service: BindingService, body: Mapping[str, Any]) -> dict[str, Any]:
    boot = _number(body, "boot", MOST_BOOT)
    return service.releasing.sign(*_addresses(body), boot, bytes_of(body, "signature"))


def _addresses(body: Mapping[str, Any]) -> tuple[bytes, bytes]:
    return _address(body, "device"), _address(body, "owner")


def _address(body: Mapping[str, Any], name: str) -> bytes:
    value = bytes_of(body, name)
    if len(value) != ADDRESS_BYTES:
        raise BadRequest(f"{name}: got {len(value)} bytes, wanted an address of {ADDRESS_BYTES}")
    return value


def _number(body: Mapping[str, Any], name: str, most: int) -> int:
    value = body.get(name)
    if type(value) is not int or not 1 <= value <= most:
        raise BadRequest(f"{name}: got {ascii(value)[:20]}, wanted a number from 1 to {most}")
    return value


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.isascii() or not 1 <= len(value) <= TEXT_LIMIT:
        raise BadRequest(f"{name}: wanted 1 to {TEXT_LIMIT} characters of ASCII")
    return value.strip()


def _error(status: int, reason: str, message: str) -> Response:
    return JSONResponse({"error": reason, "message": message}, status)

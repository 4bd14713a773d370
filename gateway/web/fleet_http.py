"""Routes of what the fleet's page does; decides nothing.

    POST /fleet/names   {"devices": [0x...], "name"}       {"named": how many}
    POST /fleet/labels  {"devices": [0x...], "replace"}    a PDF of A4 sheets

What cannot be is 409 with {"error": "refused", "message"}, another body 400. Who may ask is the guard's affair.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.site.fleet_actions import Actions, Refused
from gateway.web.posted import BadRequest, read_object

BODY_LIMIT_BYTES = 256 << 10
MOST_DEVICES = 900
_DEVICE = re.compile("0x[0-9a-fA-F]{40}")


def routes(actions: Actions) -> list[Route]:
    """The routes over the actions."""

    def names(body: Mapping[str, Any]) -> Response:
        devices, name = _devices(body), body.get("name")
        if not isinstance(name, str):
            raise BadRequest("name: wanted text")
        actions.rename(devices, name.strip())
        return JSONResponse({"named": len(devices)})

    def labels(body: Mapping[str, Any]) -> Response:
        drawn = actions.labels(_devices(body), body.get("replace") is True)
        kept = {"Content-Disposition": 'attachment; filename="labels.pdf"'}
        return Response(drawn, media_type="application/pdf", headers=kept)

    return [_post("/fleet/names", names), _post("/fleet/labels", labels)]


def _post(path: str, call: Callable[[Mapping[str, Any]], Response]) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            return await to_thread.run_sync(call, await read_object(request, BODY_LIMIT_BYTES))
        except BadRequest as error:
            return JSONResponse({"error": "malformed", "message": str(error)}, 400)
        except Refused as error:
            return JSONResponse({"error": "refused", "message": str(error)}, 409)

    return Route(path, endpoint, methods=["POST"])


def _devices(body: Mapping[str, Any]) -> list[bytes]:
    value = body.get("devices")
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_DEVICES:
        raise BadRequest(f"devices: wanted a list of 1 to {MOST_DEVICES} device ids")
    if not all(isinstance(one, str) and _DEVICE.fullmatch(one) for one in value):
        raise BadRequest("devices: wanted each as 0x and 40 hex digits")
    return [bytes.fromhex(one[2:]) for one in value]

"""EDIL's routes of the site's page: rounds for data owners and share-holders; decides nothing, knows no key.

    GET  /edil/rounds                   {"rounds": [status]}
    GET  /edil/rounds/M                 status
    GET  /edil/rounds/M/closed          {"manifest", "set", "aggregate"}
    GET  /edil/rounds/M/shares          {"shares": [frame]}
    GET  /edil/rounds/M/answers         {"answers": [{"update", "ciphertext"}]}, a device's header with c0 | c1
    POST /edil/rounds                   {"manifest", "weights": {device: 1..4}, "part": bool}, the last two if wanted
    POST /edil/rounds/M/close           {}
    POST /edil/rounds/M/merge           {"parts": [{"gateway", "set", "aggregate"}]}, gateway its address
    POST /edil/enrolments               {"owner", "enrol"}
    POST /edil/labels                   {"device", "class": 0..255 or null}
    POST /edil/shares                   {"share"}
    POST /edil/heads                    {"head"}
    GET  /edil/trusted                  {"rounds": [status]}: gateway-trusted rounds, which are not EDIL
    GET  /edil/trusted/M/closed         {"confidentiality", "set", "total"}
    POST /edil/trusted                  the configuration (EDIL.md, section 8), which has to name the mode
    POST /edil/trusted/values           {"plain"}, a device's signed values

Bytes are hex. What the service refuses is 409 with {"error": reason, "message"}, no such round 404, another body 400.
Frames are signed by who made them; the rest (close, labels) is for whoever reaches the page, which is on loopback.
"""

from collections.abc import Callable, Mapping
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from device.agent.errors import WireError
from gateway.aggregation.aggregate import Refused
from gateway.aggregation.messages import GATEWAY_TRUSTED
from gateway.aggregation.service import Aggregation
from gateway.web.posted import BadRequest, bytes_of, read_object

BODY_LIMIT_BYTES = 2 << 20
ROUND = "/edil/rounds/{manifest}"


def routes(service: Aggregation) -> list[Route]:
    """The routes over a service."""

    def get(path: str, call: Callable[[bytes], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            return await _answer(lambda: call(_manifest(request)))

        return Route(path, endpoint, methods=["GET"])

    def post(path: str, call: Callable[[Mapping[str, Any], bytes], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                body = await read_object(request, BODY_LIMIT_BYTES)
            except BadRequest as error:
                return _error(400, "malformed", str(error))
            return await _answer(lambda: call(body, _manifest(request)))

        return Route(path, endpoint, methods=["POST"])

    async def rounds(request: Request) -> Response:
        return await _answer(lambda: {"rounds": service.rounds()})

    return [
        Route("/edil/rounds", rounds, methods=["GET"]),
        get(ROUND, service.status),
        get(ROUND + "/closed", lambda manifest: _closed(service, manifest)),
        get(ROUND + "/shares", lambda manifest: {"shares": [frame.hex() for frame in service.shares(manifest)]}),
        get(ROUND + "/answers", lambda manifest: _answers(service, manifest)),
        post("/edil/rounds", lambda body, _: _open(service, body)),
        post(ROUND + "/close", lambda body, manifest: service.close_round(manifest)),
        post(ROUND + "/merge", lambda body, manifest: _merge(service, body, manifest)),
        post("/edil/enrolments", lambda body, _: service.enrol(bytes_of(body, "owner"), bytes_of(body, "enrol")).hex()),
        post("/edil/shares", lambda body, _: service.give_share(bytes_of(body, "share"))),
        post("/edil/heads", lambda body, _: service.tell_head(bytes_of(body, "head"))),
        post("/edil/labels", lambda body, _: service.label(bytes_of(body, "device"), _class(body))),
        get("/edil/trusted", lambda _: {"rounds": service.trusted.rounds()}),
        get("/edil/trusted/{manifest}/closed", lambda digest: _closed_trusted(service, digest)),
        post("/edil/trusted", lambda body, _: service.trusted.open(body).hex()),
        post("/edil/trusted/values", lambda body, _: service.trusted.give(bytes_of(body, "plain"))),
    ]


def _open(service: Aggregation, body: Mapping[str, Any]) -> str:
    weights, part = body.get("weights", {}), body.get("part", False)
    if not isinstance(weights, dict) or not all(type(weight) is int for weight in weights.values()):
        raise BadRequest("weights: wanted an object of device and 1..4")
    by_device = {bytes_of({"device": device}, "device"): weight for device, weight in weights.items()}
    return service.open_round(bytes_of(body, "manifest"), by_device, part is True).hex()


def _closed(service: Aggregation, manifest: bytes) -> dict[str, str]:
    closed, aggregate = service.closed(manifest)
    return {"manifest": service.status(manifest)["frame"], "set": closed.hex(), "aggregate": aggregate.hex()}


def _closed_trusted(service: Aggregation, digest: bytes) -> dict[str, str]:
    frame, total = service.trusted.closed(digest)
    return {"confidentiality": GATEWAY_TRUSTED, "set": frame.hex(), "total": total.hex()}


def _merge(service: Aggregation, body: Mapping[str, Any], manifest: bytes) -> None:
    parts = body.get("parts")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise BadRequest("parts: wanted a list of objects")
    taken = [(bytes_of(part, "set"), bytes_of(part, "aggregate")) for part in parts]
    service.merge(manifest, taken, [bytes_of(part, "gateway") for part in parts])


def _answers(service: Aggregation, manifest: bytes) -> dict[str, Any]:
    headers = service.headers(manifest)
    return {
        "answers": [
            {"update": headers[answer.device, answer.index].hex(), "ciphertext": answer.ciphertext.hex()}
            for answer in service.answers(manifest)
        ]
    }


def _class(body: Mapping[str, Any]) -> int | None:
    value = body.get("class")
    if value is not None and (type(value) is not int or not 0 <= value <= 255):
        raise BadRequest(f"class: got {ascii(value)[:20]}, wanted 0..255 or null")
    return value


def _manifest(request: Request) -> bytes:
    return bytes_of(request.path_params, "manifest") if "manifest" in request.path_params else b""


async def _answer(call: Callable[[], Any]) -> Response:
    try:
        return JSONResponse(await to_thread.run_sync(call))
    except BadRequest as error:
        return _error(400, "malformed", str(error))
    except KeyError:
        return _error(404, "unknown", "no such round")
    except (WireError, Refused) as error:
        return _error(409, error.reason, str(error))


def _error(status: int, reason: str, message: str) -> Response:
    return JSONResponse({"error": reason, "message": message}, status)

"""Deeploy's routes of the site's page, for `tinyren job`; decides nothing, knows no key.

    GET  /jobs                  {"jobs": [status]}
    GET  /jobs/NAME             status, with "devices"
    GET  /jobs/NAME/logs?tail=N {"lines": [text]} of a job of the gateway itself
    GET  /jobs-about?signer=0x  what a client needs to make a request (service.Deeploy.about)
    POST /jobs                  {"chain_id", "contract", "job", "action", "nonce", "deadline", "signature"}

What the service refuses is 409 with {"error": reason, "message"}, no such job 404, another body 400, and 503 where a
store does not answer. Requests are signed; to read is for whoever reaches the page, which is on loopback.
"""

from collections.abc import Callable
from typing import Any

from anyio import to_thread
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.deeploy.requests import ACTIONS, NONCE_MAX, SIGNATURE_BYTES, Refused, Request
from gateway.deeploy.service import Deeploy
from gateway.storage.cstore_record import CstoreError
from gateway.storage.errors import StoreError
from gateway.web.posted import BadRequest, bytes_of, parse_object

BODY_LIMIT_BYTES = 4096
TAIL_MAX = 10_000
_BYTES = {"contract": 20, "job": 32, "signature": SIGNATURE_BYTES}
_NUMBERS = {"chain_id": (1 << 53) - 1, "action": max(ACTIONS.values()), "nonce": NONCE_MAX, "deadline": (1 << 53) - 1}


def routes(service: Deeploy) -> list[Route]:
    """The routes over a service."""

    async def jobs(request: HttpRequest) -> Response:
        return await _answer(lambda: {"jobs": service.jobs()})

    async def job(request: HttpRequest) -> Response:
        return await _answer(lambda: service.job(request.path_params["name"]))

    async def logs(request: HttpRequest) -> Response:
        return await _answer(lambda: {"lines": service.logs(request.path_params["name"], _tail(request))})

    async def about(request: HttpRequest) -> Response:
        return await _answer(lambda: service.about(bytes_of(request.query_params, "signer", 20)))

    async def ask(request: HttpRequest) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_LIMIT_BYTES:
                return _error(400, "malformed", f"the body is over {BODY_LIMIT_BYTES} bytes")
        kind = request.headers.get("content-type", "")
        return await _answer(lambda: service.request(read_request(kind, bytes(body))))

    return [
        Route("/jobs", jobs, methods=["GET"]),
        Route("/jobs", ask, methods=["POST"]),
        Route("/jobs/{name}", job, methods=["GET"]),
        Route("/jobs/{name}/logs", logs, methods=["GET"]),
        Route("/jobs-about", about, methods=["GET"]),
    ]


def read_request(kind: str, body: bytes) -> Request:
    """The request in a POST of this content type. Raises BadRequest."""
    value = parse_object(kind, body)
    if set(value) != {*_BYTES, *_NUMBERS}:
        raise BadRequest(f"the body: wanted an object of {', '.join([*_NUMBERS, *_BYTES])}")
    for name, most in _NUMBERS.items():
        if type(value[name]) is not int or not 0 <= value[name] <= most:
            raise BadRequest(f"{name}: got {str(value[name])[:20]}, wanted 0..{most}")
    contract, job, signature = (bytes_of(value, name, size) for name, size in _BYTES.items())
    return Request(value["chain_id"], contract, job, value["action"], value["nonce"], value["deadline"], signature)


def _tail(request: HttpRequest) -> int:
    text = request.query_params.get("tail", "100")
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= TAIL_MAX):
        raise BadRequest(f"tail: got {text[:20]!r}, wanted 1..{TAIL_MAX}")
    return int(text)


async def _answer(call: Callable[[], Any]) -> Response:
    try:
        return JSONResponse(await to_thread.run_sync(call))
    except BadRequest as error:
        return _error(400, "malformed", str(error))
    except KeyError:
        return _error(404, "unknown", "no such job; see `tinyren job ls`")
    except Refused as error:
        return _error(409, error.reason, str(error))
    except (StoreError, CstoreError) as error:
        return _error(503, "store", str(error))


def _error(status: int, reason: str, message: str) -> Response:
    return JSONResponse({"error": reason, "message": message}, status)

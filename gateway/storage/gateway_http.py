"""What a gateway lends of its store over HTTP: blocks and graphs by CID; refuses to add, list or fetch for others.

The trustless gateway (specs.ipfs.tech/http-gateways/trustless-gateway): GET /ipfs/CID with format=raw or format=car, or
the Accept header that says the same. Whoever knows a CID may read it, so what is private is sealed before it is added.
A CAR that cannot be completed breaks off without its end, so that nobody takes it for whole.
"""

import itertools
from collections.abc import Iterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from gateway.storage.car import write_car
from gateway.storage.cid import decode_any, encode_text, normalise
from gateway.storage.dag import Get
from gateway.storage.errors import Damaged, Missing
from gateway.storage.peers import CAR_TYPE, RAW_TYPE

FORMATS = {"raw": RAW_TYPE, "car": CAR_TYPE}


def app(get: Get, *others: BaseRoute) -> Starlette:
    """The gateway over `get`, and routes that go before it."""
    return Starlette(routes=[*others, route(get)])


def route(get: Get) -> Route:
    """/ipfs/CID over `get`, which is asked from threads."""

    def content(request: Request) -> Response:
        try:
            cid = decode_any(normalise(request.path_params["cid"]))
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 400)
        wanted = _format(request)
        if wanted is None:
            return PlainTextResponse("wanted format=raw or format=car\n", 406)
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        headers["Etag"] = f'"{encode_text(cid)}.{wanted}"'
        try:
            if wanted == "raw":
                return Response(get(cid), media_type=RAW_TYPE, headers=headers)
            chunks = started(write_car(get, [cid]), 2)  # the header, and the root's section
        except Missing as error:
            return PlainTextResponse(f"{error}\n", 404)
        except Damaged as error:
            return PlainTextResponse(f"{error}\n", 500)
        return StreamingResponse(chunks, media_type=f"{CAR_TYPE}; version=1; order=dfs; dups=n", headers=headers)

    return Route("/ipfs/{cid}", content)


def started(chunks: Iterator[bytes], count: int = 1) -> Iterator[bytes]:
    """The same chunks, the first of them made already, so that what cannot begin fails before it is answered."""
    first = list(itertools.islice(chunks, count))

    def all_of() -> Iterator[bytes]:
        yield from first
        yield from chunks

    return all_of()


def _format(request: Request) -> str | None:
    asked = request.query_params.get("format")
    if asked is not None:
        return asked if asked in FORMATS else None
    accepted = request.headers.get("accept", "")
    return next((name for name, kind in FORMATS.items() if kind in accepted), None)

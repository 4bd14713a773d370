"""Serves the site's page, its state and the chain's JSON-RPC on loopback; refuses requests that name another host.

The pages (pages.py) show what `Source.snapshot()` and `Source.detail()` say and nothing else. One task waits for
changes and tells every open page (feed.py), which asks for itself again. No page asks anything of any other host.

Fields of a snapshot beyond those of the --json result (devices, epochs, claims, rejected, site); all may be missing:
    devices[]: name (that the operator gave, or ""), source (text), last_heartbeat_ms (null before the first),
        inferences, earned_wei (decimal string), recent (verdicts of the last windows, oldest first, 0 or
        1), emulated (true unless said otherwise), journals[], oldest first: {boot, reason, lines[], received_ms}.
    epochs[], oldest first: state ("open", "closing" or "settled"), windows_open (how many were opened so far).
    windows[], the last ones, oldest first: {epoch, window, answered (how many devices)}.
    oracles: {addresses[], threshold}.
    owners[]: {owner, deeds[], earned_wei, claimed_wei}; chain: {id, block}; notes[]: plain sentences; window_ms.
    jobs[]: as gateway/deeploy/statuses.py describes them in a line.
    edil[]: rounds, oldest first, as gateway/aggregation/known.py describes them.
Rules: Host must be this server's own (DNS rebinding); Origin, if there is one, must be too; a POST must be JSON.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from anyio import to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from gateway.web import pages
from gateway.web.feed import MAX_CLIENTS, Feed
from gateway.web.guard import Guard
from gateway.web.rpc import answer

HERE = Path(__file__).parent
UNBUFFERED = {"X-Accel-Buffering": "no"}  # nginx then passes each event on as it comes


class Source(Protocol):
    """Where the page's content comes from. Its methods are called from threads other than the caller's."""

    def snapshot(self) -> Mapping[str, Any]:
        """The site as it is now, JSON values only."""

    def changed(self, after: int, timeout_s: float) -> int:
        """Block until the version is above `after` or the time is over, and return the version (0 at first)."""

    def detail(self, what: str, name: str = "") -> Mapping[str, Any] | None:
        """What only one page shows (status_detail.py lists it), JSON values; None where there is no such thing."""

    def rpc(self, method: str, params: Any) -> Any:
        """The result of a JSON-RPC call to the chain, JSON values only; raises rpc.RpcError."""


def app(
    source: Source,
    more: Sequence[BaseRoute] = (),
    names: Sequence[str] = (),
    is_signed_in: Callable[[str], bool] = lambda _: False,
    public_url: str = "",
) -> Starlette:
    """The pages over a source, and further routes. Its lifespan runs the task that waits for changes."""
    feed = Feed(source.snapshot, source.changed)

    async def state(request: Request) -> Response:
        return JSONResponse(await to_thread.run_sync(source.snapshot))

    async def events(request: Request) -> Response:
        if feed.clients >= MAX_CLIENTS:
            wait = {"Retry-After": "5"}
            return PlainTextResponse(f"{MAX_CLIENTS} pages are open already, close one.\n", 503, wait)
        seen = request.query_params.get("after", "")
        number = int(seen) if re.fullmatch("[0-9]{1,15}", seen) else -1
        return StreamingResponse(feed.events(number), media_type="text/event-stream", headers=UNBUFFERED)

    async def rpc(request: Request) -> Response:
        return await answer(request, source.rpc)

    @contextlib.asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(feed.watch())
        yield
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    routes = [
        *pages.routes(source, feed),
        Route("/state.json", state),
        Route("/events", events),
        Route("/rpc", rpc, methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
        *more,
    ]
    middleware = [Middleware(Guard, names, is_signed_in, public_url), Middleware(GZipMiddleware, compresslevel=6)]
    application = Starlette(routes=routes, middleware=middleware, lifespan=lifespan)
    application.state.feed = feed
    return application

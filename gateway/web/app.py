"""Serves the site's page, its state and the chain's JSON-RPC on loopback; refuses requests that name another host.

The page shows what `Source.snapshot()` says and nothing else. One task waits for changes, renders once, and every open
page gets that rendering. The page asks nothing of any other host.

Fields of a snapshot beyond those of the --json result (devices, epochs, claims, rejected, site); all may be missing:
    devices[]: source (text), last_heartbeat_ms (null before the first), inferences, earned_wei (decimal string),
        recent (verdicts of the last windows, oldest first, 0 or 1), emulated (true unless said otherwise),
        journals[], oldest first: {boot, reason, lines[], received_ms}.
    epochs[], oldest first: state ("open", "closing" or "settled"), windows_open (how many were opened so far).
    owners[]: {owner, deeds[], earned_wei, claimed_wei}; chain: {id, block}; notes[]: plain sentences; window_ms.
    jobs[]: as gateway/deeploy/statuses.py describes them in a line.
    edil[]: rounds, oldest first, as gateway/aggregation/known.py describes them.
Rules: Host must be this server's own (DNS rebinding); Origin, if there is one, must be too; a POST must be JSON.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from anyio import to_thread
from jinja2 import Environment, FileSystemLoader
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web import view
from gateway.web.rpc import answer

HERE = Path(__file__).parent
MAX_CLIENTS = 32
KEEPALIVE_S = 15.0
POLL_S = 1.0
LEAST_INTERVAL_S = 0.2
HOSTS = ("127.0.0.1", "localhost", "[::1]")
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Source(Protocol):
    """Where the page's content comes from. Its methods are called from threads other than the caller's."""

    def snapshot(self) -> Mapping[str, Any]:
        """The site as it is now, JSON values only."""

    def changed(self, after: int, timeout_s: float) -> int:
        """Block until the version is above `after` or the time is over, and return the version (0 at first)."""

    def rpc(self, method: str, params: Any) -> Any:
        """The result of a JSON-RPC call to the chain, JSON values only; raises rpc.RpcError."""


class Feed:
    """The newest rendering of the page's live part, and the pages that wait for the next one."""

    def __init__(self, source: Source, templates: Environment) -> None:
        self._source, self._template = source, templates.get_template("live.html")
        self._condition = asyncio.Condition()
        self._html, self._number, self.clients, self.closed = b"", 0, 0, False

    def render(self) -> str:
        return self._template.render(view.view(self._source.snapshot(), _now_ms()))

    async def watch(self) -> None:
        """Render at each change until cancelled. Should the source fail, every stream ends and the page says so."""
        version = -1
        try:
            while True:
                newest = await to_thread.run_sync(self._source.changed, version, POLL_S, abandon_on_cancel=True)
                if newest != version:
                    version = newest
                    await self._publish(await to_thread.run_sync(self.render))
                    await asyncio.sleep(LEAST_INTERVAL_S)
        finally:
            await self.close()

    async def _publish(self, html: str) -> None:
        async with self._condition:
            self._html = json.dumps(html).encode()
            self._number += 1
            self._condition.notify_all()

    async def close(self) -> None:
        """End every stream, so that the server can stop."""
        async with self._condition:
            self.closed = True
            self._condition.notify_all()

    async def events(self) -> AsyncIterator[bytes]:
        """Server-sent events for one page: each new rendering, and a comment when nothing happens."""
        if self.clients >= MAX_CLIENTS:
            return
        self.clients += 1
        seen = 0
        try:
            while not self.closed:
                if seen < self._number:
                    seen = self._number
                    yield b'data: {"now_ms": %d, "html": %s}\n\n' % (_now_ms(), self._html)
                elif not await self._is_news(seen):
                    yield b": still here\n\n"
        finally:
            self.clients -= 1

    async def _is_news(self, seen: int) -> bool:
        """Wait for a rendering after `seen` or the end; False when neither comes in time."""
        try:
            async with asyncio.timeout(KEEPALIVE_S), self._condition:
                await self._condition.wait_for(lambda: self.closed or self._number > seen)
        except TimeoutError:
            return False
        return True


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Guard:
    """Middleware: refuses a Host that is not this server's own, and adds the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        port = (scope.get("server") or ("", 80))[1]
        own = {f"{host}:{port}" for host in HOSTS} | (set(HOSTS) if port == 80 else set())
        headers = Headers(scope=scope)
        app = self._app
        if headers.get("host", "").lower() not in own:
            app = PlainTextResponse(f"This page answers as 127.0.0.1:{port} or localhost:{port} only.\n", 421)
        elif headers.get("origin") not in (None, *(f"http://{host}" for host in own)):
            app = PlainTextResponse("Requests from other origins are refused.\n", 403)
        await app(scope, receive, send_guarded)


def app(source: Source, more: Sequence[BaseRoute] = ()) -> Starlette:
    """The page over a source, and further routes. Its lifespan runs the task that waits for changes."""
    templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True)
    templates.filters |= {name: getattr(view, name) for name in ("r1", "short", "text", "number")}
    feed = Feed(source, templates)

    async def page(request: Request) -> Response:
        live = await to_thread.run_sync(feed.render)
        return HTMLResponse(templates.get_template("page.html").render(live=live))

    async def state(request: Request) -> Response:
        return JSONResponse(await to_thread.run_sync(source.snapshot))

    async def events(request: Request) -> Response:
        if feed.clients >= MAX_CLIENTS:
            wait = {"Retry-After": "5"}
            return PlainTextResponse(f"{MAX_CLIENTS} pages are open already, close one.\n", 503, wait)
        return StreamingResponse(feed.events(), media_type="text/event-stream")

    async def rpc(request: Request) -> Response:
        return await answer(request, source.rpc)

    @contextlib.asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(feed.watch())
        yield
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    routes = [
        Route("/", page),
        Route("/state.json", state),
        Route("/events", events),
        Route("/rpc", rpc, methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
        *more,
    ]
    application = Starlette(routes=routes, middleware=[Middleware(Guard)], lifespan=lifespan)
    application.state.feed = feed
    return application

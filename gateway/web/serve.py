"""Runs the page's server in a thread; refuses to start quietly on another port than the one asked for.

It always answers on loopback, where the oracles and other programs of this machine find it, and elsewhere if told so.
"""

import asyncio
import errno
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from gateway.web.connections import Connection
from gateway.web.guard import passed_on

HOST = "127.0.0.1"
Listening = tuple[uvicorn.Server, list[socket.socket]]
EVERYWHERE = ("0.0.0.0", "::")


class PortInUse(Exception):
    """The port of the page is taken; the message says what to do."""


@dataclass(frozen=True)
class Server:
    """A running page: its URL ends with the port that was chosen."""

    url: str
    port: int
    _loop: asyncio.AbstractEventLoop
    _servers: Sequence[uvicorn.Server]
    _thread: threading.Thread

    def call(self, function: Callable[[], object]) -> None:
        """Have the page's thread call a function: what its connections are made with is changed between two of them."""
        self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        """End every open page's stream, then the server and its thread; may be called again."""
        for server in self._servers:
            server.should_exit = True
        if self._thread.is_alive():
            feed = self._servers[0].config.app.state.feed  # type: ignore[union-attr]
            asyncio.run_coroutine_threadsafe(feed.close(), self._loop)
        self._thread.join()


def serve(
    app: Starlette,
    port: int = 0,
    must_have_port: bool = True,
    host: str = HOST,
    tls: tuple[str, int, ssl.SSLContext] | None = None,
    proxy: tuple[str, int] | None = None,
) -> Server:
    """Listen and return once the page answers; the URL is that on loopback.

    Args:
        port: 0 for a free one.
        must_have_port: else, where the port is taken, a free one will do.
        host: also listen on this address.
        tls: (address, port, context) where it listens by TLS too. proxy: (address, port) where a reverse proxy asks.
    Raises:
        PortInUse: another program has the port. RuntimeError: the server ended at once.
    """
    try:
        listeners = listen(port, host)
    except PortInUse:
        if must_have_port:
            raise
        listeners = listen(0, host)
    running: list[Listening] = [(_server(app), listeners)]
    try:
        if tls:
            running.append((_server(app, tls[2], "off"), [_bind(tls[0], tls[1])]))
        if proxy:
            running.append((_server(passed_on(app), None, "off"), [_bind(*proxy)]))
    except PortInUse:
        _close([listener for _, bound in running for listener in bound])
        raise
    servers = [server for server, _ in running]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop, running), name="page", daemon=True)
    thread.start()
    while not all(server.started for server in servers) and thread.is_alive():
        thread.join(0.01)
    if not all(server.started for server in servers):
        raise RuntimeError("the page's server ended before it answered")
    chosen = int(listeners[0].getsockname()[1])
    return Server(f"http://{HOST}:{chosen}/", chosen, loop, servers, thread)


def listen(port: int, host: str = HOST) -> list[socket.socket]:
    """Sockets that listen on one port of loopback and of `host`; port 0 for a free one.

    Raises:
        PortInUse: another program has the port, or this machine has no such address.
    """
    listeners: list[socket.socket] = []
    for address in (host,) if host in (*EVERYWHERE, HOST) else (HOST, host):
        try:
            listeners.append(_bind(address, port))
        except PortInUse:
            _close(listeners)
            raise
        port = int(listeners[-1].getsockname()[1])
    return listeners


def _bind(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        advice = "stop that program or choose another port"
        if error.errno == errno.EADDRNOTAVAIL:
            advice = "this machine has no such address; see page.listen, page.tls_listen and page.proxy_listen"
        raise PortInUse(f"port {port} of {address}: {error.strerror}; {advice}") from error
    return listener


def _close(listeners: Sequence[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


def _server(app: ASGIApp, tls: ssl.SSLContext | None = None, lifespan: Literal["on", "off"] = "on") -> uvicorn.Server:
    """One of an app's servers, of which one runs the app's lifespan."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan=lifespan,
            ws="none",
            http=Connection,
            proxy_headers=False,  # what a request says of where it came from is not believed
            ssl_context_factory=(lambda *_: tls) if tls else None,
        )
    )


def _run(loop: asyncio.AbstractEventLoop, running: Sequence[Listening]) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(server.serve(sockets=listeners) for server, listeners in running))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(all_of_them())
    for _, listeners in running:
        _close(listeners)

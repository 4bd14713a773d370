"""Runs the page's server in a thread; refuses to start quietly on another port than the one asked for.

It always answers on loopback, where the oracles and other programs of this machine find it, and elsewhere if told so.
"""

import asyncio
import errno
import socket
import threading
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette

HOST = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "::")


class PortInUse(Exception):
    """The port of the page is taken; the message says what to do."""


@dataclass(frozen=True)
class Server:
    """A running page: its URL ends with the port that was chosen."""

    url: str
    port: int
    _loop: asyncio.AbstractEventLoop
    _server: uvicorn.Server
    _thread: threading.Thread

    def stop(self) -> None:
        """End every open page's stream, then the server and its thread; may be called again."""
        self._server.should_exit = True
        if self._thread.is_alive():
            feed = self._server.config.app.state.feed  # type: ignore[union-attr]
            asyncio.run_coroutine_threadsafe(feed.close(), self._loop)
        self._thread.join()


def serve(app: Starlette, port: int = 0, must_have_port: bool = True, host: str = HOST) -> Server:
    """Listen and return once the page answers; the URL is that on loopback.

    Args:
        port: 0 for a free one.
        must_have_port: else, where the port is taken, a free one will do.
        host: also listen on this address.
    Raises:
        PortInUse: another program has the port. RuntimeError: the server ended at once.
    """
    try:
        listeners = listen(port, host)
    except PortInUse:
        if must_have_port:
            raise
        listeners = listen(0, host)
    config = uvicorn.Config(app, log_config=None, log_level="critical", access_log=False, lifespan="on", ws="none")
    server = uvicorn.Server(config)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop, server, listeners), name="page", daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.01)
    if not server.started:
        raise RuntimeError("the page's server ended before it answered")
    chosen = int(listeners[0].getsockname()[1])
    return Server(f"http://{HOST}:{chosen}/", chosen, loop, server, thread)


def listen(port: int, host: str = HOST) -> list[socket.socket]:
    """Sockets that listen on one port of loopback and of `host`; port 0 for a free one.

    Raises:
        PortInUse: another program has the port, or this machine has no such address.
    """
    listeners: list[socket.socket] = []
    for address in (host,) if host in (*EVERYWHERE, HOST) else (HOST, host):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listeners.append(listener)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(128)
        except OSError as error:
            for one in listeners:
                one.close()
            advice = "stop that program or choose another port"
            if error.errno == errno.EADDRNOTAVAIL:
                advice = "this machine has no such address; see page.listen"
            raise PortInUse(f"port {port} of {address}: {error.strerror}; {advice}") from error
        port = int(listener.getsockname()[1])
    return listeners


def _run(loop: asyncio.AbstractEventLoop, server: uvicorn.Server, listeners: list[socket.socket]) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(server.serve(sockets=listeners))
    for listener in listeners:
        listener.close()

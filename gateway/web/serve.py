"""Runs the page's server in a thread on loopback; refuses to start quietly on another port than the one asked for."""

import asyncio
import socket
import threading
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette

HOST = "127.0.0.1"


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


def serve(app: Starlette, port: int = 0, must_have_port: bool = True) -> Server:
    """Listen on loopback and return once the page answers.

    Args:
        port: 0 for a free one.
        must_have_port: else, where the port is taken, a free one will do.
    Raises:
        PortInUse: another program has the port. RuntimeError: the server ended at once.
    """
    try:
        listener = listen(port)
    except PortInUse:
        if must_have_port:
            raise
        listener = listen(0)
    config = uvicorn.Config(app, log_config=None, log_level="critical", access_log=False, lifespan="on", ws="none")
    server = uvicorn.Server(config)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop, server, listener), name="page", daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.01)
    if not server.started:
        raise RuntimeError("the page's server ended before it answered")
    chosen = int(listener.getsockname()[1])
    return Server(f"http://{HOST}:{chosen}/", chosen, loop, server, thread)


def listen(port: int) -> socket.socket:
    """A socket that listens on loopback; port 0 for a free one.

    Raises:
        PortInUse: another program has the port.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortInUse(f"port {port} of {HOST}: {error.strerror}; stop that program or choose another port") from error
    return listener


def _run(loop: asyncio.AbstractEventLoop, server: uvicorn.Server, listener: socket.socket) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(server.serve(sockets=[listener]))
    listener.close()

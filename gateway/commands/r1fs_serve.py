"""Serves a store over HTTP: /ipfs/ to whoever reaches it, /api/v0 on loopback only, and there to no web page.

gateway.web's Guard keeps the API to requests that name this server and come from no other origin (DNS rebinding).
"""

import socket

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.errors import CommandError, Exit
from gateway.storage import api_v0, gateway_http
from gateway.storage.embedded import Embedded
from gateway.web.guard import Guard

LOOPBACK = ("127.0.0.1", "::1")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 for a free one. CommandError: the port is taken, or the host is none of ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise CommandError(f"port {port} of {host}: {error.strerror}; choose another --port", Exit.PORT) from error
    return listener


def server(store: Embedded, listener: socket.socket) -> uvicorn.Server:
    """A server of a store; `run(sockets=[listener])` serves until it is told to stop."""
    api = []
    if listener.getsockname()[0] in LOOPBACK:
        api = [Mount("/api/v0", app=Guard(Starlette(routes=api_v0.routes(store))))]
    app = gateway_http.app(store.get_here, *api)
    config = uvicorn.Config(
        app, log_config=None, log_level="critical", access_log=False, lifespan="off", ws="none", proxy_headers=False
    )
    return uvicorn.Server(config)


def run(store: Embedded, listener: socket.socket) -> None:
    """Serve until Ctrl-C."""
    with listener:
        server(store, listener).run(sockets=[listener])

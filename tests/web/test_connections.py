"""Connections that say nothing: they take no place from who asks, and no more of the process than they may."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from gateway.web import connections
from gateway.web.app import app
from gateway.web.serve import Server, serve
from tests.web_demo import DemoSource, empty_snapshot

MOST = 20


@pytest.fixture
def server() -> Iterator[Server]:
    made = serve(app(DemoSource(empty_snapshot())))
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ("", b""),
        ("GET / HTTP/1.1\r\nHost: ", b""),
        ("POST /rpc HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[", b""),
        ("GET /nothing HTTP/1.1\r\nHost: {}\r\n\r\n", b"H"),
    ],
    ids=["nothing", "half a request", "half a body", "one request"],
)
def test_connections_that_wait_give_way_to_who_asks(
    server: Server, said: str, answered: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST", MOST)
    with ExitStack() as ends, httpx.Client(base_url=server.url) as client:
        with client.stream("GET", "/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": hello"
            for _ in range(10 * MOST):
                one = ends.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                one.sendall(said.format(f"127.0.0.1:{server.port}").encode())
                if answered:
                    assert one.recv(1) == answered
            assert httpx.get(f"{server.url}state.json").status_code == 200
            left = list(server._servers[0].server_state.connections)
            here = stream.extensions["network_stream"].get_extra_info("client_addr")
            assert len(left) <= MOST and here in [one.client for one in left]  # who was answered still is


def test_a_cookie_is_not_unquoted_which_takes_the_square_of_its_length() -> None:
    asked: list[str] = []
    server = serve(app(DemoSource(empty_snapshot()), is_signed_in=lambda token: bool(asked.append(token))))
    quoted = '"' + "\\\\" * 7000 + '"'  # as long as uvicorn surely takes
    for cookie in (f"a=b; tinyren={quoted};c", "tinyren", "a; =; tinyren2=x; tinyren =y", "tinyren=z=; tinyren=w"):
        answer = httpx.get(f"{server.url}state.json", headers={"Cookie": cookie, "Via": "a proxy"})
        assert answer.status_code == 401
    server.stop()
    assert asked == [quoted, "", "", "z="]

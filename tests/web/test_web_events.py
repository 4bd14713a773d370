"""How open pages follow changes, and how the pages' server ends; over a made-up site."""

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from gateway.web import app as web
from gateway.web import feed
from gateway.web.serve import PortInUse, Server, serve
from tests.web_demo import DemoSource, settled_snapshot


@pytest.fixture
def source() -> DemoSource:
    return DemoSource(settled_snapshot())


@pytest.fixture
def server(source: DemoSource) -> Iterator[Server]:
    made = serve(web.app(source))
    yield made
    made.stop()


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as made:
        yield made


def told(lines: Iterator[str]) -> str:
    """The next event's name."""
    return next(line for line in lines if line.startswith("event: "))


def test_a_change_reaches_an_open_page(server: Server, source: DemoSource, client: httpx.Client) -> None:
    with httpx.stream("GET", server.url + "events?after=0", timeout=10) as answer:
        lines = answer.iter_lines()
        assert (
            answer.headers["content-type"].startswith("text/event-stream") and "content-encoding" not in answer.headers
        )
        source.set(notes=["a first change"])
        assert told(lines) == "event: news"
        source.set(notes=["the pump is back"])
        assert told(lines) == "event: news"
        assert "the pump is back" in client.get("/").text


def test_a_version_without_a_change_tells_nothing(source: DemoSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "KEEPALIVE_S", 2.0)
    monkeypatch.setattr(feed, "LEAST_INTERVAL_S", 0.01)
    server = serve(web.app(source))
    with httpx.stream("GET", server.url + "events", timeout=10) as answer:
        lines = answer.iter_lines()
        told(lines)
        source.set(notes=["once"])
        told(lines)
        next(lines)  # the time
        for _ in range(5):
            source.set(notes=["once"])
        assert next(line for line in lines if line.strip()) == ": still here"
    server.stop()


@pytest.mark.parametrize("after", ["-1", "x", "9" * 40, "%00"])
def test_a_page_that_saw_something_else_is_told_at_once(server: Server, source: DemoSource, after: str) -> None:
    with httpx.stream("GET", f"{server.url}events?after={after}", timeout=10) as answer:
        assert told(answer.iter_lines()) == "event: news"


def test_one_page_too_many_is_refused_and_a_closed_one_makes_room(
    source: DemoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "MAX_CLIENTS", 2)
    monkeypatch.setattr(feed, "KEEPALIVE_S", 0.05)
    server = serve(web.app(source))
    url = server.url + "events"
    with httpx.stream("GET", url) as first, httpx.stream("GET", url) as second:
        streams = [first.iter_lines(), second.iter_lines()]
        assert all(told(lines) for lines in streams)
        with httpx.stream("GET", url) as refused:
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    status = 503
    while status == 503:
        with httpx.stream("GET", url) as freed:
            status = freed.status_code
    assert status == 200
    server.stop()


def test_a_source_that_fails_ends_the_streams_of_open_pages() -> None:
    source = DemoSource(settled_snapshot())
    server = serve(web.app(source))
    with httpx.stream("GET", server.url + "events", timeout=10) as answer:
        lines = answer.iter_lines()
        told(lines)
        source.fail()
        assert not [line for line in lines if line.startswith("event")]
    server.stop()


def test_stopping_ends_open_streams_the_thread_and_the_port(source: DemoSource) -> None:
    before = sum(thread.name == "page" for thread in threading.enumerate())
    server = serve(web.app(source))
    with httpx.stream("GET", server.url + "events", timeout=10) as answer:
        lines = answer.iter_lines()
        told(lines)
        server.stop()
        assert not [line for line in lines if line.startswith("event")]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0
    assert sum(thread.name == "page" for thread in threading.enumerate()) == before
    server.stop()


def test_a_port_in_use_is_named_with_what_to_do(server: Server, source: DemoSource) -> None:
    with pytest.raises(PortInUse, match=rf"port {server.port} of 127\.0\.0\.1: .*choose another port"):
        serve(web.app(source), server.port)
    assert httpx.get(server.url).status_code == 200


def test_a_stopped_servers_port_can_be_taken_again_at_once(source: DemoSource) -> None:
    first = serve(web.app(source))
    assert httpx.get(first.url).status_code == 200
    first.stop()
    second = serve(web.app(source), first.port)
    assert httpx.get(second.url).status_code == 200 and second.port == first.port
    second.stop()

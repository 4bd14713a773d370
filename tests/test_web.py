"""The page over a made-up site: what it shows, what it refuses, how it follows changes and how its server ends."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.web import app as web
from gateway.web import view
from gateway.web.rpc import BODY_LIMIT_BYTES
from gateway.web.serve import PortInUse, Server, serve
from tests.web_demo import BOARDS, NOW_MS, DemoSource, empty_snapshot, settled_snapshot

GOOD_CALL = {"jsonrpc": "2.0", "id": 1, "method": "echo"}
HERE = Path(web.__file__).parent


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[DemoSource, Server]]:
    source = DemoSource(settled_snapshot())
    server = serve(web.app(source))
    yield source, server
    server.stop()


@pytest.fixture
def source(running: tuple[DemoSource, Server]) -> DemoSource:
    running[0].set(**settled_snapshot())
    return running[0]


@pytest.fixture
def server(running: tuple[DemoSource, Server]) -> Server:
    return running[1]


@pytest.fixture
def client(server: Server, source: DemoSource) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


def call(client: httpx.Client, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/rpc", content=content, headers={"content-type": "application/json", **headers})


def test_the_page_shows_devices_epochs_owners_and_what_was_rejected(client: httpx.Client) -> None:
    page = client.get("/")
    shown = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page.text))
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    for text in ("0x7E5F…5Bdf", "qemu_virt_rv32", "reads tmp105+lsm303dlhc", "1 248", "stale beacon", "2.9170"):
        assert text in shown
    assert "Epoch 4, window 7 of 12" in shown and "emulated by QEMU" in shown
    assert 'aria-label="answered 19 of the last 24 windows"' in page.text
    assert f'data-copy="{BOARDS[0][0]}"' in page.text


def test_the_page_names_no_other_host_and_runs_no_inline_code() -> None:
    for path in [*HERE.glob("templates/*"), *HERE.glob("static/*")]:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|url\(|[\"']//", text), path.name
        assert not re.search(r"\son[a-z]+=\"|\sstyle=\"|<style", text), path.name
    assert len((HERE / "static/page.js").read_text().splitlines()) < 150


def test_a_site_without_a_heartbeat_shows_three_steps(client: httpx.Client, source: DemoSource) -> None:
    source.set(**empty_snapshot())
    page = client.get("/").text
    assert "Waiting for the first heartbeat" in page and page.count("<li class=") == 3 and "<table" not in page
    waiting = {"id": BOARDS[0][0], "board": "qemu_mps2_an385", "deed": None}
    source.set(devices=[waiting])
    assert '<li class="done"><b>Boards start' in client.get("/").text
    source.set(devices=[{**waiting, "deed": 1}])
    assert '<li class="done"><b>Deeds are bound' in client.get("/").text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not any(name.startswith("on") for name, _ in attributes)


@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=60) | st.sampled_from(["<img src=x onerror=alert(1)>", '"><script>', "a\rdata: x"]))
def test_what_a_device_calls_itself_stays_text(client: httpx.Client, source: DemoSource, name: str) -> None:
    device = {**settled_snapshot()["devices"][0], "board": name, "core": name, "source": name}
    source.set(devices=[device], rejected={name: 1}, notes=[name])
    page = client.get("/")
    tags = Tags()
    tags.feed(page.text)
    assert page.status_code == 200 and not tags.seen & {"iframe", "object", "style"}
    assert page.text.count("<script") == 1 and page.text.count("<img") == 1


def test_a_snapshot_with_nothing_optional_is_shown(client: httpx.Client, source: DemoSource) -> None:
    device = {"id": BOARDS[0][0], "deed": None, "last_heartbeat_ms": NOW_MS}
    source.set(**empty_snapshot() | {"devices": [device], "epochs": [{"epoch": 1, "windows": 12}], "owners": [{}]})
    page = client.get("/")
    assert page.status_code == 200 and "not bound" in page.text


def test_state_json_is_the_snapshot(client: httpx.Client, source: DemoSource) -> None:
    assert client.get("/state.json").json() == source.snapshot()


AMOUNTS = [("0", "0.0000"), ("9" * 14, "0.0000"), ("1458508188386985115", "1.4585"), ("1" + "0" * 22, "10,000.0000")]


def test_amounts_are_shown_in_r1_rounded_down() -> None:
    assert [view.r1(wei) for wei, _ in AMOUNTS] == [shown for _, shown in AMOUNTS]
    assert view.r1(None) == "–"


def test_availability_is_the_mean_of_the_settled_epochs() -> None:
    devices = view.view(settled_snapshot(), NOW_MS)["devices"]
    assert [device["availability"] for device in devices] == [255, 212, 170]


HOSTS = [("127.0.0.1:{}", 200), ("localhost:{}", 200), ("[::1]:{}", 200), ("LOCALHOST:{}", 200), ("127.0.0.1", 421),
         ("127.0.0.1:1", 421), ("evil.example:{}", 421), ("127.0.0.1.evil.example:{}", 421), ("", 421)]  # fmt: skip


@pytest.mark.parametrize(("host", "status"), HOSTS)
def test_only_this_servers_own_host_is_answered(client: httpx.Client, host: str, status: int) -> None:
    host = host.format(client.base_url.port)
    for path in ("/", "/state.json", "/static/page.js"):
        assert client.get(path, headers={"host": host}).status_code == status
    assert call(client, GOOD_CALL, host=host).status_code == status


def test_a_request_from_another_origin_is_refused(client: httpx.Client) -> None:
    assert call(client, GOOD_CALL, origin="http://evil.example").status_code == 403
    assert call(client, GOOD_CALL, origin="null").status_code == 403
    assert call(client, GOOD_CALL, origin=str(client.base_url).rstrip("/")).json()["result"] == []


@pytest.mark.parametrize("path", ["/", "/state.json", "/static/page.css", "/missing"])
def test_every_answer_carries_the_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert "access-control-allow-origin" not in headers


def test_a_call_is_passed_to_the_chain_and_its_result_comes_back(client: httpx.Client) -> None:
    answer = call(client, {"jsonrpc": "2.0", "id": "a", "method": "echo", "params": [1, {"b": 2}]})
    assert answer.json() == {"jsonrpc": "2.0", "id": "a", "result": [1, {"b": 2}]}
    assert call(client, {"jsonrpc": "2.0", "method": "echo"}).status_code == 204


RPC_FAULTS = [
    (-32700, [b"{", b"\xff", b"[" * 30_000, b'{"id": NaN}', b"9" * 5_000]),
    (-32600, [[], [GOOD_CALL], "echo", {}, *({**GOOD_CALL, **bad} for bad in (
        {"jsonrpc": "1.0"}, {"method": 5}, {"id": [1]}, {"id": True}, {"params": 5}))]),
    (-32601, [{**GOOD_CALL, "method": "no_such"}]),
    (-32603, [{**GOOD_CALL, "method": "crash"}]),
]  # fmt: skip


@pytest.mark.parametrize(("code", "bodies"), RPC_FAULTS)
def test_a_faulty_call_gets_its_json_rpc_error(client: httpx.Client, code: int, bodies: list[object]) -> None:
    for body in bodies:
        answer = call(client, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (200, code)
        assert "secret" not in answer.text


def test_a_body_over_the_limit_and_another_content_type_are_refused(client: httpx.Client) -> None:
    padded = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}).encode()
    assert call(client, padded.ljust(BODY_LIMIT_BYTES)).json()["result"] == "0x539"
    assert call(client, padded.ljust(BODY_LIMIT_BYTES + 1)).status_code == 413
    assert client.post("/rpc", content=padded, headers={"content-type": "text/plain"}).status_code == 415
    assert client.get("/rpc").status_code == 405


def next_event(lines: Iterator[str]) -> dict:
    return json.loads(next(line for line in lines if line.startswith("data: "))[6:])


def test_a_change_reaches_an_open_page(server: Server, source: DemoSource) -> None:
    with httpx.stream("GET", server.url + "events", timeout=10) as answer:
        lines = answer.iter_lines()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "stale beacon" in next_event(lines)["html"]
        source.set(rejected={"noise": 7})
        event = next_event(lines)
        assert "noise" in event["html"] and "stale beacon" not in event["html"] and event["now_ms"] > NOW_MS


def test_a_quiet_stream_is_kept_alive_with_comments(source: DemoSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "KEEPALIVE_S", 0.05)
    server = serve(web.app(source))
    with httpx.stream("GET", server.url + "events", timeout=10) as answer:
        assert any(line == ": still here" for line in answer.iter_lines())
    server.stop()


def test_one_page_too_many_is_refused_and_a_closed_one_makes_room(
    source: DemoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "MAX_CLIENTS", 2)
    monkeypatch.setattr(web, "KEEPALIVE_S", 0.05)
    server = serve(web.app(source))
    url = server.url + "events"
    with httpx.stream("GET", url) as first, httpx.stream("GET", url) as second:
        streams = [first.iter_lines(), second.iter_lines()]
        assert all(next_event(lines)["html"] for lines in streams)
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
        next_event(lines)
        source.set(devices=[{"id": 7, "heartbeats": "not a number"}])
        assert not [line for line in lines if line.startswith("data")]
    server.stop()


def test_stopping_ends_open_streams_the_thread_and_the_port(source: DemoSource) -> None:
    server = serve(web.app(source))
    with httpx.stream("GET", server.url + "events", timeout=10) as answer:
        lines = answer.iter_lines()
        next_event(lines)
        server.stop()
        assert not [line for line in lines if line.startswith("data")]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0
    assert sum(thread.name == "page" for thread in threading.enumerate()) == 1
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

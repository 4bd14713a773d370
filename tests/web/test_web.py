"""The pages over a made-up site: how they are served and what is refused; what each shows is in test_pages*.py."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.web import app as web
from gateway.web.rpc import BODY_LIMIT_BYTES
from gateway.web.serve import Server, serve
from tests.web_demo import BOARDS, JOB, NOW_MS, ROUND, DemoSource, empty_snapshot, settled_snapshot

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


EVERY = ["/", "/fleet", f"/fleet/{BOARDS[0][0]}", "/earnings", "/epochs", "/rollouts", "/rollouts/quiet", "/rounds",
         "/storage", "/settings"]  # fmt: skip


def timeless(html: str) -> str:
    return re.sub("[0-9]+", "", html).strip()


@pytest.mark.parametrize("path", EVERY)
def test_every_page_is_answered_whole_and_its_main_part_alone(client: httpx.Client, path: str) -> None:
    whole, part = client.get(path), client.get(path, headers={"HX-Request": "true"})
    assert whole.status_code == part.status_code == 200
    assert whole.headers["content-type"].startswith("text/html") and "HX-Request" in whole.headers["vary"]
    assert timeless(part.text) in timeless(whole.text) and "<html" in whole.text and "<html" not in part.text
    assert whole.text.count("<h1") == 1 and whole.text.count('aria-current="page"') == 1
    restored = client.get(path, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert "<html" in restored.text


MISSING = ["/fleet/0x" + "0" * 40, "/fleet/nobody", "/rollouts/none", "/rollouts/%3Cscript%3E"]


@pytest.mark.parametrize("path", MISSING)
def test_an_address_that_names_nothing_says_so_and_leads_back(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 404 and "There is no such" in page.text and "See every" in page.text
    assert "<script>" not in page.text


def test_no_page_names_another_host_or_runs_inline_code() -> None:
    for path in [*HERE.glob("templates/*"), *HERE.glob("static/*.*")]:
        text = re.sub("http://www.w3.org/2000/svg|<code>http://127.0.0.1</code>", "", path.read_text())
        assert not re.search(r"https?:|url\(|[\"']//", text), path.name
        assert not re.search(r"\son[a-z]+=\"|\sstyle=\"|<style", text), path.name


def test_what_is_vendored_is_what_its_list_says() -> None:
    rows = re.findall(r"([0-9a-f]{64})\W+([\w.-]+\.js)", (HERE / "static/vendor/README.md").read_text())
    files = [(hashlib.sha256(path.read_bytes()).hexdigest(), path.name) for path in HERE.glob("static/vendor/*.js")]
    assert sorted(rows) == sorted(files) and len(files) == 3


def test_the_first_page_with_all_that_it_needs_is_at_most_100_kb(client: httpx.Client) -> None:
    page = client.get("/")
    needed = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    sizes = {path: len(client.get(path).content) for path in needed}
    assert len(sizes) >= 7 and len(page.content) + sum(sizes.values()) < 105_000

    def sent(path: str) -> int:
        with client.stream("GET", path) as answer:
            return sum(map(len, answer.iter_raw()))

    assert sum(map(sent, ["/", *sizes])) < 50_000


def test_static_files_are_asked_for_by_their_tag_and_pages_are_never_kept(client: httpx.Client) -> None:
    first = client.get("/static/page.css")
    again = client.get("/static/page.css", headers={"If-None-Match": first.headers["etag"]})
    assert first.headers["cache-control"] == "no-cache" and again.status_code == 304
    assert client.get("/").headers["cache-control"] == "no-store"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        assert not any(name.startswith("on") for name, _ in attributes)


EVIL = st.text(max_size=60) | st.sampled_from(
    ["<img src=x onerror=alert(1)>", '"><script>', "a\rdata: x", "' onload='"]
)


@settings(max_examples=15, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=EVIL)
def test_what_devices_and_files_say_stays_text_on_every_page(
    client: httpx.Client, source: DemoSource, text: str
) -> None:
    known = settled_snapshot()
    device = known["devices"][0] | dict.fromkeys(["board", "core", "source", "name", "firmware", "ren", "model"], text)
    device["journals"] = [{"boot": 1, "reason": text, "lines": [text], "received_ms": NOW_MS}]
    job = JOB | {"why": text, "document": text, "state": text, "counts": {text: 1}}
    edil = ROUND | {"why": text, "state": text, "said": {"1": text}, "digest": text}
    evil = {"devices": [device], "jobs": [job], "edil": [edil], "rejected": {text: 1}, "notes": [text], "site": text}
    source.set(**evil)
    for path in EVERY:
        page, tags = client.get(path), Tags()
        tags.feed(page.text)
        assert page.status_code == 200 and not tags.seen.keys() & {"iframe", "object", "style", "embed"}
        assert tags.seen["script"] == (6 if path.startswith("/fleet") else 5) and tags.seen["img"] == 1


@pytest.mark.parametrize("path", [path for path in EVERY if "rollouts/" not in path])
def test_a_snapshot_with_nothing_optional_is_shown(client: httpx.Client, source: DemoSource, path: str) -> None:
    device = {"id": BOARDS[0][0], "deed": None, "last_heartbeat_ms": NOW_MS}
    source.set(**empty_snapshot() | {"devices": [device], "epochs": [{"epoch": 1, "windows": 12}], "owners": [{}]})
    assert client.get(path).status_code == 200


def test_state_json_is_the_snapshot(client: httpx.Client, source: DemoSource) -> None:
    assert client.get("/state.json").json() == source.snapshot()


HOSTS = [("127.0.0.1:{}", 200), ("localhost:{}", 200), ("[::1]:{}", 200), ("LOCALHOST:{}", 200), ("127.0.0.1", 421),
         ("127.0.0.1:1", 421), ("evil.example:{}", 421), ("127.0.0.1.evil.example:{}", 421), ("", 421)]  # fmt: skip


@pytest.mark.parametrize(("host", "status"), HOSTS)
def test_only_this_servers_own_host_is_answered(client: httpx.Client, host: str, status: int) -> None:
    host = host.format(client.base_url.port)
    for path in ("/", "/fleet", "/state.json", "/static/page.js"):
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


def test_half_a_surrogate_pair_is_told_back_as_it_came(client: httpx.Client) -> None:
    answer = call(client, rb'{"jsonrpc": "2.0", "id": "\ud800", "method": "echo", "params": ["\udfff"]}')
    assert answer.json() == {"jsonrpc": "2.0", "id": "\ud800", "result": ["\udfff"]}
    assert call(client, rb'{"jsonrpc": "2.0", "id": 1, "method": "\ud800"}').json()["error"]["code"] == -32601


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

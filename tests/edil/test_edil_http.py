"""EDIL's routes of the page: what a body must be, what a refusal looks like, and that noise changes nothing."""

import http.server
import json
import threading

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.aggregation.aggregate import Refused
from gateway.edil.client import Gateway, GatewayAway, GatewayRefused
from gateway.edil.edil_http import BODY_LIMIT_BYTES
from tests.edil_scene import HOLDER, Scene, make_device
from tests.edil_site import serve_gateway
from tests.edil_web import FakeService, serve_edil

M = "ab" * 32
POSTS = {
    "/edil/rounds": {"manifest": "00"},
    f"/edil/rounds/{M}/close": {},
    f"/edil/rounds/{M}/merge": {"parts": [{"gateway": "00", "set": "00", "aggregate": "00"}]},
    "/edil/enrolments": {"owner": "00", "enrol": "00"},
    "/edil/shares": {"share": "00"},
    "/edil/heads": {"head": "00"},
    "/edil/labels": {"device": "00", "class": 1},
}


@pytest.fixture(scope="module")
def site():
    service = FakeService()
    with serve_edil(service) as url, httpx.Client(base_url=url) as client:
        yield client, service


@pytest.fixture(autouse=True)
def fresh(site):
    site[1].calls.clear()
    site[1].refuses = None


def post(client, path, body, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, content=content, headers={"content-type": "application/json", **headers})


@pytest.mark.parametrize("path", POSTS)
def test_each_route_reaches_the_service_with_bytes(path, site):
    client, service = site
    assert post(client, path, POSTS[path]).status_code == 200
    ((name, *arguments),) = service.calls
    assert name in ("open_round", "close_round", "merge", "enrol", "give_share", "tell_head", "label") and arguments


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b"{" * 5000, b"[" * 5000, b" " * (BODY_LIMIT_BYTES + 1)], ids=str
)
def test_a_body_that_is_no_object_is_refused(path, body, site):
    client, service = site
    answer = post(client, path, body)
    assert answer.status_code == 400 and answer.json()["error"] == "malformed" and not service.calls


@pytest.mark.parametrize("path", [path for path in POSTS if not path.endswith("/close")])
def test_a_field_that_is_missing_or_no_hex_is_named(path, site):
    client, service = site
    for name in POSTS[path]:
        for value in ("zz", 5, {}, None):
            if (name, value) != ("class", 5) and (name, value) != ("class", None):
                answer = post(client, path, {**POSTS[path], name: value})
                assert answer.status_code == 400 and name in answer.json()["message"], (name, value)
    assert not service.calls


def test_only_this_pages_own_json_is_taken(site):
    client, service = site
    body = POSTS["/edil/shares"]
    assert post(client, "/edil/shares", body, **{"content-type": "text/plain"}).status_code == 400
    assert post(client, "/edil/shares", body, origin="http://evil.example").status_code == 403
    assert post(client, "/edil/shares", body, host="evil.example").status_code == 421
    assert not service.calls


def test_a_refusal_has_its_reason_and_an_unknown_round_is_not_found(site):
    client, service = site
    service.refuses = Refused("twice", "got it twice")
    answer = post(client, "/edil/shares", POSTS["/edil/shares"])
    assert (answer.status_code, answer.json()) == (409, {"error": "twice", "message": "got it twice"})
    assert client.get(f"/edil/rounds/{M}").status_code == 404
    assert client.get(f"/edil/rounds/{M}/closed").status_code == 404
    assert client.get("/edil/rounds/zz").status_code == 400
    gateway = Gateway(str(client.base_url))
    with pytest.raises(GatewayRefused) as refused:
        gateway.give_share(b"\0")
    assert refused.value.reason == "twice"
    with pytest.raises(GatewayRefused, match="unknown"):
        gateway.status(bytes(32))


@pytest.mark.parametrize(
    "rows",
    [5, None, "x", [1], {"a": 1}, [[]], [{"digest": 5}], [{"said": []}], [{"shares": 1}]],
    ids=str,
)
def test_a_gateway_that_tells_nonsense_is_taken_for_one_that_is_away(rows, site):
    client, service = site
    service.rows = rows
    with pytest.raises(GatewayAway):
        Gateway(str(client.base_url)).rounds()
    service.rows = []


SCENE = Scene()
DEVICES = [make_device(number) for number in range(3)]


@settings(derandomize=True, max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([path for path in POSTS]), st.binary(max_size=300), st.integers(0, 400), st.integers(1, 255))
def test_noise_and_changed_frames_leave_a_gateway_as_it_was(real, path, noise, at, change):
    gateway, client = real
    frame = bytearray(SCENE.manifest_frame)
    frame[at % len(frame)] ^= change
    for data in (noise, bytes(frame)):
        body = {"parts": [{"gateway": "00" * 20, "set": data.hex(), "aggregate": data.hex()}]}
        body |= {name: data.hex() for name in ("manifest", "owner", "enrol", "share", "head")}
        body |= {"device": "00" * 20, "class": None}
        answer = post(client, path, body)
        assert answer.status_code in (400, 404, 409) or path == "/edil/labels"
    assert gateway.aggregation.rounds() == []


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    with serve_gateway(tmp_path_factory.mktemp("gateway"), DEVICES) as gateway:
        with httpx.Client(base_url=gateway.url) as client:
            yield gateway, client


def test_no_key_of_a_holder_is_in_what_is_told(real):
    gateway, client = real
    assert HOLDER.to_hex() not in client.get("/edil/rounds").text and client.get("/edil/rounds").json() == {
        "rounds": []
    }


def test_a_gateway_cannot_send_its_reader_elsewhere(site):
    """Another page answers every path with a redirect to one that would answer."""
    client, _ = site

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", f"{client.base_url}/edil/rounds")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(GatewayAway, match="HTTP 302"):
            Gateway(f"http://127.0.0.1:{server.server_port}").rounds()

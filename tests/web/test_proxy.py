"""The page behind a reverse proxy: who is let in by it, what is forged gains nothing, and the doctor's look at it."""

import asyncio
import contextlib
import itertools
import json
import shutil
import ssl
from types import SimpleNamespace

import httpx
import pytest

from gateway.configuration.settings import SETTINGS
from gateway.edge import checks_page
from gateway.edge.admin import Admin
from gateway.edge.checks import FAIL, OK, WARN, Gateway
from gateway.edge.checks_page import Answer
from gateway.errors import CommandError
from gateway.lan import tls
from gateway.site.page import open_page
from gateway.web import app as web
from gateway.web import sign_in
from gateway.web.guard import COOKIE, Guard
from gateway.web.serve import PortInUse, serve
from tests.ports import free_port
from tests.proxies import NAME, PROGRAMS, certificate, program, python_proxy
from tests.web_demo import DemoSource, settled_snapshot

URL = f"https://{NAME}"
LABEL = "/B/A.B-9"
PROXIES = ["python", *PROGRAMS]


def missing(name):
    return name in PROGRAMS and shutil.which(name) is None


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A page with a place for proxies, its source, and certificates of NAME."""
    folder = tmp_path_factory.mktemp("site")
    admin, source = Admin(folder), DemoSource(settled_snapshot())
    site = web.app(source, sign_in.routes(admin), (), admin.is_signed_in, URL)
    behind = free_port()
    server = serve(site, proxy=("127.0.0.1", behind))
    yield SimpleNamespace(
        folder=folder,
        admin=admin,
        source=source,
        port=server.port,
        behind=behind,
        files=certificate(folder),
        numbers=itertools.count(),
    )
    server.stop()
    admin.close()


@pytest.fixture(scope="module", params=PROXIES)
def proxy(request, scene, tmp_path_factory):
    """ask(method, path, headers..., ...) -> an answer through a proxy."""
    if missing(request.param):
        pytest.skip(f"{request.param} is not installed")
    folder = scene.folder
    is_own = request.param == "python"
    opened = (
        python_proxy(folder / "server.pem", scene.behind) if is_own else program(request.param, folder, scene.behind)
    )
    with opened as port, asking(scene, port) as ask:
        yield ask


@contextlib.contextmanager
def asking(scene, port):
    trusted = ssl.create_default_context(cafile=str(scene.files[0]))
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusted) as client:

        def ask(method, path, stream=False, **options):
            headers = {"Host": NAME} | options.pop("headers", {})
            request = client.build_request(method, path, headers=headers, **options)
            request.extensions["sni_hostname"] = NAME
            client.cookies.clear()
            return client.send(request, stream=stream)

        yield ask


def test_a_stranger_is_asked_for_the_code_and_let_in_by_it(scene, proxy):
    refused = proxy("GET", "/state.json")
    assert refused.status_code == 401 and refused.json()["error"] == "session"
    led = proxy("GET", LABEL, headers={"Accept": "text/html"})
    assert (led.status_code, led.headers["location"]) == (303, f"/admin?to={LABEL}")
    assert proxy("GET", "/admin").status_code == proxy("GET", "/static/page.css").status_code == 200
    body = {"code": scene.admin.new_code()}
    for origin in (f"http://{NAME}", "https://other.example", "null", f"http://127.0.0.1:{scene.port}"):
        assert proxy("POST", "/admin", json=body, headers={"Origin": origin}).status_code == 403
    answer = proxy("POST", "/admin", json=body, headers={"Origin": URL})
    assert answer.status_code == 204
    assert {"Secure", "HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
    session = {"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}
    assert proxy("GET", "/state.json", headers=session).json()["devices"]
    assert proxy("GET", "/state.json", headers={"Cookie": f"{COOKIE}=x"}).status_code == 401


def test_events_come_through_as_they_happen(scene, proxy):
    session = {"Cookie": f"{COOKIE}={scene.admin.sign_in(scene.admin.new_code())}"}
    answer = proxy("GET", "/events", stream=True, headers=session, timeout=20)
    pieces = answer.iter_raw()
    heard = next(pieces)
    assert heard.startswith(b": hello")
    scene.source.set(**settled_snapshot() | {"notes": [f"note {next(scene.numbers)}"]})
    while heard.count(b"event: news") < 2 and b"still here" not in heard:  # one for what is there, one for the change
        heard += next(pieces)
    assert heard.count(b"event: news") == 2
    answer.close()


FORGED = [
    {"Host": "localhost:{port}"},
    {"Host": "127.0.0.1:{port}"},
    {"Host": "127.0.0.1:{behind}"},
    {"Host": "127.0.0.1"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Real-IP": "127.0.0.1"},
    {"X-Forwarded-Host": "localhost:{port}"},
    {"X-Forwarded-Proto": "http", "X-Forwarded-Port": "{port}"},
    {"Forwarded": "for=127.0.0.1;host=localhost:{port};proto=http"},
    {"Connection": "close, X-Forwarded-For, Host"},
]


@pytest.mark.parametrize("forged", FORGED, ids=lambda forged: json.dumps(forged))
def test_whatever_a_stranger_says_of_itself_it_is_not_let_in(scene, proxy, forged):
    said = {name: value.format(port=scene.port, behind=scene.behind) for name, value in forged.items()}
    for path in ("/state.json", "/rpc", "/bind"):
        answer = proxy("GET", path, headers=said)
        assert "devices" not in answer.text and "Bind a device" not in answer.text
        assert answer.status_code in (401, 421) or not answer.content  # Caddy has nothing for another Host


def test_who_asks_at_the_proxys_place_without_a_proxy_is_a_stranger_too(scene):
    for host, status in ((NAME, 401), (f"{NAME}:443", 401), (f"127.0.0.1:{scene.behind}", 421), ("", 421)):
        answer = httpx.get(f"http://127.0.0.1:{scene.behind}/state.json", headers={"Host": host})
        assert answer.status_code == status, host
    session = f"{COOKIE}={scene.admin.sign_in(scene.admin.new_code())}"
    with httpx.stream(
        "GET", f"http://127.0.0.1:{scene.behind}/events", headers={"Host": NAME, "Cookie": session}
    ) as at:
        assert at.headers["x-accel-buffering"] == "no"


def test_a_proxy_that_asks_at_the_place_of_this_computers_programs_gets_nothing(scene):
    for added in ((), (("X-Forwarded-For", "203.0.113.7"),)):
        with python_proxy(scene.folder / "server.pem", scene.port, None, added) as port, asking(scene, port) as ask:
            answer = ask("GET", "/state.json")
            assert answer.status_code == 421 and "docs/proxy.md" in answer.text
    assert httpx.get(f"http://127.0.0.1:{scene.port}/state.json").status_code == 200


@pytest.mark.skipif(missing("nginx"), reason="nginx is not installed")
def test_nginx_with_its_defaults_gets_nothing_at_that_place(scene, tmp_path):
    files = certificate(tmp_path)
    bare = program("nginx", tmp_path, scene.port, lambda text: text.replace("proxy_set_header Host $http_host;", ""))
    with bare as port, asking(SimpleNamespace(files=files), port) as ask:
        assert ask("GET", "/state.json").status_code == 401


def test_two_hosts_are_none(scene):
    said, reached = [], []

    async def app(scope, receive, send):
        reached.append(scope)

    async def send(message):
        said.append(message)

    ends = {"server": ("127.0.0.1", 8420), "client": ("127.0.0.1", 1), "http_version": "1.1"}
    for hosts in (["127.0.0.1:8420", NAME], ["127.0.0.1:8420"] * 2, []):
        headers = [(b"host", host.encode()) for host in hosts]
        scope = {"type": "http", "method": "GET", "scheme": "http", "path": "/", "headers": headers, **ends}
        asyncio.run(Guard(app, public_url=URL)(scope, None, send))
        assert not reached and said[0]["status"] == 421


def options(**chosen):
    values = {one.name: one.default for one in SETTINGS}
    return SimpleNamespace(settings={**values, **chosen}, page_port=0, must_have_port=False)


def opened(folder, said, **chosen):
    """A site's page as its settings have it, ended at once."""
    with contextlib.ExitStack() as ends:
        open_page(folder, options(**chosen), DemoSource(settled_snapshot()), [], ends, said.append)


def test_a_place_for_a_proxy_tells_a_code_and_wants_to_know_the_name(tmp_path):
    said, place = [], f"127.0.0.1:{free_port()}"
    with pytest.raises(CommandError, match=r"got one without page\.public_url; name the address"):
        opened(tmp_path, said, **{"page.proxy_listen": place})
    assert said == [] and not list(tmp_path.iterdir())
    opened(tmp_path, said, **{"page.proxy_listen": place, "page.public_url": URL})
    assert said[0].startswith("admin code, shown once: ") and said[-1].endswith(f"by a proxy that asks at {place}")


def test_a_place_that_is_taken_is_told_and_the_page_is_not_left_open(tmp_path):
    taken, own = free_port(), free_port()
    with contextlib.ExitStack() as ends:
        server = serve(web.app(DemoSource(settled_snapshot())), taken)
        ends.callback(server.stop)
        with pytest.raises(PortInUse, match=f"port {taken} of 127.0.0.1"):
            serve(web.app(DemoSource(settled_snapshot())), own, proxy=("127.0.0.1", taken))
    serve(web.app(DemoSource(settled_snapshot())), own).stop()


def findings(folder, url, listen="", running=True):
    values = {one.name: one.default for one in SETTINGS} | {"page.public_url": url, "page.proxy_listen": listen}
    return [tuple(one) for one in checks_page.public_url(Gateway(folder, values, running=running))]


ANSWERS = [
    (Answer(401, {"error": "session"}), OK, ""),
    (Answer(200, {"devices": []}), FAIL, "have it ask at http://127.0.0.1:8421, not at page.port"),
    (Answer(200, ["devices"]), WARN, "have it lead here"),
    (Answer(421, None), FAIL, "pass Host on"),
    (Answer(502, None), FAIL, "have it ask at http://127.0.0.1:8421"),
    (Answer(401, {"error": "basic"}), WARN, "have it lead here"),
    (Answer(404, None), WARN, "have it lead here"),
]


@pytest.mark.parametrize(("answer", "level", "mend"), ANSWERS)
def test_the_doctor_tells_by_an_answer_what_is_wrong_with_a_proxy(answer, level, mend):
    found = checks_page.judge(URL, "127.0.0.1:8421", answer)
    assert found.level == level and mend in found.mend and URL in found.says and bool(mend) == (level != OK)


@pytest.mark.parametrize(("host", "level"), [(None, OK), ("127.0.0.1:{}", FAIL)])
def test_the_doctor_asks_at_the_public_url_as_a_stranger_does(tmp_path, host, level):
    (tmp_path / tls.FOLDER).mkdir()
    authority, _, served = certificate(tmp_path / tls.FOLDER)
    authority.rename(tmp_path / tls.FOLDER / tls.CA)
    port, behind, site = free_port(), free_port(), web.app
    with python_proxy(served, port if host else behind, host and host.format(port), ()) as front:
        url = f"https://localhost:{front}"
        server = serve(site(DemoSource(settled_snapshot()), public_url=url), port, proxy=("127.0.0.1", behind))
        ((found, says, _),) = findings(tmp_path, url, f"127.0.0.1:{behind}")
        server.stop()
        assert found == level and url in says and ("lets everybody in" in says) == (level == FAIL)
        ((found, says, mend),) = findings(tmp_path, url)
        assert found == WARN and "does not answer from here" in says and "DNS" in mend
        (tmp_path / tls.FOLDER / tls.CA).unlink()
        ((found, says, mend),) = findings(tmp_path, url)
        assert found == WARN and "its certificate is not good" in says and "chain" in mend


def test_the_doctor_leaves_alone_what_is_not_set_or_does_not_run(tmp_path):
    assert findings(tmp_path, "") == [(OK, "the page has no public URL", "")]
    assert findings(tmp_path, URL, running=False) == [(OK, f"{URL} is looked at when the gateway runs", "")]

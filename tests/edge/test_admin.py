"""The page for more than this computer: the admin code, sessions, who is let in, and what strangers are told."""

import asyncio
import os
import socket
import sqlite3
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import cli
from gateway.binding.pending import Refused
from gateway.binding.tries import FREE
from gateway.edge import admin as admins
from gateway.edge.admin import Admin, open_admin
from gateway.web import app as web
from gateway.web import sign_in
from gateway.web.guard import COOKIE, FORWARDED, Guard
from gateway.web.serve import PortInUse, listen, serve
from tests.web_demo import DemoSource, settled_snapshot

NAMES = ["gateway.example"]
HOSTS = [b"192.0.2.9:8420", b"localhost:8420"]


@pytest.fixture
def admin(tmp_path):
    found = Admin(tmp_path)
    yield found
    found.close()


def own_address():
    """An address of this machine that is not loopback, or another of loopback where there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            pytest.skip("this machine has no network")


@pytest.fixture
def page(admin):
    """A page on every address; its port."""
    site = web.app(DemoSource(settled_snapshot()), sign_in.routes(admin), NAMES, admin.is_signed_in)
    server = serve(site, host="0.0.0.0")
    yield server.port
    server.stop()


def get(at, port, path="/state.json", **headers):
    return httpx.get(f"http://{at}:{port}{path}", headers=headers)


def post(at, port, code, **headers):
    return httpx.post(f"http://{at}:{port}/admin", json={"code": code}, headers=headers)


def test_a_code_lets_one_in_once(admin):
    code = admin.new_code()
    token = admin.sign_in(f" {code.lower().replace('-', ' ')} ")
    assert admin.is_signed_in(token) and not admin.is_signed_in(token + "x") and not admin.is_signed_in("")
    with pytest.raises(Refused, match="it was used"):
        admin.sign_in(code)
    assert admin.is_signed_in(token)


def test_a_new_code_voids_the_one_before_and_ends_sessions_only_when_asked(admin):
    first, second = admin.new_code(), admin.new_code()
    with pytest.raises(Refused):
        admin.sign_in(first)
    token = admin.sign_in(second)
    admin.new_code()
    assert admin.is_signed_in(token)
    admin.new_code(end_sessions=True)
    assert not admin.is_signed_in(token)


def test_letters_that_are_read_for_others_are_taken(admin, monkeypatch):
    digits = iter("0110" * 3)
    monkeypatch.setattr(admins.secrets, "choice", lambda alphabet: next(digits))
    assert admin.new_code() == "0110-0110-0110"
    assert admin.sign_in("oiLO-0I1O-OLLO")


def test_wrong_codes_are_slowed_down_and_burn_nothing(admin):
    code = admin.new_code()
    for _ in range(FREE):
        with pytest.raises(Refused) as raised:
            admin.sign_in("0000-0000-0000")
        assert raised.value.reason == "code"
    with pytest.raises(Refused) as raised:
        admin.sign_in(code)
    assert raised.value.reason == "tries"
    assert Admin(admin_folder(admin)).sign_in(code)  # a restart forgets the pause and knows the code


def test_a_stranger_who_tries_codes_keeps_nobody_else_out(admin):
    code = admin.new_code()
    with pytest.raises(Refused, match="too many wrong codes"):
        while True:
            try:
                admin.sign_in("0000-0000-0000", "10.0.0.66")
            except Refused as error:
                if error.reason != "code":
                    raise
    assert admin.sign_in(code, "10.0.0.7")


def test_a_code_that_two_use_at_once_lets_in_one_and_sessions_are_read_meanwhile(admin, monkeypatch):
    code, real = admin.new_code(), admins._hash
    other = Admin(admin_folder(admin))
    held = []

    def hash_slowly(text, salt):
        held.append(admin._lock.locked())  # nobody's request waits for it
        if len(held) == 1:
            assert other.sign_in(code)
        return real(text, salt)

    monkeypatch.setattr(admins, "_hash", hash_slowly)
    with pytest.raises(Refused, match="or it was used"):
        admin.sign_in(code)
    assert held == [False, False]
    other.close()


def admin_folder(admin):
    return Path(admin._database.execute("PRAGMA database_list").fetchone()[2]).parent


def test_sessions_end_and_the_oldest_give_way(admin, monkeypatch):
    now_s = [2e9]
    monkeypatch.setattr(admins, "SESSIONS_MAX", 2)
    monkeypatch.setattr(admins.time, "time", lambda: now_s[0])
    tokens = []
    for _ in range(admins.SESSIONS_MAX + 1):
        now_s[0] += 1
        tokens.append(admin.sign_in(admin.new_code()))
    assert [admin.is_signed_in(token) for token in (tokens[0], tokens[1], tokens[-1])] == [False, True, True]
    now_s[0] += admins.SESSION_S + 1
    assert not admin.is_signed_in(tokens[-1])


def test_the_file_is_its_users_alone_and_holds_no_code_and_no_token(admin, tmp_path):
    code = admin.new_code()
    token = admin.sign_in(code)
    admin.new_code()
    path = tmp_path / admins.NAME
    with sqlite3.connect(path) as database:
        kept = str([database.execute(f"SELECT * FROM {name}").fetchall() for name in ("code", "session")])
    assert os.stat(path).st_mode & 0o077 == 0
    assert token not in kept and code.replace("-", "") not in kept


def test_a_code_is_told_only_where_others_can_reach_the_page_and_nobody_has_a_way_in(tmp_path):
    said = []
    for is_reached, count in ((False, 0), (True, 1), (True, 1)):
        open_admin(tmp_path, is_reached, said.append).close()
        assert len(said) == count
    assert said[0].startswith("admin code, shown once: ")


def test_this_computer_needs_no_session_and_others_do(page, admin):
    far = own_address()
    assert get("127.0.0.1", page).status_code == get("localhost", page).status_code == 200
    refused = get(far, page)
    assert refused.status_code == 401 and refused.json()["error"] == "session" and "devices" not in refused.text
    code = admin.new_code()
    answer = post(far, page, code)
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 204 and all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    token = answer.cookies[COOKIE]
    assert get(far, page, cookie=f"{COOKIE}={token}").json()["devices"]
    assert get(far, page, cookie=f"{COOKIE}={token}0").status_code == 401
    assert post(far, page, code).status_code == 403


def test_a_browser_is_led_to_the_page_that_asks_for_the_code(page):
    far = own_address()
    answer = get(far, page, "/", accept="text/html")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin?to=/")
    label = get(far, page, "/B/A.B-9", accept="text/html")
    assert (label.status_code, label.headers["location"]) == (303, "/admin?to=/B/A.B-9")
    asked = get(far, page, "/admin")
    assert asked.status_code == 200 and 'id="code"' in asked.text and "0x" not in asked.text
    assert get(far, page, "/static/admin.js").status_code == 200
    assert get(far, page, "/adminx").status_code == get(far, page, "/static/../state.json").status_code == 401


def test_what_a_proxy_of_this_computer_passes_on_needs_a_session(page):
    for field in FORWARDED:
        assert get("127.0.0.1", page, **{field: "203.0.113.7"}).status_code == 401, field


def test_a_stranger_gets_nothing_by_any_path(page):
    far = own_address()
    for path in ("/state.json", "/rpc", "/events", "/bind", "/api/v0/version", "/backup/chain", "/"):
        assert get(far, page, path).status_code == 401, path
        assert httpx.post(f"http://{far}:{page}{path}", json={}).status_code == 401, path


def test_a_name_counts_when_the_operator_gave_it_and_then_needs_a_session(page):
    assert get("127.0.0.1", page, host=f"gateway.example:{page}").status_code == 401
    assert get("127.0.0.1", page, host=f"other.example:{page}").status_code == 421
    assert get("127.0.0.1", page, host=f"other.example:{page}", origin="http://other.example").status_code == 421
    far = own_address()
    assert post(far, page, "x", origin="http://other.example").status_code == 403


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 400),
        (b'{"code": 1}', "application/json", 400),
        (b'{"code": "' + b"0" * 2000 + b'"}', "application/json", 400),
        (b'{"code": "\\ud800"}', "application/json", 403),
        (b"code=1", "application/x-www-form-urlencoded", 400),
        (b'{"code": "0000-0000-0000"}', "application/json", 403),
    ],
)
def test_what_is_no_code_opens_nothing(body, kind, status, page, admin):
    code = admin.new_code()
    answer = httpx.post(f"http://127.0.0.1:{page}/admin", content=body, headers={"content-type": kind})
    assert answer.status_code == status and "set-cookie" not in answer.headers and answer.json()["message"]
    assert admin.sign_in(code)


def test_a_page_on_one_address_answers_on_loopback_too():
    far = own_address()
    first, second = listen(0, far)
    with first, second:
        assert first.getsockname()[0] == "127.0.0.1" and second.getsockname() == (far, first.getsockname()[1])


def test_an_address_of_another_machine_is_told():
    with pytest.raises(PortInUse, match="no such address; see page.listen"):
        listen(0, "192.0.2.1")


def test_a_damaged_file_is_told_and_left(tmp_path, capsys):
    (tmp_path / "config.toml").write_text("")
    (tmp_path / admins.NAME).write_bytes(b"no database at all " * 100)
    before = (tmp_path / admins.NAME).read_bytes()
    assert cli.main(["gateway", "admin-code", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "file is not a database; if it is damaged, move it away" in said and len(said.splitlines()) == 1
    assert (tmp_path / admins.NAME).read_bytes() == before


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.sampled_from(HOSTS) | st.binary(max_size=40), st.binary(max_size=80), st.binary(max_size=30))
def test_foreign_headers_from_elsewhere_get_nothing(host, cookie, path):
    said, reached = [], []

    async def app(scope, receive, send):
        reached.append(scope)

    async def send(message):
        said.append(message)

    ends = {"server": ("192.0.2.9", 8420), "client": ("192.0.2.7", 1)}
    asked = {"path": "/" + path.decode("latin-1"), "headers": [(b"host", host), (b"cookie", cookie)]}
    scope = {"type": "http", "method": "GET", "scheme": "http", **ends, **asked}
    asyncio.run(Guard(app)(scope, None, send))
    is_open = scope["path"] == "/admin" or scope["path"].startswith("/static/")
    assert is_open or not reached and said[0]["status"] in (401, 421)

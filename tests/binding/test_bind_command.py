"""`tinyren bind` and the routes behind it, over a real page and chain: one line and no change for what cannot be."""

import asyncio
import json
from types import SimpleNamespace

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from gateway import cli
from gateway.binding import binding_http, client
from gateway.binding.pending import Refused
from gateway.errors import Exit
from gateway.labels import payload
from gateway.site import site_file
from gateway.site.site_file import Site
from gateway.web.app import app
from gateway.web.serve import serve
from tests.bind_site import DEVICE, OTHER, OWNER, Place, address, name


class Page:
    """The page over a Place's service, and a site folder that says where it is."""

    def __init__(self, folder):
        self.place = Place(folder)
        empty = SimpleNamespace(snapshot=dict, changed=lambda after, timeout_s: after, rpc=None)
        self.server = serve(app(empty, binding_http.routes(self.place.service)))
        self.folder = folder
        site_file.write(folder, Site(boards=[], page_port=self.server.port,
                                     contracts=vars(self.place.contracts.contracts)))  # fmt: skip
        for key, file in ((OWNER, "owner.key"), (OTHER, "other.key")):
            (folder / file).write_text(key.to_hex())

    def close(self):
        self.server.stop()
        self.place.close()

    def bind(self, capsys, label=None, deed=1, key="owner.key", more=()):
        """(exit code, stdout, stderr) of `tinyren bind`."""
        text = label or payload.encode(self.place.label)
        words = ["--site", self.folder, "--label", text, "--deed", deed, "--key", self.folder / key, *more]
        try:
            code = cli.main(["bind", *map(str, words)])
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return code, said.out, said.err

    def post(self, path, **options):
        return httpx.post(f"{self.server.url}binding/{path}", **options)


@pytest.fixture
def page(tmp_path):
    made = Page(tmp_path)
    yield made
    made.close()


def test_the_command_binds_by_a_key_file_and_says_so(page, capsys):
    code, out, err = page.bind(capsys, more=["--json"])
    assert (code, err) == (Exit.OK, "")
    done = json.loads(out)
    assert (done["deed"], done["device"], done["owner"]) == (1, name(DEVICE), name(OWNER))
    assert page.place.contracts.bindings()[1].devices == (address(DEVICE),)
    before = page.place.state()
    code, out, err = page.bind(capsys)
    assert (code, out) == (Exit.REFUSED, "") and "was used" in err and page.place.state() == before


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"label": "TR:"}, Exit.REFUSED, "label: got 3 characters"),
        ({"label": "0000-0000-0001"}, Exit.REFUSED, "mistyped"),
        ({"key": "other.key"}, Exit.REFUSED, "--key: its address is"),
        ({"deed": 9}, Exit.REFUSED, "deed: got 9"),
        ({"deed": 0}, Exit.USAGE, "--deed: got '0'"),
        ({"key": "none.key"}, Exit.USAGE, "wanted a file that is there"),
        ({"key": "site.toml"}, Exit.USAGE, "wanted 64 hex digits"),
    ],
)
def test_what_cannot_be_bound_is_one_line_and_changes_nothing(page, capsys, changes, code, message):
    before = page.place.state()
    ended, out, err = page.bind(capsys, **changes)
    assert (ended, out) == (code, "") and message in err and page.place.state() == before
    assert page.place.asked == [] and OWNER.to_hex() not in err


def test_without_a_running_site_the_command_says_what_to_start(page, capsys):
    page.server.stop()
    code, out, err = page.bind(capsys)
    assert (code, out) == (Exit.TIMEOUT, "") and "tinyren up" in err
    (page.folder / site_file.NAME).unlink()
    assert page.bind(capsys)[0] == Exit.USAGE


def test_a_gateway_that_wants_something_else_signed_gets_no_signature(page, monkeypatch):
    """Its routes name another deed, device or contract than was asked for."""
    asked, service = page.place.service.ask, page.place.service
    signed = []
    monkeypatch.setattr(service, "sign", lambda token, signature: signed.append(signature))
    label, contract = payload.encode(page.place.label), bytes.fromhex(page.place.contracts.contracts.devices[2:])

    def bind():
        return client.bind(page.server.url.rstrip("/"), label, 1, OWNER, contract)

    for group, member, value in [
        ("message", "deed", "2"),
        ("message", "device", "0x" + "11" * 20),
        ("message", "owner", "0x" + "11" * 20),
        ("domain", "verifyingContract", "0x" + "11" * 20),
        ("domain", "name", "Permit"),
        ("message", "spender", "0x" + "11" * 20),
    ]:

        def lie(token, deed, group=group, member=member, value=value):
            typed = asked(token, deed)
            typed[group][member] = value
            return typed

        monkeypatch.setattr(service, "ask", lie)
        with pytest.raises(Refused):
            bind()
    assert signed == []


@pytest.mark.parametrize("path", ["find", "ask", "sign"])
@pytest.mark.parametrize(
    "options",
    [
        {"content": b"{}", "headers": {"Content-Type": "text/plain"}},
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        {"json": []},
        {"json": {}},
        {"json": {"label": 1, "token": 1}},
        {"json": {"label": "x" * 257, "token": "ä", "deed": 1, "signature": "00"}},
        {"json": {"label": "", "token": "x", "deed": True, "signature": "zz"}},
        {"json": {"x": "y" * (17 << 10)}},
        {
            "content": rb'{"label": "\ud800", "token": "a", "deed": "\ud800", "signature": "\ud800"}',
            "headers": {"Content-Type": "application/json"},
        },
    ],
)
def test_another_body_is_a_bad_request(page, path, options):
    before = page.place.state()
    answer = page.post(path, **options)
    assert answer.status_code == 400 and answer.json()["error"] == "malformed" and page.place.state() == before


def test_the_routes_are_closed_to_other_pages(page):
    answer = page.post("find", json={"label": "x"}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_foreign_text_for_a_label_is_refused_by_the_route(text):
    texts = []
    service = SimpleNamespace(find=lambda label: texts.append(label) or {}, ask=None, sign=None)
    transport = httpx.ASGITransport(Starlette(routes=binding_http.routes(service)))

    async def post():
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as http:
            return await http.post("/binding/find", json={"label": text})

    answer = asyncio.run(post())
    assert answer.status_code == (200 if texts else 400)

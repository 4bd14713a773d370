"""What the fleet's page does: names that are kept, labels that are drawn once; what is refused changes nothing."""

import json
from dataclasses import replace

import httpx
import pytest
from coincurve import PrivateKey

from gateway.intake.registry import Device
from gateway.labels.codes import Codes
from gateway.site.fleet_actions import Actions, Refused
from gateway.site.names import MOST_CHARACTERS, Names
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_record import Access
from gateway.storage.cstore_sqlite import SqliteEngine
from gateway.web import fleet_http
from gateway.web.app import app
from gateway.web.serve import serve
from tests.web_demo import DemoSource, empty_snapshot

A, B, STRANGER = (bytes([number]) * 20 for number in (1, 2, 3))
OWNER, GUEST = PrivateKey(b"\1" * 32), PrivateKey(b"\2" * 32)


def device(identity):
    return Device(identity, b"\2" + bytes(32), "qemu_virt_rv32", "RV32", "1", bytes(36), "test", 1)


@pytest.fixture
def engine(tmp_path):
    made = SqliteEngine(tmp_path / "cstore.sqlite")
    yield made
    made.close()


@pytest.fixture
def actions(tmp_path, engine):
    return Actions(tmp_path, {A: device(A), B: device(B)}, Names(Cstore(engine, OWNER)))


def names(engine, key=OWNER):
    known = Names(Cstore(engine, key))
    return [known.get(identity) for identity in (A, B)]


def test_a_name_is_kept_and_taken_away(actions, engine):
    actions.rename([A], "pump hall, left")
    assert names(engine) == ["pump hall, left", ""]
    actions.rename([A, B], "pump")
    assert names(engine) == ["pump 1", "pump 2"]
    actions.rename([B], "")
    assert names(engine) == ["pump 1", ""]


BAD = [
    ([A], "x" * (MOST_CHARACTERS + 1), "got 41 characters"), ([A, B], "x" * MOST_CHARACTERS, "got 42 characters"),
    ([A], " pump", "spaces around"), ([A], "a\nb", "do not print"), ([], "pump", "at least one"),
    ([A, A], "pump", "each once"), ([A, STRANGER], "pump", "that this site has heard"),
]  # fmt: skip


@pytest.mark.parametrize(("devices", "name", "why"), BAD)
def test_what_cannot_be_a_name_is_refused_and_nothing_changes(actions, engine, devices, name, why):
    actions.rename([A], "before")
    with pytest.raises(Refused, match=why):
        actions.rename(devices, name)
    assert names(engine) == ["before", ""]


def test_a_device_that_calls_its_board_what_no_contract_takes_gets_no_label(tmp_path, engine):
    named = replace(device(A), board="böard")
    made = Actions(tmp_path, {A: named, B: device(B)}, Names(Cstore(engine, OWNER)))
    with pytest.raises(
        Refused, match="board: got 6 bytes, wanted 1..32 of ASCII; a device that calls itself so cannot"
    ):
        made.labels([B, A], False)
    codes = Codes(tmp_path)
    assert codes.devices() == []
    codes.close()


def test_a_gateway_that_may_not_write_names_says_so_and_reads_them(actions, engine, tmp_path):
    actions.rename([A], "pump")
    guest = Actions(tmp_path, {A: device(A)}, Names(Cstore(engine, GUEST)))
    with pytest.raises(Refused, match="could not be kept: .*writer"):
        guest.rename([A], "mine")
    assert names(engine, GUEST) == ["pump", ""]


def test_what_somebody_else_wrote_into_the_bucket_breaks_nothing(engine):
    store = Cstore(engine, OWNER)
    store.define("names", Access(readers=None))
    for key, value in (("!", b"x"), (A.hex(), b"\xff\xfe"), (B.hex(), b"\x1b[31m")):
        store.put("names", key, value)
        assert names(engine) == ["", ""]
    store.put("names", B.hex(), b"pump")
    assert names(engine) == ["", "pump"]


def test_labels_are_a_pdf_and_their_codes_are_kept_as_hashes(actions, tmp_path):
    pytest.importorskip("fpdf")
    drawn = actions.labels([A, B], may_replace=False)
    codes = Codes(tmp_path)
    assert drawn.startswith(b"%PDF-") and codes.devices() == [A, B]
    hashes = [codes.find(identity).hash for identity in (A, B)]
    with pytest.raises(Refused, match="1 of them have a label already"):
        Actions(tmp_path, {A: device(A), STRANGER: device(STRANGER)}, None).labels([STRANGER, A], may_replace=False)
    assert codes.devices() == [A, B] and [codes.find(identity).hash for identity in (A, B)] == hashes
    assert actions.labels([A], may_replace=True) != drawn and codes.find(A).hash != hashes[0]
    assert codes.find(B).hash == hashes[1]
    codes.close()


@pytest.fixture
def client(actions):
    server = serve(app(DemoSource(empty_snapshot()), fleet_http.routes(actions)))
    with httpx.Client(base_url=server.url) as made:
        yield made
    server.stop()


ID = "0x" + A.hex()
MALFORMED = [
    b"", b"[]", b"{}", {"devices": []}, {"devices": "x", "name": "a"}, {"devices": [ID[2:]], "name": "a"},
    {"devices": [ID]}, {"devices": [1], "name": "a"}, {"devices": [ID] * 901, "name": "a"},
    {"devices": [ID], "name": 5},
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED)
def test_a_request_of_another_form_is_refused(client, engine, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post("/fleet/names", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error"] == "malformed" and names(engine) == ["", ""]


def test_only_json_of_this_origin_names_a_device(client, engine):
    body = json.dumps({"devices": [ID], "name": "pump"}).encode()
    kind = {"content-type": "application/json"}
    assert client.post("/fleet/names", content=body, headers={"content-type": "text/plain"}).status_code == 400
    assert (
        client.post("/fleet/names", content=body, headers={**kind, "origin": "http://evil.example"}).status_code == 403
    )
    assert names(engine) == ["", ""]
    assert client.post("/fleet/names", content=body, headers=kind).json() == {"named": 1}
    assert names(engine) == ["pump", ""]


def test_labels_come_as_a_file_and_a_second_one_is_a_conflict(client):
    pytest.importorskip("fpdf")
    first, second = (client.post("/fleet/labels", json={"devices": [ID]}) for _ in range(2))
    assert first.headers["content-type"] == "application/pdf" and "labels.pdf" in first.headers["content-disposition"]
    assert second.status_code == 409 and "voids the old one" in second.json()["message"]
    assert client.post("/fleet/labels", json={"devices": [ID], "replace": True}).content.startswith(b"%PDF-")

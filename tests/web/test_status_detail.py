"""What one page asks of a running site: a device's history and spans, what stores keep; what is not there is None."""

from types import SimpleNamespace

import pytest
from coincurve import PrivateKey

from gateway.site.screens import open_screens, told_samples
from gateway.site.status_detail import KEYS_COUNTED, Details
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_record import Access, Unavailable
from gateway.storage.cstore_sqlite import SqliteEngine
from gateway.storage.embedded import Embedded
from tests.ingest_site import A, B, Site
from tests.intake.test_late_gateway import batch
from tests.web.test_late_page import status_of

UPDATES = [{"kind": "model", "sequence": 7, "state": "confirmed", "reason": "", "at_ms": 5}]


class Jobs:
    """Deeploy with one job and one device's updates."""

    def outputs(self):
        return {A.id: (9, b"\x00\xff", 5)}

    def updates(self, device):
        return UPDATES if device == A.id else []

    def job(self, name):
        return {"quiet": {"name": "quiet", "devices": []}}[name]


@pytest.fixture
def stores(tmp_path):
    engine, r1fs = SqliteEngine(tmp_path / "cstore.sqlite"), Embedded(tmp_path / "r1fs")
    yield Cstore(engine, PrivateKey(b"\1" * 32)), r1fs
    engine.close()
    r1fs.close()


@pytest.fixture
def running(tmp_path, stores):
    """(site, status, details) in which A was heard, live and late, and B announced itself."""
    site = Site(tmp_path)
    site.send((A.topic("announce"), A.announce(boot=2)), (B.topic("announce"), B.announce()))
    status = status_of(site)
    status.follow()
    site.send((A.topic("heartbeat"), A.heartbeat(site.beacon, 2, 20, budget=7)))
    site.send((A.topic("late"), batch(A, 2, range(3, 9), dropped=4)))
    status.outputs = lambda: {A.id: (9, b"\x00\xff", 5)}
    status.follow()
    status.follow()
    settings = [{"name": "page.port", "value": 8420, "origin": "default"}]
    return site, status, Details(site.registry, status.history, Jobs(), stores, settings, {"Folder": "site"}, dict)


def test_a_device_is_told_with_what_it_answered_told_and_sent_late(running):
    _, status, details = running
    found = details("device", "0x" + A.id.hex())
    assert found["id"].lower() == "0x" + A.id.hex() and found["updates"] == UPDATES
    assert len(found["history"]) == 1 and found["history"][0]["at_ms"] > 0
    assert found["outputs"] == [{"count": 9, "at_ms": 5, "values": [0, -1]}]
    assert list(found["spans"]) == [(2, 20, 20), (2, 3, 8)]
    other = details("device", "0x" + B.id.hex())
    assert (other["history"], other["outputs"], list(other["spans"]), other["updates"]) == ([], [], [], [])
    assert sum(row["answered"] for row in status.history.windows()) == 1


def test_what_is_not_there_is_none(running):
    _, _, details = running
    assert details("device", "0x" + "0" * 40) is None and details("job", "none") is None
    assert details("job", "quiet")["name"] == "quiet"
    assert details("settings") == {"settings": [{"name": "page.port", "value": 8420, "origin": "default"}],
                                   "about": {"Folder": "site"}}  # fmt: skip


def test_stores_tell_pins_and_buckets_and_no_value(running, stores):
    _, _, details = running
    cstore, r1fs = stores
    cid = r1fs.add([b"x" * 1000]).cid
    cstore.define("open", Access(readers=None))
    cstore.define("few", Access(readers=(b"\2" * 20,)))
    for number in range(KEYS_COUNTED + 3):
        cstore.put("open", f"key-{number}", b"secret")
    found = details("storage")
    rows = {row["name"]: row for row in found["buckets"]}
    assert [(pin["cid"], pin["bytes"]) for pin in found["pins"]] == [(cid, 1000)] and found["failure"] is None
    assert (rows["open"]["keys"], rows["open"]["is_more"], rows["open"]["readers"]) == (KEYS_COUNTED, True, None)
    assert (rows["few"]["keys"], rows["few"]["is_more"], rows["few"]["readers"]) == (0, False, 2)
    assert "secret" not in str(found)


def test_a_store_that_is_away_is_told_and_the_page_stands(running, stores, monkeypatch):
    _, _, details = running

    def away(*_, **__):
        raise Unavailable("the cluster does not answer")

    monkeypatch.setattr(stores[0], "ls", away)
    assert details("storage")["failure"] == "the cluster does not answer"


def test_a_sites_screens_are_told_where_they_find_names_outputs_oracles_and_settings(running, stores, tmp_path):
    site, status, _ = running
    stores[0].define("names", Access(readers=None))
    stores[0].put("names", A.id.hex(), b"pump hall, left")
    made = SimpleNamespace(gateway="0x1", contracts={"devices": "0x2"}, epoch_seconds=60, window_seconds=5,
                           oracles=["0x3", "0x4", "0x5"], threshold=2)  # fmt: skip
    rows = [{"name": "page.port", "value": 8420, "origin": "default"}]
    routes = open_screens(tmp_path, made, status, site.registry, Jobs(), stores, rows, dict)
    assert {"/fleet/names", "/fleet/labels", "/flash"} <= {route.path for route in routes}
    assert status.name_of(A.id) == "pump hall, left" and status.outputs() == Jobs().outputs()
    assert status.oracles == (["0x3", "0x4", "0x5"], 2)
    (setting,) = status.detail("settings")["settings"]
    assert (
        setting["value"] == 8420 and setting["help"] and status.detail("settings")["about"]["Contract devices"] == "0x2"
    )
    assert told_samples(None, "") == {}

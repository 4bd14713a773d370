"""Names of a batch's list in the bucket that the fleet's page reads: kept once, changed never, refused in words."""

import pytest
from coincurve import PrivateKey

from gateway import keys
from gateway.provisioning.batch import OK, Row
from gateway.provisioning.journal import Record
from gateway.provisioning.naming import keep_names
from gateway.site.names import Names
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_sqlite import SqliteEngine

A, B, C = (bytes([number]) * 20 for number in (1, 2, 3))


def record(device, name, result=OK):
    return Record(Row(2, device.hex()[:4], "qemu_virt_rv32", name=name), result, 1, device=device.hex())


@pytest.fixture
def store(tmp_path):
    engine = SqliteEngine(tmp_path / "cstore.sqlite")
    yield Cstore(engine, keys.load_or_make(tmp_path / "keys" / "gateway.key"))
    engine.close()


def known(store):
    names = Names(store)
    return [names.get(device) for device in (A, B, C)]


def test_a_site_that_runs_calls_a_board_as_the_list_does_when_it_first_hears_it(store, tmp_path):
    running = Names(store)
    assert keep_names(tmp_path, [record(A, "hall 1"), record(B, ""), record(C, "dead", "no answer")]) == ""
    assert [running.get(device) for device in (A, B, C)] == known(store) == ["hall 1", "", ""]


def test_a_name_that_the_operator_gave_stays_when_the_batch_goes_on(store, tmp_path):
    keep_names(tmp_path, [record(A, "hall 1")])
    Names(store).give([A], "pump")
    assert keep_names(tmp_path, [record(A, "hall 1"), record(B, "hall 2")]) == ""
    assert known(store) == ["pump", "hall 2", ""]


def test_a_site_that_is_not_made_yet_keeps_them_for_when_it_is(tmp_path):
    (tmp_path / "site").mkdir()  # as the labels' codes are there already
    assert keep_names(tmp_path / "site", [record(A, "hall 1")]) == ""
    engine = SqliteEngine(tmp_path / "site" / "cstore.sqlite")
    assert known(Cstore(engine, keys.load_or_make(tmp_path / "site" / "keys" / "gateway.key")))[0] == "hall 1"
    engine.close()


def test_where_they_cannot_be_kept_it_is_said_with_what_to_do(tmp_path):
    engine = SqliteEngine(tmp_path / "cstore.sqlite")
    Cstore(engine, PrivateKey(b"\2" * 32))  # another gateway's store
    engine.close()
    assert "names are not kept" in (said := keep_names(tmp_path, [record(A, "hall 1")])) and "under Fleet" in said
    (tmp_path / "config.toml").write_text('[cstore]\nurl = "nats://127.0.0.1:4222/x"\n')
    assert "on a cluster" in keep_names(tmp_path, [record(A, "hall 1")])


def test_a_list_without_names_makes_no_store(tmp_path):
    assert keep_names(tmp_path, [record(A, "")]) == "" and list(tmp_path.iterdir()) == []

"""The stores of a site: what R1FS keeps of each epoch, what survives of it elsewhere, and what goes wrong."""

import hashlib
import json
import shutil
from argparse import Namespace
from contextlib import contextmanager
from threading import Thread

import httpx
import pytest
from coincurve import PrivateKey

from gateway.audit import evidence as audit_evidence
from gateway.errors import CommandError
from gateway.intake import evidence
from gateway.intake.evidence import Evidence
from gateway.site.stores import Stores
from gateway.storage import cstore_backup
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_record import Access
from gateway.storage.cstore_sqlite import SqliteEngine
from gateway.storage.embedded import Embedded
from tests.up_site import SHORT, Up, tinyren

KEY = PrivateKey(bytes(31) + b"\x07")
OPTIONS = {"cstore": None, "cstore_owner": None, "peer": []}


@contextmanager
def opened(folder, said=None, **options):
    """The stores of a folder; what they are told of is kept when the block ends."""
    folder.mkdir(exist_ok=True)
    stores = Stores(folder, KEY, Namespace(**{**OPTIONS, **options}), (said if said is not None else []).append)
    try:
        yield stores
        keep(stores)
    finally:
        stores.close()


def keep(stores):
    """Have the stores' thread deal with what they were told."""
    thread = Thread(target=stores.run)
    thread.start()
    stores.stop()
    thread.join()
    assert stores.failure is None


def closed_epoch(folder, number):
    """Evidence of a closed epoch."""
    writer = Evidence(folder / "evidence")
    writer.open_epoch(number, 1, 1000, number)
    writer.append([(number, bytes([number]) * 50)])
    writer.close_epoch(number + 1000, number)


def values(store):
    return {record.key: record.value for record in store.ls("jobs")}


def test_a_backup_replaces_the_one_before_if_something_was_written_and_opens_elsewhere(tmp_path):
    with opened(tmp_path / "site") as stores:
        stores.cstore.define("jobs", Access())
        stores.cstore.put("jobs", "a", b"1")
        stores.closed(1)
        keep(stores)
        first = stores.told()["backup"]
        stores.closed(2)
        keep(stores)
        assert stores.told()["backup"] == first and first["epoch"] == 1
        stores.cstore.put("jobs", "b", bytes(1000))
        stores.closed(3)
        keep(stores)
        second, before = stores.told()["backup"], values(stores.cstore)
        assert second["epoch"] == 3 and second["cid"] != first["cid"]
        assert [pin.cid for pin in stores.r1fs.pins()] == [second["cid"]]
    elsewhere = Embedded(tmp_path / "elsewhere")
    with (tmp_path / "site.car").open("wb") as car:
        source = Embedded(tmp_path / "site" / "r1fs")
        car.writelines(source.export_car(second["cid"]))
        source.close()
    with (tmp_path / "site.car").open("rb") as car:
        elsewhere.import_car(car)
    engine = SqliteEngine(tmp_path / "restored.sqlite")
    with cstore_backup.fetched(elsewhere, second["cid"], KEY) as file:
        cstore_backup.restore(engine, file, {stores.cstore.address})
    assert values(Cstore(engine, KEY)) == before == {"a": b"1", "b": bytes(1000)}
    engine.close()
    elsewhere.close()


def test_evidence_is_kept_of_every_settled_epoch_once_and_has_the_same_cid_anywhere(tmp_path):
    site = tmp_path / "site"
    for number in (1, 2, 3):
        closed_epoch(site, number)
    with opened(site) as stores:
        stores.settled(2)
    with opened(site) as stores:
        stores.settled(2)
        stores.settled(3)
    with opened(site) as stores:
        told = stores.told()["evidence"]
        assert [row["epoch"] for row in told] == [1, 2, 3] and len(stores.r1fs.pins()) == 3
        names = {entry.name: entry.cid for entry in stores.r1fs.entries(told[1]["cid"])}
        for path in (evidence.heartbeats_path(site / "evidence", 2), evidence.windows_path(site / "evidence", 2)):
            assert b"".join(stores.r1fs.read(names.pop(path.name))) == path.read_bytes()
        listed = b"".join(stores.r1fs.read(names.pop("epoch-2.list")))
        assert hashlib.sha256(listed).digest() == evidence.digest(site / "evidence", 2) and not names
    other = Embedded(tmp_path / "other")
    assert audit_evidence.lend(other, site / "evidence", 3) == told[2]["cid"]
    other.close()


def test_what_cannot_be_kept_is_told_and_kept_later(tmp_path):
    site, said = tmp_path / "site", []
    closed_epoch(site, 1)
    closed_epoch(site, 2)
    path = evidence.heartbeats_path(site / "evidence", 1)
    path.rename(tmp_path / "away")
    with opened(site, said) as stores:
        stores.settled(1)
        keep(stores)
        assert stores.told()["evidence"] == [] and not stores.r1fs.pins()
        assert len(said) == 1 and "epoch 1: the evidence is not in R1FS" in said[0] and "next epoch" in said[0]
        (tmp_path / "away").rename(path)
        stores.settled(2)
        keep(stores)
        assert [row["epoch"] for row in stores.told()["evidence"]] == [1, 2] and len(said) == 1


def test_a_full_disk_keeps_the_backup_that_is_there(tmp_path):
    said = []
    with opened(tmp_path / "site", said) as stores:
        stores.cstore.define("jobs", Access())
        stores.closed(1)
        keep(stores)
        before = stores.told()["backup"]
        stores.cstore.put("jobs", "a", b"1")
        packs = tmp_path / "site" / "r1fs" / "packs"
        held = tmp_path / "held"
        packs.rename(held)
        packs.write_bytes(b"")  # no pack can be written where a file is in the way
        stores.closed(2)
        keep(stores)
        assert stores.told()["backup"] == before and "the backup of CSTORE is not in R1FS" in said[0]
        packs.unlink()
        held.rename(packs)
        stores.closed(3)
        keep(stores)
        assert stores.told()["backup"]["epoch"] == 3 and len(stores.r1fs.pins()) == 1 and len(said) == 1


def test_a_crash_before_the_old_backup_was_unpinned_is_made_good_at_the_next_start(tmp_path):
    with opened(tmp_path / "site") as stores:
        stores.closed(1)
        keep(stores)
        old = stores.r1fs.add([b"an older backup"])
        stores._kept.execute("UPDATE backup SET rowid = 2")
        stores._kept.execute(
            "INSERT INTO backup (rowid, epoch, digest, cid, bytes) VALUES (1, 0, x'', ?, 1)", (old.cid,)
        )
        newest = stores.told()["backup"]
    with opened(tmp_path / "site") as stores:
        assert stores.told()["backup"] == newest and [pin.cid for pin in stores.r1fs.pins()] == [newest["cid"]]


@pytest.mark.parametrize("name", ["cstore.sqlite", "stores.sqlite"])
def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path, name):
    with opened(tmp_path / "site") as stores:
        stores.cstore.define("jobs", Access())
    path = tmp_path / "site" / name
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(CommandError, match=name):
        Stores(tmp_path / "site", KEY, Namespace(**OPTIONS), print)
    assert path.read_bytes() == b"no database " * 1000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cstore": "http://x"}, "cstore: wanted nats://"),
        ({"peer": ["x"]}, "peer: got 'x'"),
        ({"cstore_owner": "x"}, "0x"),
    ],
)
def test_options_that_name_nothing_are_refused(tmp_path, options, words):
    with pytest.raises(CommandError, match=words):
        Stores(tmp_path, KEY, Namespace(**{**OPTIONS, **options}), print)


def test_a_running_site_gives_its_stores_to_other_gateways_and_to_an_empty_machine(tmp_path):
    folder, empty = tmp_path / "site", tmp_path / "empty"
    site = Up(folder, *SHORT)
    site.wait_line("devices are ready")
    assert tinyren("cstore", "define", "lamps", "--site", folder).returncode == 0
    assert tinyren("cstore", "put", "lamps", "hall", "on", "--site", folder).returncode == 0
    at = max(row["epoch"] for row in site.state()["epochs"])
    state = site.wait_state(
        lambda now: now["stores"]["evidence"] and (now["stores"]["backup"] or {}).get("epoch", 0) >= at
    )
    backup, row = state["stores"]["backup"]["cid"], state["stores"]["evidence"][0]
    url = site.wait_line("page http").split()[-1].rstrip("/")
    assert httpx.get(f"{url}/ipfs/{backup}?format=raw").status_code == 200
    pins = httpx.post(f"{url}/api/v0/pin/ls").json()["Keys"]
    assert {backup, row["cid"]} <= set(pins)
    assert httpx.post(f"{url}/api/v0/pin/ls", headers={"Origin": "http://evil"}).status_code == 403
    (empty / "keys").mkdir(parents=True)
    shutil.copy(folder / "keys" / "gateway.key", empty / "keys" / "gateway.key")
    for cid, out in ((backup, "backup"), (row["cid"], "evidence")):
        place = ["--store", empty / "r1fs", "--peer", url, "--json"]
        assert tinyren("r1fs", "pin", cid, *place).returncode == 0, out
    code, result = site.end()
    assert code == 0 and result["stores"]["backup"]["epoch"] >= at
    got = tinyren("r1fs", "get", row["cid"], "--store", empty / "r1fs", "-o", tmp_path / "out", "--json")
    assert got.returncode == 0, got.stderr
    kept = {path.name: path.read_bytes() for path in (folder / "evidence").glob(f"epoch-{row['epoch']}.*")}
    got = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    listed = got.pop(f"epoch-{row['epoch']}.list")
    assert kept == got and len(kept) == 2
    assert hashlib.sha256(listed).digest() == evidence.digest(folder / "evidence", row["epoch"])
    restored = tinyren("cstore", "restore", backup, "--site", empty, "--json")
    assert restored.returncode == 0, restored.stderr
    found = [tinyren("cstore", "get", "lamps", "hall", "--site", place, "--json") for place in (folder, empty)]
    before, after = ({**json.loads(one.stdout), "sequence": 0} for one in found)
    assert before == after and after["value"] == "on"

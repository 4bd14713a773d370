"""Accounts of a whole site: a deed that is sold takes its device's account with it, whatever is killed meanwhile."""

import json
import re

import httpx
import pytest
from coincurve import PrivateKey

from gateway import keys
from gateway.chain import chain
from gateway.site import site_file
from tests.broker_clients import Device
from tests.up_site import SHORT, Up

BUYER = PrivateKey(b"\5" * 32)
GAS_WEI = 10**18


def listed(folder):
    return {row["username"] for row in json.loads((folder / "broker" / "devices.json").read_text())["clients"]}


def sell(folder, state, device):
    """Have the owner of the device's deed give the deed away, on the running site's chain."""
    site = site_file.read(folder)
    opened = chain.connect(f"http://127.0.0.1:{site.page_port}/rpc")
    payer = keys.load(folder / "keys" / "deployer.key")
    deeds = chain.Contract("NodeDeed", site.contracts["deeds"])
    deed = next(row["deed"] for row in state["devices"] if row["id"] == device)
    owner = next(row["owner"] for row in state["owners"] if deed in row["deeds"])
    key = next(key for key in map(keys.load, folder.glob("keys/owner-*.key")) if chain.address_of(key) == owner)
    opened.pay(owner, GAS_WEI, payer)
    opened.send(deeds, "transferFrom", owner, chain.address_of(BUYER), deed, key=key)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("accounts") / "site"


def test_a_device_whose_deed_is_sold_loses_its_account_and_the_other_goes_on(folder):
    site = Up(folder, "--boards", "qemu_virt_rv32,qemu_mps2_an385,qemu_virt_rv32", *SHORT)
    site.wait_line("devices are ready")
    state = site.state()
    users = {row["id"]: row["id"][2:].lower() for row in state["devices"]}
    assert listed(folder) == set(users.values())
    sold = next(row["id"] for row in state["devices"] if row["deed"] == 2)
    sell(folder, state, sold)
    site.wait_state(lambda _: users[sold] not in listed(folder))
    assert listed(folder) == set(users.values()) - {users[sold]}
    before = {row["id"]: row["heartbeats"] for row in site.state()["devices"]}
    after = site.wait_state(lambda now: all(beats(now, name) > before[name] + 2 for name in users if name != sold))
    assert beats(after, sold) <= before[sold] + 1  # one may have been on its way
    assert next(row["deed"] for row in after["devices"] if row["id"] == sold) is None
    metrics = httpx.get(f"http://127.0.0.1:{site_file.read(folder).page_port}/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert re.search(r"^tinyren_device_accounts 2$", metrics.text, re.MULTILINE)
    stranger = Device(site_file.read(folder).broker_port, users[sold])
    stranger.send(f"tinyren/{users[sold]}/heartbeat", b"forged")
    stranger.send(f"tinyren/{users[sold]}/announce", b"forged")
    refused = site.wait_state(lambda now: sum(now["rejected"].values()) > sum(after["rejected"].values()))["rejected"]
    assert sum(refused.values()) == sum(after["rejected"].values()) + 1  # the announce; the other never came
    stranger.end()
    family = list(site.family().values())
    site.process.kill()
    site.finish(family)


def test_after_kill_9_of_the_gateway_nobody_has_more_than_the_chain_says(folder):
    kept = listed(folder)
    path = folder / "broker" / "devices.json"
    planted = json.loads(path.read_text())
    planted["clients"] *= 2
    path.write_text(json.dumps(planted)[:-40])  # as a crash in mid-write leaves it
    site = Up(folder)
    site.wait_line("broker on")
    site.wait_line("epoch")
    assert listed(folder) == kept and len(kept) == 2
    code, _ = site.end()
    assert code == 0


def beats(state, device):
    return next(row["heartbeats"] for row in state["devices"] if row["id"] == device)

"""Work that is paid, on a real site: an owner chooses an account and opens a job; later epochs fill their leaves."""

import json

import pytest

from device.native.shared import Model
from gateway.chain.chain import address_of
from gateway.keys import load
from gateway.settlement import ledger
from gateway.settlement.accounts import Accounts
from gateway.settlement.escrow import Escrow
from gateway.settlement.tree import Trees
from tests.agent_bench import ARTIFACT
from tests.site.test_up import on_chain
from tests.up_site import Up, tinyren

BOARD = "qemu_virt_rv32"
TIMES = ["--epoch-seconds", "9", "--window-seconds", "3"]
PRICE_WEI, DEPOSIT_WEI = 10**14, 10**16


@pytest.fixture(scope="module")
def paid(tmp_path_factory):
    """A site's folder after three epochs: the owner of deed 1 chose an account and opened a job after the first."""
    folder = tmp_path_factory.mktemp("paid") / "site"
    run(folder, "--epochs", "1", "--boards", BOARD, *TIMES)
    owner = load(folder / "keys" / "owner-1.key")
    settlement, chain = on_chain(folder)
    try:
        Accounts(settlement).choose(True, owner)
        escrow = Escrow(chain, settlement.contracts.escrow)
        assert escrow.open(Model(ARTIFACT).cid[4:], PRICE_WEI, DEPOSIT_WEI, 1, [], owner) == 1
        assert escrow.job(1).first == 3
    finally:
        chain.close()
    run(folder, "--epochs", "2")
    return folder


def run(folder, *arguments):
    site = Up(folder, *arguments)
    code, _ = site.finish()
    assert code == 0, site.lines


def leaves(folder, epoch):
    return ledger.read(folder / "settlement", epoch)


def test_the_reward_goes_to_the_account_from_the_epoch_that_was_chosen_and_the_deeds_leaf_stays(paid):
    second, third = leaves(paid, 2), leaves(paid, 3)
    assert second.leaves.accounts == () and second.leaves.work == ()
    assert third.leaves.deeds == second.leaves.deeds and third.minted > 0
    ((_, wei),) = third.leaves.accounts
    assert wei == third.minted == third.total - second.total


def test_the_jobs_units_are_those_that_oracles_verified_and_the_site_has_them_paid(paid):
    third = leaves(paid, 3)
    (((_, job, deed), units),) = third.leaves.work
    assert (job, deed) == (1, 1) and units == sum(third.units.values()) > 0 and third.frauds == ()
    settlement, chain = on_chain(paid)
    try:
        escrow, owner = Escrow(chain, settlement.contracts.escrow), load(paid / "keys" / "owner-1.key")
        proof = Trees(third.leaves).work(bytes.fromhex(escrow.address[2:]), 1, 1)
        (claim,) = escrow.payments()  # the site's own
        assert (claim.owner, claim.units) == (address_of(owner), units)
        assert claim.amount + claim.burned == units * PRICE_WEI
        assert claim.burned == units * PRICE_WEI * 15 // 100 and escrow.claim(1, 1, *proof, owner) is None
        assert settlement.minted() == third.total
    finally:
        chain.close()


def test_the_second_scorer_finds_the_same_and_explain_shows_it(paid):
    third = leaves(paid, 3)
    ended = tinyren("verify", paid, "--epoch", 3, "--json")
    told = json.loads(ended.stdout)
    assert ended.returncode == 0 and told["root"] == "0x" + third.root.hex() and not told["frauds"]
    assert sum(told["units"].values()) == sum(third.units.values())
    assert len(told["accounts"]) == len(told["work"]) == 1

    explained = json.loads(tinyren("earnings", "explain", 1, "--site", paid, "--epoch", 3, "--json").stdout)
    assert explained["paid_to"] == "account" and explained["earned_wei"] == str(third.minted)
    assert (explained["before_wei"], explained["due_wei"]) == ("0", "0")
    assert [job["units"] for job in explained["jobs"]] == [sum(third.units.values())]
    (device,) = explained["devices"]
    assert device["units"] > 0 and {row["outcome"] for row in device["challenges"]} <= {"sound", "missed"}
    shown = tinyren("earnings", "explain", 1, "--site", paid, "--epoch", 3).stdout
    assert "paid to the owner's account" in shown and f"job 1  {explained['jobs'][0]['units']} units" in shown

"""`tinyren account` and `tinyren deed`: one claim for any number of deeds, and what happens to a deed that is moved."""

import pytest

from gateway.chain.chain import address_of
from gateway.errors import Exit
from gateway.settlement.tree import Leaves, add_epoch
from tests.contract_scene import DEVICES, OWNERS, PAYER, STRANGER, A, B
from tests.contract_site import R1, Site

D0, NEW = address_of(DEVICES[0]), address_of(STRANGER)
RAW = bytes.fromhex(A[2:])


@pytest.fixture
def site(tmp_path, capsys):
    made = Site(tmp_path, capsys)
    yield made
    made.close()


def test_an_owner_chooses_an_account_and_is_paid_for_all_its_deeds_at_once(site):
    chosen = site.json("account", "set", "account", key="a")
    assert chosen == {"owner": A, "where": "account", "from_epoch": 3}
    found = site.json("account", "show", A)
    assert (found["is_paid_to_account"], found["is_paid_to_account_next"], found["deeds"]) == (False, True, [1])
    code, out, _ = site.run("account", "show", A)
    assert code == 0 and "from epoch 3 on they go to one account" in out
    site.settle(site.leaves)
    rewards = dict.fromkeys(range(1, 10_001), 10**12)
    site.settle(add_epoch(site.leaves, rewards, dict.fromkeys(rewards, RAW), {RAW}))
    assert site.json("account", "show", A)["due_wei"] == str(10**16)
    before = site.scene.settlement.balance(A)
    assert site.json("account", "claim", A, key="anyone")["paid_wei"] == str(10**16)
    assert site.scene.settlement.balance(A) == before + 10**16
    code, out, _ = site.run("account", "claim", A, key="anyone")
    assert code == 0 and "all of it was paid before" in out and site.scene.settlement.balance(A) == before + 10**16


def test_an_account_that_earned_nothing_and_an_owner_without_coin_are_told_so(site):
    before = (site.scene.state(), site.scene.chain.block_number())
    for words, who, code, said in (
        (("account", "claim", B), "anyone", Exit.NOTHING_TO_DO, f"tinyren account show {B}"),
        (("account", "set", "deeds"), "broke", Exit.REFUSED, "has no coin"),
        (("deed", "show", "9"), "", Exit.NOTHING_TO_DO, "deed 9: there are 2"),
        (("deed", "transfer", "1", "--to", NEW), "b", Exit.REFUSED, "only the deed's owner does that"),
        (("deed", "transfer", "9", "--to", NEW), "b", Exit.REFUSED, "there is no such deed"),
        (("deed", "free", D0), "a", Exit.REFUSED, "there is nothing to free"),
        (("deed", "buy", "1", "--most", "5"), "a", Exit.REFUSED, "its deeds are not on sale"),
    ):
        got, out, err = site.run(*words, key=who)
        assert (got, out, len(err.splitlines())) == (code, "", 1) and said in err, err
    assert (site.scene.state(), site.scene.chain.block_number()) == before


def test_a_dry_run_of_a_choice_and_of_a_transfer_sends_nothing(site):
    site.scene.bind(1, 0)
    before = site.scene.chain.block_number()
    for words in (("account", "set", "account"), ("deed", "transfer", "1", "--to", NEW), ("deed", "free", D0)):
        assert site.json(*words, "--dry-run", key="a")["gas"] > 21_000
    assert site.scene.chain.block_number() == before and site.scene.bound(1) == (D0,)


def test_a_slot_is_freed_without_the_device(site):
    site.scene.bind(1, 0)
    code, _, err = site.run("deed", "free", D0, key="b")
    assert code == Exit.REFUSED and "only the owner of the device's deed frees it" in err
    assert site.json("deed", "free", D0, key="a")["deed"] == 1 and site.scene.bound(1) == ()


def test_a_deed_goes_with_its_arrears_and_without_its_devices(site):
    site.scene.bind(1, 0)
    site.settle(Leaves(deeds=((1, 101 * R1),)))
    code, out, _ = site.run("deed", "show")
    assert code == 0 and f"deed 1  {A}, 1 of 2 slots taken, 1 R1 not claimed\n  device {D0}" in out
    code, _, err = site.run("deed", "transfer", "1", "--to", NEW, key="a")
    assert code == Exit.REFUSED and "1 devices are bound to it" in err and "--yes" in err
    assert site.scene.bound(1) == (D0,)
    assert site.json("deed", "transfer", "1", "--to", NEW, "--yes", key="a")["unbound"] == [D0]
    (row,) = site.json("deed", "show", "1")["deeds"]
    assert (row["owner"], row["devices"], row["due_wei"]) == (NEW, [], str(R1))


def test_deeds_are_bought_at_the_curves_price_and_never_above_what_was_named(site):
    chain, owner = site.scene.chain, OWNERS[0]
    contracts = (site.scene.settlement.contracts.deeds, site.scene.settlement.contracts.r1)
    sale, _ = chain.deploy("Sale", *contracts, 4, NEW, NEW, A, key=owner)
    words = ("deed", "buy", "2", "--sale", sale.address)
    code, _, err = site.run(*words, "--most", "1", key="a")
    assert code == Exit.REFUSED and "no vote has set a rate yet" in err
    chain.send(sale, "setRate", R1 // 100, key=owner)
    code, _, err = site.run(*words, "--most", "9.99", key="a")
    assert code == Exit.REFUSED and "2 deeds cost 10 R1 now, got 9.99" in err
    assert site.json(*words, "--most", "10", "--dry-run", key="a")["would_send"] == "R1.approve"
    code, _, err = site.run(*words, "--most", "10", key="a")
    assert code == Exit.REFUSED and "OwnableUnauthorizedAccount" in err  # the sale must own the deeds' contract
    assert site.scene.settlement.balance(A) == 100 * R1
    chain.send(site.scene.deeds, "transferOwnership", sale.address, key=PAYER)
    bought = site.json(*words, "--most", "10", key="a")
    assert bought == {"deeds": [3, 4], "price_wei": str(10 * R1)} and site.scene.settlement.balance(A) == 90 * R1
    assert len(site.json("deed", "show")["deeds"]) == 4

"""What a site pays after each epoch: all kinds of leaves, whatever is away, gone, refused or not worth its gas."""

import contextlib
import sqlite3
from dataclasses import replace

import pytest

from gateway.chain import sending
from gateway.chain.chain import Chain, ChainError, address_of, open_embedded
from gateway.chain.jsonrpc import RpcError
from gateway.settlement import ledger
from gateway.settlement.paying import pay
from gateway.settlement.relaying import all_claims, gas_price
from gateway.settlement.settlement import Settlement, deploy
from gateway.settlement.sponsoring import gas_of
from gateway.settlement.tree import Leaves, Trees
from tests.chain.test_sending import PRICE, Pool
from tests.contract_scene import ANYONE, ORACLES, PAYER, B, Scene
from tests.contract_site import R1
from tests.settlement.test_relay import ALL_PAID_WEI, Site

ALL = {"deed 1", "deed 2", "deed 3", "account", "deed 2, work for job 1"}
WORK = "deed 2, work for job 1"
DELAY_S = 60


@pytest.fixture
def site(tmp_path, capsys):
    made = Site(tmp_path, capsys)
    made.said = []
    yield made
    made.close()


def paid(site, settlement=None, r1_wei=0):
    """What `pay` paid: {what for: wei}."""
    claims = pay(site.folder, settlement or site.settlement, r1_wei, site.said.append)
    return {claim.what: claim.amount_wei for claim in claims}


def over(site, request):
    """The same settlement behind other requests."""

    def answer(method, params):
        try:
            return request(method, params)
        except ChainError as error:
            raise RpcError(error.code, error.reason, error.data) from error

    return Settlement(Chain(answer), site.settlement.contracts, ANYONE)


def test_deeds_accounts_and_work_are_paid_and_not_again(site):
    found = paid(site)
    assert set(found) == ALL and sum(found.values()) == ALL_PAID_WEI
    blocks = site.scene.chain.block_number()
    assert paid(site) == {} and site.scene.chain.block_number() == blocks and site.said == []


def test_where_gas_has_a_price_a_claim_waits_until_it_is_worth_it_and_loses_nothing(site):
    r1_wei = 20 * gas_price(site.settlement) * gas_of(1, 1) // 25  # 25 R1 are worth the gas of a deed's first claim
    assert set(paid(site, r1_wei=r1_wei)) == {"deed 1", "deed 3", "account"}
    site.settle(replace(site.leaves, deeds=((1, 120 * R1), (2, 60 * R1), (3, 30 * R1))))
    assert paid(site, r1_wei=r1_wei) == {"deed 2": 60 * R1}
    assert site.settlement.balance(B) == 60 * R1 and paid(site).keys() == {WORK}


def test_what_a_contract_refuses_is_told_and_holds_up_nothing(site):
    for _ in range(3):
        site.work({})

    def request(method, params):
        if method == "eth_estimateGas" and params[0]["to"] == site.escrow.address:
            site.escrow.refund(1, ANYONE)  # the buyer was first
        return site.scene.chain.request(method, params)

    assert set(paid(site, over(site, request))) == ALL - {WORK}
    (said,) = site.said
    assert said.startswith("deed 2, job 1: not paid: Escrow.claim: ") and "JobIsClosed(job 1)" in said
    assert site.escrow.delivered(1, 2) == 0


@pytest.mark.parametrize("after", range(1, 5))
def test_a_chain_that_goes_away_is_gone_on_with_and_nothing_is_paid_twice(site, after):
    left = [after]

    def request(method, params):
        if method == "eth_sendRawTransaction":
            left[0] -= 1
        if left[0] <= 0:
            raise ChainError("no answer")
        return site.scene.chain.request(method, params)

    with pytest.raises(ChainError, match="no answer"):
        paid(site, over(site, request))
    assert site.settlement.minted() < 100 * R1 + ALL_PAID_WEI and site.said == []
    paid(site)
    claims = all_claims(site.settlement)[1:]
    assert {claim.what for claim in claims} == ALL and len(claims) == len(ALL)
    assert sum(claim.amount_wei for claim in claims) == ALL_PAID_WEI


def test_claims_that_a_reorg_took_are_paid_again(site, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "other.sqlite")) as copy:
        site.scene.chain._mine.__self__._store._db.backup(copy)
    first = paid(site)
    other = open_embedded(tmp_path / "other.sqlite")
    again = Settlement(other, site.settlement.contracts, ANYONE)
    assert paid(site, again) == first and again.minted() == site.settlement.minted()
    other.close()


def test_leaves_whose_deed_or_job_a_reorg_took_hold_up_nothing(site):
    raw, leaves = bytes.fromhex(site.escrow.address[2:]), site.leaves
    lost = ((raw, 1, 9), 3), ((raw, 8, 1), 3), ((bytes(20), 1, 1), 3)
    site.settle(replace(leaves, deeds=(*leaves.deeds, (9, R1)), work=tuple(sorted((*leaves.work, *lost)))))
    assert set(paid(site)) == ALL and site.said == []


def test_claims_that_are_stuck_are_outbid_and_each_is_paid_once(site, monkeypatch):
    monkeypatch.setattr(sending, "STUCK_S", 0.02)
    monkeypatch.setattr(sending, "POLL_S", 0.01)
    pool = Pool(site.scene.chain)
    pool.least = 3 * PRICE  # the first offer is 2
    slow = Settlement(Chain(pool.request), site.settlement.contracts, ANYONE)
    assert sum(paid(site, slow).values()) == ALL_PAID_WEI
    assert len({nonce for nonce, *_ in pool.offers}) == 4 < len(pool.offers)
    assert len(all_claims(site.settlement)) == 1 + len(ALL)


def test_while_the_newest_root_waits_owners_are_paid_by_the_one_in_force(site):
    """A vote may make roots wait, and then the newest is not in force when it is posted."""
    chain, known = site.scene.chain, {"deeds": site.scene.deeds.address, "devices": site.scene.devices.address}
    oracles = [address_of(item) for item in ORACLES]
    made = deploy(chain, PAYER, oracles, 2, known, known.__setitem__, delay_s=DELAY_S)
    site.settlement = Settlement(chain, made, ANYONE)
    site.scene = Scene(chain, Settlement(chain, made, PAYER))
    site.settle(Leaves(deeds=((1, R1),)))
    assert paid(site) == {}
    for _ in range(DELAY_S + 1):
        chain.mine()  # a second at least
    site.settle(Leaves(deeds=((1, 3 * R1),)))
    assert paid(site) == {"deed 1": R1}
    for _ in range(DELAY_S + 1):
        chain.mine()
    assert paid(site) == {"deed 1": 2 * R1} and site.said == []


def test_leaves_that_are_missing_are_told_and_nothing_is_sent(site):
    (site.folder / "settlement" / "epoch-3.json").unlink()
    blocks = site.scene.chain.block_number()
    assert paid(site) == {} and "claims wait: " in site.said[0] and site.scene.chain.block_number() == blocks
    settled = ledger.Settled(3, {}, site.leaves, Trees(site.leaves).root, 0, bytes(32), 0, {}, (), 4, "", ())
    ledger.write(site.folder / "settlement", settled)
    assert set(paid(site)) == ALL

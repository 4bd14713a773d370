"""Settlement on a chain that is away, or takes back what it had: everything is settled again, in order and once."""

import contextlib
import sqlite3
import threading
from dataclasses import replace

import pytest

from gateway.chain.chain import Chain, ChainError, open_embedded
from gateway.chain.jsonrpc import RpcError
from gateway.oracle.quorum import Settle
from gateway.oracle.statements import Root, Signature
from gateway.settlement import ledger, settler, signed_roots
from gateway.settlement import settlement as settlements
from tests.oracle_site import DEVICES, GATEWAY, Site
from tests.settlement.test_settler import ALL, WEI, Stand, chain_state

ROOT = Root(3, b"r" * 32, 5, b"e" * 32)
SETTLE = Settle(ROOT, ((b"a" * 20, b"s" * 65), (b"b" * 20, b"t" * 65)))


class Node:
    """The chain as the settler sees it: it can be away, and another history can take its place."""

    def __init__(self, site):
        self.site, self.chain, self.is_away, self.refused = site, site.chain, False, threading.Event()
        made = site.contracts.contracts
        site.contracts = settlements.Settlement(Chain(self.request), made, GATEWAY)

    def request(self, method, params):
        if self.is_away:
            self.refused.set()
            raise RpcError(-32000, "no answer")
        try:
            return self.chain.request(method, params)
        except ChainError as error:
            raise RpcError(error.code, error.reason, error.data) from error


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(settler, "RETRY_S", 0.05)
    monkeypatch.setattr(settler, "LOOK_S", 0.05)
    made = Site(tmp_path)
    yield made
    made.stop()


def saved(chain, path):
    """A copy of the chain as it is now."""
    with contextlib.closing(sqlite3.connect(path)) as copy:
        chain._mine.__self__._store._db.backup(copy)


def test_a_root_and_its_claims_that_a_reorg_took_come_again_without_the_oracles(site, tmp_path):
    node = Node(site)
    site.record(1, ALL)
    Stand(site).settle(1)
    saved(site.chain, tmp_path / "other.sqlite")
    site.record(2, ALL)
    site.record(3, {DEVICES[0]: range(4)})
    stand, kept, tick = Stand(site), node.chain, threading.Event()
    with stand.running():
        for number in (2, 3):
            stand.settler.closed(number)
        stand.wait(lambda: len(stand.settled) == 2)
        before = site.contracts.roots(), site.contracts.minted()
        other = open_embedded(tmp_path / "other.sqlite")
        while other.block_number() < kept.block_number():
            other.mine()
        announced, stand.signers, node.chain = stand.announced, [], other
        while site.contracts.minted() < before[1] and not stand.settler.failure:
            tick.wait(0.02)
        roots = [(posted.epoch, posted.root, posted.evidence) for posted in site.contracts.roots()]
    assert roots == [(posted.epoch, posted.root, posted.evidence) for posted in before[0]]
    assert site.contracts.minted() == before[1] and (stand.announced, len(stand.settled)) == (announced, 2)
    assert any("lost epochs 2 to 3" in line for line in stand.said) and stand.settler.failure is None
    assert ledger.read(site.folder / "settlement", 3).root == stand.settled[-1][0].root
    node.chain = kept
    other.close()


def test_claims_that_a_reorg_took_are_paid_with_the_next_root(site):
    site.record(1, ALL)
    stand = Stand(site)
    stand.settler.settlement.claim_many = lambda *_: []  # as if they were gone again
    stand.settle(1)
    assert site.contracts.minted() == 0
    del stand.settler.settlement.claim_many
    site.record(2, {})
    Stand(site).settle(2)
    assert site.contracts.minted() == sum(WEI.values())


def test_a_chain_that_was_away_for_a_day_is_caught_up_in_order(site):
    node = Node(site)
    for number in (1, 2, 3):
        site.record(number, ALL)
    stand = Stand(site)
    with stand.running():
        node.is_away = True
        for number in (1, 2, 3):
            stand.settler.closed(number)
        assert node.refused.wait(20) and stand.settled == []
        node.refused.clear()
        assert node.refused.wait(20) and stand.settler.failure is None
        node.is_away = False
        stand.wait(lambda: len(stand.settled) == 3)
    assert [settled.epoch for settled, _ in stand.settled] == [1, 2, 3]
    assert site.contracts.minted() == 3 * sum(WEI.values())


def test_a_gateway_that_died_between_quorum_and_post_needs_no_oracle_again(site, monkeypatch):
    site.record(1, ALL)
    stand = Stand(site)

    class Died(Exception):
        pass

    def die(*_):
        raise Died

    monkeypatch.setattr(stand.settler.settlement, "post_root", die)
    stand.settler.closed(1)
    stand.settler.run()
    assert isinstance(stand.settler.failure, Died) and chain_state(site) == ([], [], 0)
    monkeypatch.undo()
    alone = Stand(site, signers=[])
    alone.settle(1)
    assert alone.announced == 0 and site.contracts.minted() == sum(WEI.values())


def test_kept_signatures_are_read_for_their_root_alone(tmp_path):
    signed_roots.write(tmp_path, SETTLE)
    wanted = [(oracle, Signature(ROOT, signature)) for oracle, signature in SETTLE.signatures]
    assert signed_roots.read(tmp_path, ROOT) == wanted
    for changed in ({"root": b"x" * 32}, {"total": 6}, {"evidence": b"x" * 32}, {"epoch": 4}):
        assert signed_roots.read(tmp_path, replace(ROOT, **changed)) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"epoch": "x"}', "[" * 5000, '{"epoch": 1e999}'])
def test_a_damaged_file_of_signatures_is_none(tmp_path, content):
    signed_roots.write(tmp_path, SETTLE)
    (tmp_path / "epoch-3.signed.json").write_text(content)
    assert signed_roots.read(tmp_path, ROOT) == []


def test_forged_signatures_on_the_disk_are_not_posted(site):
    close = site.record(1, ALL)
    root = site.verdict(close).attested()
    forged = Settle(root, tuple((oracle, b"\1" * 65) for oracle in (b"a" * 20, b"b" * 20)))
    signed_roots.write(site.folder / "settlement", forged)
    stand = Stand(site)
    stand.settle(1)
    assert stand.announced >= 1 and site.contracts.minted() == sum(WEI.values())

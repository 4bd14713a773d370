"""From closed epochs to claims on a real chain and real evidence; the oracles are three keys that answer at once."""

import contextlib
import dataclasses
import json
import shutil
import threading

import pytest

from gateway.intake import evidence
from gateway.oracle import bundles, epoch, messages, rewards
from gateway.oracle.statements import Bundle, Root, Signature
from gateway.settlement import ledger, settler
from gateway.settlement.settler import Disagreement, Settler
from tests.oracle_site import DEVICES, GATEWAY, ORACLES, Site, address

WAIT_S = 20
CID = "bafkreicryllxa7sk2xlr4msbx2evi6myk7vhevcbqrqdsp5fakgapbbytu"
ALL = {key: range(4) for key in DEVICES[:3]}
WEI = {1: rewards.epoch_reward(2 * 255, 4), 2: rewards.epoch_reward(255, 1)}


class Stand:
    """A settler and oracles: `signers` sign what `root_of` makes of the verdict's root when an epoch is announced."""

    def __init__(self, site, signers=ORACLES[:2], root_of=lambda root: root, add=None):
        self.site, self.signers, self.root_of = site, signers, root_of
        self.settled, self.said, self.announced, self._done = [], [], 0, threading.Condition()
        oracles = [address(key) for key in ORACLES]
        self.settler = Settler(
            site.folder, site.contracts, oracles, 2, GATEWAY, self.publish, self.said.append, self.on_settled, add
        )

    def publish(self, topic, payload):
        close = self.close = messages.open_sealed(payload, self.site.place).message
        with self._done:
            self.announced += 1
            self._done.notify_all()
        before = ledger.read(self.site.folder / "settlement", close.epoch - 1)
        verdict = self.site.verdict(close, before.leaves if before else None)
        root = self.root_of(verdict.attested())
        digest = epoch.root_digest(root, self.site.place.chain_id, self.site.place.settlement)
        for key in self.signers:
            message = Signature(root, epoch.sign_digest(digest, key))
            self.settler.receive(messages.seal(message, self.site.place, key.secret).payload)

    def on_settled(self, settled, claims):
        with self._done:
            self.settled.append((settled, claims))
            self._done.notify_all()

    def wait(self, is_so):
        with self._done:
            assert self._done.wait_for(is_so, WAIT_S), (self.said, self.settler.failure)

    @contextlib.contextmanager
    def running(self):
        self.settler.catch_up()
        thread = threading.Thread(target=self.settler.run)
        thread.start()
        try:
            yield self
        finally:
            self.settler.stop()
            thread.join(WAIT_S)
            assert not thread.is_alive()

    def settle(self, *numbers):
        with self.running():
            for number in numbers:
                self.settler.closed(number)
            self.wait(lambda: [settled.epoch for settled, _ in self.settled] == list(numbers) or self.settler.failure)
        return self.settled


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(settler, "RETRY_S", 0.05)
    made = Site(tmp_path)
    yield made
    made.stop()


def chain_state(site):
    return site.contracts.roots(), site.contracts.claims(), site.contracts.minted()


def test_closed_epochs_become_roots_and_claims_in_order(site):
    for number in (1, 2):
        site.record(number, ALL)
    (first, claims), (second, more) = Stand(site).settle(1, 2)
    assert (first.minted, second.minted, second.total) == (sum(WEI.values()),) * 2 + (2 * sum(WEI.values()),)
    assert [{claim.deed: claim.amount_wei for claim in found} for found in (claims, more)] == [WEI, WEI]
    assert {int(who, 16) for who in first.signers} == {int(address(key).hex(), 16) for key in ORACLES[:2]}
    assert ledger.read(site.folder / "settlement", 2) == second
    assert [posted.root for posted in site.contracts.roots()] == [first.root, second.root]


def test_with_r1fs_the_close_names_a_bundle_that_the_gateway_signed(site, tmp_path):
    kept, site.closed = [], site.record(1, ALL)
    stand = Stand(site, add=lambda pieces: kept.append(b"".join(pieces)) or CID)
    stand.settle(1)
    assert stand.close == dataclasses.replace(site.closed, cid=CID)
    bundle = Bundle(address(GATEWAY), site.closed.evidence, site.closed.block, CID)
    bundles.unpack(kept, bundle, 1, site.place, tmp_path / "oracle")
    assert evidence.digest(tmp_path / "oracle", 1) == site.closed.evidence


def test_an_epoch_without_answers_mints_nothing_and_pays_nobody(site):
    site.record(1, {})
    ((settled, claims),) = Stand(site).settle(1)
    assert (settled.minted, settled.total, claims) == (0, 0, []) and site.contracts.minted() == 0


def test_without_a_quorum_it_asks_again_and_passes_nothing_over(site):
    site.record(1, ALL)
    stand = Stand(site, signers=ORACLES[:1])
    with stand.running():
        stand.settler.closed(1)
        stand.wait(lambda: stand.announced >= 3)
        assert chain_state(site) == ([], [], 0) and stand.settled == []
        stand.signers = ORACLES[1:]
        stand.wait(lambda: stand.settled)


def test_roots_that_oracles_sign_otherwise_are_not_posted(site):
    site.record(1, ALL)
    stand = Stand(site, root_of=lambda root: dataclasses.replace(root, total=root.total + 1))
    stand.settler.closed(1)
    stand.settler.run()
    failure = stand.settler.failure
    assert isinstance(failure, Disagreement) and "epoch 1: the oracles signed root 0x" in str(failure)
    assert "nothing was posted" in str(failure) and "`tinyren gateway doctor`" in str(failure)
    assert chain_state(site) == ([], [], 0) and not (site.folder / "settlement").exists()


@pytest.mark.parametrize(
    "payload", [b"", b"x" * 1000, b"{}", b"[" * 5000, b"\xff\xfe"], ids=["empty", "noise", "object", "deep", "bytes"]
)
def test_foreign_messages_change_nothing(site, payload):
    site.record(1, ALL)
    stand = Stand(site, signers=[])
    with stand.running():
        stand.settler.receive(payload)
        stand.settler.closed(1)
        stand.settler.receive(payload)
        stand.wait(lambda: stand.announced >= 2)
        assert stand.settled == [] and stand.settler.failure is None
        stand.signers = ORACLES[:2]
        stand.wait(lambda: stand.settled)


def test_signatures_of_strangers_and_twice_the_same_oracle_are_no_quorum(site):
    site.record(1, ALL)
    stand = Stand(site, signers=[ORACLES[0], DEVICES[0], GATEWAY, ORACLES[0]])
    with stand.running():
        stand.settler.closed(1)
        stand.wait(lambda: stand.announced >= 3)
        assert stand.settled == [] and chain_state(site) == ([], [], 0)


@pytest.mark.parametrize("damage", ["missing", "junk", "other leaves", "no amount"])
def test_a_ledger_that_is_not_the_chains_is_made_again_from_the_evidence(site, damage):
    site.record(1, ALL)
    ((settled, _),) = Stand(site).settle(1)
    before, path = chain_state(site), site.folder / "settlement" / "epoch-1.json"
    fields = json.loads(path.read_text())
    if damage == "missing":
        shutil.rmtree(path.parent)
    else:
        leaves = [[1, "5"], [2, "6"]] if damage == "other leaves" else [[1, "-5"]]
        path.write_text("[]" if damage == "junk" else json.dumps({**fields, "leaves": leaves}))
    with Stand(site).running():
        assert ledger.read(path.parent, 1) == settled
    assert chain_state(site) == before
    site.record(2, ALL)
    assert [found.epoch for found, _ in Stand(site).settle(2)] == [2]


def test_a_crash_between_root_and_claims_is_paid_at_the_next_start(site):
    close = site.record(1, ALL)
    verdict = site.verdict(close)
    root = Root(1, verdict.root, verdict.total, verdict.evidence)
    digest = epoch.root_digest(root, site.place.chain_id, site.place.settlement)
    signatures = {"0x" + address(key).hex(): epoch.sign_digest(digest, key) for key in ORACLES[:2]}
    site.contracts.post_root(1, root.root, root.total, root.evidence, signatures)
    for _ in range(2):
        Stand(site).settler.catch_up()
        assert {claim.deed: claim.amount_wei for claim in site.contracts.claims()} == WEI
        assert len(site.contracts.claims()) == 2


def test_evidence_that_does_not_give_the_root_on_the_chain_is_refused(site):
    site.record(1, ALL)
    Stand(site).settle(1)
    before = chain_state(site)
    shutil.rmtree(site.folder / "settlement")
    path = site.folder / "evidence" / "epoch-1.cborseq"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 6])
    for damaged in (True, False):
        with pytest.raises(Disagreement, match="epoch 1 cannot be judged: .*`tinyren verify .* --epoch 1`"):
            Stand(site).settler.catch_up()
        if damaged:
            path.unlink()
    shutil.rmtree(site.folder / "evidence")
    older = "the chain has settled epoch 1, but the evidence ends with 0; is this an older backup"
    with pytest.raises(Disagreement, match=older):
        Stand(site).settler.catch_up()
    assert chain_state(site) == before


def test_a_full_inbox_holds_up_nobody_and_is_read_when_there_is_something_to_settle(site):
    stand = Stand(site)
    for _ in range(settler.MAX_WAITING + 9):
        stand.settler.receive(b'{"type":"signature"}')
    site.record(1, ALL)
    stand.settler.closed(1)  # hangs for ever if it waits
    assert [found.epoch for found, _ in stand.settle(1)] == [1]
    for _ in range(settler.MAX_WAITING + 9):
        stand.settler.receive(b'{"type":"signature"}')
    stand.settler.stop()


def test_a_node_that_does_not_show_the_post_yet_is_asked_again(site, monkeypatch):
    site.record(1, ALL)
    chain, asked = site.contracts.chain, []

    def request(method, params, true=chain._request):
        if method == "eth_getTransactionByHash" and len(asked) < 2:
            return asked.append(params)
        return true(method, params)

    monkeypatch.setattr(chain, "_request", request)
    stand = Stand(site)
    assert [found.epoch for found, _ in stand.settle(1)] == [1]
    assert len(asked) == 2 and any("is not there; trying again" in said for said in stand.said)

"""A relayer's claims on a real chain: of deeds, accounts and work, each once, and what is left out with the reason."""

from dataclasses import replace

import pytest

from gateway.chain.chain import ChainError, Contract
from gateway.errors import CommandError, Exit
from gateway.settlement.escrow import Escrow
from gateway.settlement.leaves_in_force import read_trees
from gateway.settlement.relaying import all_claims, find_dues, relay
from gateway.settlement.settlement import Claim, Contracts, Settlement
from gateway.settlement.sponsoring import ACCOUNT, DEED, WORK, Plan, Terms, plan
from tests.contract_scene import ANYONE, OWNERS, A, B
from tests.contract_site import R1
from tests.contract_site import Site as ContractSite

MODEL = bytes(range(32))
UNITS, PRICE = 6, R1 // 2 + 7  # of which 15 % is no whole number
WORK_WEI = UNITS * PRICE - UNITS * PRICE * 15 // 100
FREE = Terms(gas_wei=0, r1_wei=0, budget_wei=0)
ALL_PAID_WEI = 151 * R1 + WORK_WEI


class Site(ContractSite):
    """Deeds 1 and 3 are A's, who has an account too; deed 2 is B's and worked for job 1. Deed 1 was paid 100 R1."""

    def __init__(self, folder, capsys):
        super().__init__(folder, capsys)
        made = self.scene.settlement
        made.mint_deed(3, A, 1)
        self.escrow.open(MODEL, PRICE, 10 * R1, 2, [], OWNERS[0])
        account = ((bytes.fromhex(A[2:]), 100 * R1),)
        self.settle(replace(self.leaves, deeds=((1, 120 * R1), (2, R1), (3, 30 * R1)), accounts=account))
        self.work({(1, 2): UNITS})
        self.settlement = Settlement(
            made.chain, Contracts(**{**vars(made.contracts), "escrow": self.escrow.address}), ANYONE
        )

    def dues(self):
        trees = self.trees()
        return find_dues(self.settlement, trees.leaves), trees

    def trees(self):
        return read_trees(self.folder, self.scene.chain, Contract("Settlement", self.settlement.contracts.settlement))

    def relay(self, *more, key="anyone"):
        return self.json("relay", "--r1-wei", str(10**18), *more, key=key)


@pytest.fixture
def site(tmp_path, capsys):
    made = Site(tmp_path, capsys)
    yield made
    made.close()


def test_what_each_leaf_is_due_is_read_off_the_chain(site):
    found = [(due.kind, due.owner, due.deed, due.job, due.wei, due.is_first) for due in site.dues()[0]]
    assert found == [
        (DEED, A, 1, 0, 20 * R1, False),
        (DEED, B, 2, 0, R1, True),
        (DEED, A, 3, 0, 30 * R1, True),
        (ACCOUNT, A, 0, 0, 100 * R1, True),
        (WORK, B, 2, 1, WORK_WEI, True),
    ]


def test_anybody_has_the_owners_paid_and_not_twice(site):
    dues, trees = site.dues()
    before, blocks = [site.scene.settlement.balance(owner) for owner in (A, B)], site.scene.chain.block_number()
    done = relay(site.settlement, plan(dues, FREE), trees)
    assert sum(claim.amount_wei for claim in done.claims) == ALL_PAID_WEI and done.failed == ()
    assert site.scene.chain.block_number() == blocks + 4  # two deeds of one owner go together
    after = [site.scene.settlement.balance(owner) for owner in (A, B)]
    assert [now - then for now, then in zip(after, before, strict=True)] == [150 * R1, R1 + WORK_WEI]
    assert sorted(all_claims(site.settlement)[1:], key=str) == sorted(done.claims, key=str)
    assert relay(site.settlement, plan(dues, FREE), trees).claims == ()
    assert site.scene.chain.block_number() == blocks + 4 and plan(site.dues()[0], FREE) == Plan((), ())


def test_gas_is_never_more_than_was_reckoned(site):
    dues, trees = site.dues()
    for batch in plan(dues, FREE).send:
        (first, *_) = relay(site.settlement, Plan((batch,), ()), trees).claims
        used = int(site.scene.chain.request("eth_getTransactionReceipt", [first.tx])["gasUsed"], 16)
        assert used <= batch.gas, batch.what


def test_what_is_reckoned_for_work_is_what_the_escrow_pays(site):
    raw = bytes.fromhex(site.escrow.address[2:])
    for more in (0, 1, 4):
        site.work({(1, 2): more})
        before = site.escrow.delivered(1, 2)
        units, proof = site.trees().work(raw, 1, 2)
        paid = site.escrow.claim(1, 2, units, proof, ANYONE)
        assert site.escrow.job(1).split(before, units) == (paid.amount, paid.burned)


@pytest.mark.parametrize("is_old", [False, True], ids=["at once", "by an escrow of before, one by one"])
def test_an_owners_work_for_a_job_is_paid_at_once_and_not_twice(site, is_old, monkeypatch):
    site.work({(1, 1): 2, (1, 3): 3})  # deeds of A; deed 2 worked before
    if is_old:
        monkeypatch.setattr("gateway.settlement.relaying.Escrow.pays_many", lambda escrow: False)
    dues, trees = site.dues()
    (batch,) = (batch for batch in plan(dues, FREE).send if batch.kind == WORK and batch.owner == A)
    before, blocks = site.scene.settlement.balance(A), site.scene.chain.block_number()
    site.escrow.claim(1, 3, *trees.work(bytes.fromhex(site.escrow.address[2:]), 1, 3), ANYONE)  # somebody was first
    done = relay(site.settlement, Plan((batch,), ()), trees)
    assert batch.deeds == (1, 3) and batch.what == "deeds 1, 3, job 1"
    assert {(claim.what, claim.amount_wei) for claim in done.claims} == {
        ("deed 1, work for job 1", site.escrow.job(1).split(0, 2)[0])
    }
    owed = sum(site.escrow.job(1).split(0, units)[0] for units in (2, 3))
    assert site.scene.settlement.balance(A) - before == owed == batch.wei
    assert relay(site.settlement, Plan((batch,), ()), trees).claims == ()
    assert site.scene.chain.block_number() == blocks + 2


def test_an_escrow_tells_whether_it_pays_many(site):
    assert site.escrow.pays_many() and not Escrow(site.scene.chain, site.settlement.contracts.r1).pays_many()


def test_a_claim_that_fails_does_not_keep_the_others(site, monkeypatch):
    dues, trees = site.dues()

    def refuse(*_):
        raise ChainError("no")

    monkeypatch.setattr(site.settlement, "claim_many", refuse)
    done = relay(site.settlement, plan(dues, FREE), trees)
    assert {claim.what for claim in done.claims} == {"account", "deed 2", "deed 2, work for job 1"}
    assert [batch.deeds for batch, _ in done.failed] == [(1, 3)]
    assert site.settlement.claimed(3) == 0


def test_work_for_a_job_that_is_over_or_used_up_is_left_out_with_the_reason(site):
    site.escrow.open(MODEL, PRICE, 2 * PRICE, 1, [], OWNERS[0])
    site.work({(2, 2): 2, (2, 3): 1})  # more than oracles would count: the deposit is two runs
    found = plan(site.dues()[0], FREE)
    assert [(batch.what, batch.why) for batch in found.waiting] == [("deed 3, job 2", "the job's deposit is used up")]
    for _ in range(3):
        site.work({})
    assert site.escrow.refund(1, ANYONE).is_closed
    whys = {batch.what: batch.why for batch in plan(site.dues()[0], FREE).waiting}
    assert whys["deed 2, job 1"].startswith("the job is closed")
    fields = site.relay()
    assert {claim["job"] for claim in fields["claims"]} == {0, 2} and fields["failed"] == []


def test_leaves_that_are_not_the_chains_are_refused(site):
    path = site.folder / "settlement" / "epoch-3.json"
    for content in (path.read_text().replace("[\n   1,", "[\n   9,"), "", None):
        path.unlink(missing_ok=True) if content is None else path.write_text(content)
        with pytest.raises(CommandError, match="missing or not the chain's"):
            site.trees()
    assert site.settlement.minted() == 100 * R1


def test_the_command_says_what_it_would_pay_and_then_does_it(site):
    tried = site.relay("--dry-run")
    assert tried["claims"] == [] and tried["gas"] == 0 and site.settlement.minted() == 100 * R1
    rows = {row["what"]: row for row in tried["send"] + tried["waiting"]}
    assert set(rows) == {f"account of {A}", "deeds 1, 3", "deed 2", "deed 2, job 1"}
    assert rows["deed 2, job 1"]["wei"] == str(WORK_WEI)
    code, out, _ = site.run("relay", "--r1-wei", "1", "--dry-run", key="anyone")
    assert code == 0 and "waits  deed 2 of 0x" in out and "wanted at most 5 %" in out
    code, out, _ = site.run(
        "relay", "--r1-wei", str(R1), "--percent", "100", "--sponsor", str(R1), "--budget", str(R1), key="anyone"
    )
    assert code == Exit.OK and out.splitlines()[-1] == f"RESULT: OK claims=5 paid_wei={ALL_PAID_WEI}"
    assert f"pays  account of {A}: 100 R1 for " in out and "\nspent  " in out
    code, out, _ = site.run("relay", "--r1-wei", "1", key="anyone")
    assert out == "RESULT: OK claims=0 paid_wei=0\n"


def test_what_was_spent_is_what_the_transactions_took(site):
    fields = site.relay("--percent", "100")
    receipts = [
        site.scene.chain.request("eth_getTransactionReceipt", [tx]) for tx in {row["tx"] for row in fields["claims"]}
    ]
    assert fields["gas"] == sum(int(item["gasUsed"], 16) for item in receipts) > 0
    assert int(fields["spent_wei"]) > 0 and fields["gas"] <= sum(row["gas"] for row in fields["send"])


@pytest.mark.parametrize("more", [["--percent", "0"], ["--percent", "101"], ["--r1-wei", "0"], ["--budget", "-1"]])
def test_terms_that_cannot_be_are_a_usage_error(site, capsys, more):
    with pytest.raises(SystemExit):
        site.run("relay", "--r1-wei", "1", *more, key="anyone")
    assert "wanted" in capsys.readouterr().err


def test_a_folder_that_is_no_site_is_refused(site, tmp_path_factory):
    site.folder = tmp_path_factory.mktemp("empty")
    (site.folder / "anyone").write_text("11" * 32)
    code, _, err = site.run("relay", "--r1-wei", "1", key="anyone")
    assert code == Exit.USAGE and "which is no site yet; run `tinyren up` first" in err and "1111" not in err
    code, _, err = site.run("relay", "--r1-wei", "1", "--rpc", site.node.url, "--dry-run", key="anyone")
    assert code == Exit.USAGE and f"--site: got {site.folder}, wanted the folder of a site; `tinyren up --site" in err


def test_a_claim_says_what_it_is_for():
    said = [Claim(deed, A, 1, "", job).what for deed, job in ((None, 0), (2, 0), (2, 5))]
    assert said == ["account", "deed 2", "deed 2, work for job 5"]

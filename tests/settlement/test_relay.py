"""Which claims a relayer sends: the policy as tables and properties, and its claims on a real chain."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import cli
from gateway.chain.chain import ChainError, address_of
from gateway.errors import CommandError, Exit
from gateway.oracle import merkle
from gateway.settlement import ledger
from gateway.settlement.relaying import find_dues, relay
from gateway.settlement.sponsoring import MOST_DEEDS, SPONSORED, WORTH, Due, Plan, Terms, gas_of, plan
from gateway.settlement.tree import Leaves
from gateway.site import site_file
from tests.chain_node import Node
from tests.contract_scene import ANYONE, PAYER, A, B, make_scene

R1 = 10**18
FEE = gas_of(1, 0)  # at one wei a gas
TERMS = Terms(gas_wei=1, r1_wei=R1, budget_wei=10 * FEE)


def due(owner, deed, worth):
    """What is worth so many wei by TERMS."""
    return Due(owner, deed, worth)


@pytest.mark.parametrize(
    ("dues", "changed", "sent", "waiting"),
    [
        ([], {}, [], []),
        ([due("a", 1, 0)], {}, [], []),
        ([due("a", 1, 20 * FEE)], {}, [((1,), WORTH)], []),
        ([due("a", 1, 20 * FEE - 1)], {}, [], [((1,), "its fee is 5 % of its worth, wanted at most 5 %, and no")]),
        ([due("a", 1, 20 * FEE), due("b", 2, 90 * FEE)], {}, [((2,), WORTH), ((1,), WORTH)], []),
        (
            [due("a", 1, 20 * FEE), due("b", 2, 90 * FEE)],
            {"budget_wei": FEE},
            [((2,), WORTH)],
            [((1,), "the budget is used up")],
        ),
        ([due("a", 1, 15 * FEE), due("a", 2, 15 * FEE)], {}, [((1, 2), WORTH)], []),
        (
            [due("a", 1, 2 * FEE), due("b", 2, 3 * FEE)],
            {"sponsor_wei": FEE},
            [((2,), SPONSORED)],
            [((1,), "its fee is 50 % of its worth")],
        ),
        ([due("a", 1, FEE)], {"sponsor_wei": FEE}, [((1,), SPONSORED)], []),
        ([due("a", 1, FEE - 1)], {"sponsor_wei": 99 * FEE}, [], [((1,), "its fee is 100 % of its worth")]),
        ([due("a", 1, 5)], {"sponsor_wei": 99 * FEE, "r1_wei": 0}, [], [((1,), "its fee is more than all")]),
        ([due("a", 1, 5)], {"gas_wei": 0, "budget_wei": 0}, [((1,), WORTH)], []),
    ],
    ids="none nothing exactly-worth not-worth dearest-first budget together sponsor sponsored-at-par dust no-price "
    "free-gas".split(),
)
def test_what_is_sent_and_why_the_others_wait(dues, changed, sent, waiting):
    found = plan(dues, Terms(**{**vars(TERMS), **changed}))
    assert [(batch.deeds, batch.why) for batch in found.send] == sent
    assert [batch.deeds for batch in found.waiting] == [deeds for deeds, _ in waiting]
    assert all(batch.why.startswith(why) for batch, (_, why) in zip(found.waiting, waiting, strict=True))


def test_many_deeds_of_one_owner_go_in_parts():
    found = plan([due("a", deed, R1) for deed in range(1, 2 * MOST_DEEDS + 2)], Terms(1, R1, R1))
    assert sorted(len(batch.deeds) for batch in found.send) == [1, MOST_DEEDS, MOST_DEEDS]


@pytest.mark.parametrize("name", ["gas_wei", "r1_wei", "budget_wei", "sponsor_wei", "most_percent"])
def test_terms_below_nothing_and_a_deed_twice_are_refused(name):
    with pytest.raises(ValueError, match="wanted nothing below 0"):
        plan([], Terms(**{**vars(TERMS), name: -1}))
    with pytest.raises(ValueError, match="a deed twice"):
        plan([due("a", 1, 5), due("b", 1, 5)], TERMS)


DUES = st.lists(
    st.builds(Due, st.sampled_from("abc"), st.integers(1, 200), st.integers(0, 50 * FEE), st.booleans()),
    unique_by=lambda item: item.deed,
    max_size=80,
)
PURSES = st.integers(0, 20 * FEE)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(DUES, PURSES, PURSES, st.integers(0, 3), st.integers(0, 100))
def test_every_due_is_decided_once_and_no_purse_is_overdrawn(dues, budget, sponsor, gas, percent):
    found = plan(dues, Terms(gas, R1, budget, sponsor, percent))
    decided = [deed for batch in (*found.send, *found.waiting) for deed in batch.deeds]
    assert sorted(decided) == sorted(item.deed for item in dues if item.wei)
    for why, purse in ((WORTH, budget), (SPONSORED, sponsor)):
        assert sum(batch.fee_wei for batch in found.send if batch.why == why) <= purse
    assert all(batch.fee_wei <= max(1, batch.worth_wei) for batch in found.send)
    assert all(len({item.owner for item in dues if item.deed in batch.deeds}) == 1 for batch in found.send)
    assert plan(reversed(dues), Terms(gas, R1, budget, sponsor, percent)) == found


LEAVES = {1: 100 * R1, 2: R1, 3: 50 * R1}


@pytest.fixture
def scene(tmp_path):
    """A root in force over three deeds, the first and the third A's, and a site's folder that says so."""
    made = make_scene(tmp_path / "chain.sqlite")
    made.settlement.mint_deed(3, A, 1)
    made.post(LEAVES)
    root, leaves = merkle.root(made.hashes(LEAVES)), Leaves(deeds=tuple(LEAVES.items()))
    settled = ledger.Settled(1, {}, leaves, root, leaves.total_wei, bytes(32), 0, {}, (), 4, "", ())
    ledger.write(tmp_path / "settlement", settled)
    contracts = vars(made.settlement.contracts)
    node = Node(made.chain)
    site_file.write(tmp_path, site_file.Site(boards=[], contracts=contracts, chain_rpc=node.url, chain_external=True))
    (tmp_path / "key").write_text(ANYONE.secret.hex())
    yield made, tmp_path
    node.stop()
    made.chain.close()


def test_anybody_has_the_owners_paid_in_one_transaction_each_and_not_twice(scene):
    made, folder = scene
    dues, trees = find_dues(folder, made.settlement)
    assert [(item.owner, item.deed, item.wei, item.is_first) for item in dues] == [
        (A, 1, 100 * R1, True),
        (B, 2, R1, True),
        (A, 3, 50 * R1, True),
    ]
    decided, before = plan(dues, Terms(1, R1, R1)), made.chain.block_number()
    done = relay(made.settlement, decided, trees)
    assert {claim.deed: claim.amount_wei for claim in done.claims} == LEAVES and done.failed == ()
    assert made.chain.block_number() == before + 2
    assert (made.settlement.balance(A), made.settlement.balance(B)) == (150 * R1, R1)
    assert relay(made.settlement, decided, trees).claims == () and made.chain.block_number() == before + 2
    assert plan(find_dues(folder, made.settlement)[0], TERMS) == Plan((), ())


def test_gas_is_never_more_than_was_reckoned(scene):
    made, folder = scene
    dues, trees = find_dues(folder, made.settlement)
    for batch in plan(dues, Terms(1, R1, R1)).send:
        (first, *_) = relay(made.settlement, Plan((batch,), ()), trees).claims
        used = int(made.chain.request("eth_getTransactionReceipt", [first.tx])["gasUsed"], 16)
        assert used <= batch.gas


def test_a_claim_that_fails_does_not_keep_the_others(scene, monkeypatch):
    made, folder = scene
    dues, trees = find_dues(folder, made.settlement)

    def refuse(*_):
        raise ChainError("no")

    monkeypatch.setattr(made.settlement, "claim_many", refuse)
    done = relay(made.settlement, plan(dues, Terms(1, R1, R1)), trees)
    assert [claim.deed for claim in done.claims] == [2] and [batch.deeds for batch, _ in done.failed] == [(1, 3)]
    assert made.settlement.balance(A) == 0


def test_leaves_that_are_not_the_chains_are_refused(scene):
    made, folder = scene
    path = folder / "settlement" / "epoch-1.json"
    for content in (path.read_text().replace("[\n   1,", "[\n   9,"), "", None):
        path.unlink(missing_ok=True) if content is None else path.write_text(content)
        with pytest.raises(CommandError, match="missing or not the chain's"):
            find_dues(folder, made.settlement)
    assert made.settlement.minted() == 0


def run(capsys, folder, *more):
    code = cli.main(["relay", "--site", str(folder), "--key", str(folder / "key"), *more])
    return code, capsys.readouterr()


def test_the_command_says_what_it_would_do_and_then_does_it(scene, capsys):
    made, folder = scene
    code, said = run(capsys, folder, "--r1-wei", str(10**16), "--dry-run", "--json")
    fields = json.loads(said.out)
    assert code == Exit.OK and fields["claims"] == [] and made.settlement.minted() == 0
    assert {tuple(row["deeds"]) for row in fields["send"]} | {tuple(row["deeds"]) for row in fields["waiting"]} == {
        (1, 3),
        (2,),
    }
    code, said = run(capsys, folder, "--r1-wei", str(10**18), "--percent", "100", "--sponsor", str(10**18))
    assert code == Exit.OK and said.out.splitlines()[-1] == f"RESULT: OK claims=3 paid_wei={151 * R1}"
    assert made.settlement.balance(A) == 150 * R1 and address_of(PAYER) != address_of(ANYONE)
    code, said = run(capsys, folder, "--r1-wei", "1")
    assert said.out == "RESULT: OK claims=0 paid_wei=0\n"


@pytest.mark.parametrize("more", [["--percent", "0"], ["--percent", "101"], ["--r1-wei", "0"], ["--budget", "-1"]])
def test_terms_that_cannot_be_are_a_usage_error(tmp_path, capsys, more):
    (tmp_path / "key").write_text("11" * 32)
    with pytest.raises(SystemExit):
        run(capsys, tmp_path, "--r1-wei", "1", *more)
    assert "wanted" in capsys.readouterr().err


def test_a_folder_that_is_no_site_is_refused(tmp_path, capsys):
    (tmp_path / "key").write_text("11" * 32)
    code, said = run(capsys, tmp_path, "--r1-wei", "1")
    assert code == Exit.USAGE and "wanted the folder of a site" in said.err and "1111" not in said.err

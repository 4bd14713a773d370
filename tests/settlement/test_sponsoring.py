"""Which claims are worth their gas, and which a relayer pays all the same: the policy as tables and properties."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import gas
from gateway.settlement.sponsoring import (
    ACCOUNT,
    DEED,
    MOST_DEEDS,
    SPONSORED,
    WORK,
    WORTH,
    Due,
    Terms,
    gas_of,
    plan,
)

R1 = 10**18
FEE = gas_of(1, 0)  # at one wei a gas
TERMS = Terms(gas_wei=1, r1_wei=R1, budget_wei=10 * FEE)


def due(owner, deed, worth):
    """What is worth so many wei by TERMS."""
    return Due(owner, deed, worth)


def account(owner, worth):
    return Due(owner, 0, worth, kind=ACCOUNT)


def work(owner, deed, worth, job, blocked=""):
    return Due(owner, deed, worth, kind=WORK, job=job, blocked=blocked)


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


def test_an_owners_work_goes_job_by_job_and_what_nobody_can_claim_is_told():
    dues = [due("a", 1, 5), account("a", 5), work("a", 1, 5, 3), work("a", 2, 5, 3), work("a", 1, 5, 4, "is closed")]
    found = plan([*dues, due("a", 2, 5), work("a", 2, 5, 5), work("b", 4, 5, 3)], Terms(0, 0, 0))
    decided = [(batch.kind, batch.job, batch.deeds, batch.what) for batch in found.send]
    assert decided == [
        (ACCOUNT, 0, (), "account of a"),
        (DEED, 0, (1, 2), "deeds 1, 2"),
        (WORK, 3, (1, 2), "deeds 1, 2, job 3"),
        (WORK, 5, (2,), "deed 2, job 5"),
        (WORK, 3, (4,), "deed 4, job 3"),
    ]
    assert [(batch.what, batch.why) for batch in found.waiting] == [("deed 1, job 4", "is closed")]


def test_what_is_reckoned_is_never_below_what_was_measured():
    measured = json.loads(gas.SNAPSHOT.read_text())
    for name, reckoned in (
        ("claim of 1,000 leaves, once more", gas_of(1, 0)),
        ("claim of 1 leaf, its first", gas_of(1, 1)),
        ("claim of an account for 10,000 deeds, 1,000,000 leaves", gas_of(1, 0, ACCOUNT)),
        ("claim of 10 deeds at once, 1,000,000 leaves", gas_of(10, 0)),
        ("claim of work, 1,000,000 leaves", gas_of(1, 0, WORK)),
        ("claim of work of 10 deeds at once, 1,000,000 leaves", gas_of(10, 0, WORK)),
    ):
        assert measured[name] <= reckoned, name


def test_many_deeds_of_one_owner_go_in_parts():
    found = plan([due("a", deed, R1) for deed in range(1, 2 * MOST_DEEDS + 2)], Terms(1, R1, R1))
    assert sorted(len(batch.deeds) for batch in found.send) == [1, MOST_DEEDS, MOST_DEEDS]


@pytest.mark.parametrize("name", ["gas_wei", "r1_wei", "budget_wei", "sponsor_wei", "most_percent"])
def test_terms_below_nothing_and_a_leaf_twice_are_refused(name):
    with pytest.raises(ValueError, match="wanted nothing below 0"):
        plan([], Terms(**{**vars(TERMS), name: -1}))
    for twice in ((due("a", 1, 5), due("b", 1, 5)), (account("a", 5), account("a", 6)), (work("a", 1, 5, 3),) * 2):
        with pytest.raises(ValueError, match="a leaf twice"):
            plan(twice, TERMS)


KINDS = st.sampled_from([(DEED, 0), (WORK, 1), (WORK, 2), (ACCOUNT, 0)])
DUES = st.lists(
    st.builds(
        lambda owner, deed, wei, is_first, kind: Due(owner, 0 if kind[0] == ACCOUNT else deed, wei, is_first, *kind),
        *(st.sampled_from("abc"), st.integers(1, 200), st.integers(0, 50 * FEE), st.booleans(), KINDS),
    ),
    unique_by=lambda item: (item.kind, item.job, item.deed or item.owner),
    max_size=80,
)
PURSES = st.integers(0, 20 * FEE)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(DUES, PURSES, PURSES, st.integers(0, 3), st.integers(0, 100))
def test_every_due_is_decided_once_and_no_purse_is_overdrawn(dues, budget, sponsor, gas, percent):
    found = plan(dues, Terms(gas, R1, budget, sponsor, percent))
    batches = (*found.send, *found.waiting)
    decided = [(batch.owner, batch.kind, batch.job, deed) for batch in batches for deed in batch.deeds or (0,)]
    assert sorted(decided) == sorted((item.owner, item.kind, item.job, item.deed) for item in dues if item.wei)
    for why, purse in ((WORTH, budget), (SPONSORED, sponsor)):
        assert sum(batch.fee_wei for batch in found.send if batch.why == why) <= purse
    assert all(batch.fee_wei <= max(1, batch.worth_wei) for batch in found.send)
    assert plan(reversed(dues), Terms(gas, R1, budget, sponsor, percent)) == found

"""Deeds, accounts and work under one root: where each reward is added up, and that it is claimed once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.oracle import merkle
from gateway.settlement.tree import Leaves, Trees, add_epoch

A, B, ESCROW = b"a" * 20, b"b" * 20, b"e" * 20
OWNERS = {1: A, 2: A, 3: B}


def test_without_accounts_and_work_the_root_is_that_of_the_deeds():
    leaves = add_epoch(Leaves(), {2: 7, 1: 5}, OWNERS, set())
    assert leaves == Leaves(deeds=((1, 5), (2, 7)))
    assert Trees(leaves).root == merkle.root([merkle.leaf(1, 5), merkle.leaf(2, 7)])
    assert Trees(Leaves()).root == bytes(32)


def test_what_an_owner_chose_decides_where_the_next_reward_goes_and_moves_no_other():
    first = add_epoch(Leaves(), {1: 5, 2: 7, 3: 9}, OWNERS, set())
    second = add_epoch(first, {1: 1, 2: 1, 3: 1}, OWNERS, {A})
    third = add_epoch(second, {1: 1, 2: 1, 3: 1}, OWNERS, {B})
    assert second == Leaves(deeds=((1, 5), (2, 7), (3, 10)), accounts=((A, 2),))
    assert third == Leaves(deeds=((1, 6), (2, 8), (3, 10)), accounts=((A, 2), (B, 1)))


def test_a_deed_that_moves_takes_its_own_leaf_along_and_leaves_the_accounts():
    first = add_epoch(Leaves(), {1: 5}, OWNERS, set())
    second = add_epoch(first, {1: 5}, {1: A}, {A})
    third = add_epoch(second, {1: 5}, {1: B}, {A})  # sold in the epoch to one who has chosen nothing
    assert third == Leaves(deeds=((1, 10),), accounts=((A, 5),))


def test_work_is_counted_beside_and_is_in_no_total():
    leaves = add_epoch(Leaves(), {1: 5}, OWNERS, {A}, {(ESCROW, 1, 1): 3})
    leaves = add_epoch(leaves, {1: 5}, OWNERS, {A}, {(ESCROW, 1, 1): 4, (ESCROW, 2, 1): 1})
    assert leaves.total_wei == 10 and leaves.work == (((ESCROW, 1, 1), 7), ((ESCROW, 2, 1), 1))


@pytest.mark.parametrize("rewards, units", [({1: -1}, {}), ({}, {(ESCROW, 1, 1): -1})])
def test_no_leaf_shrinks(rewards, units):
    with pytest.raises(ValueError, match="-1, wanted 0 or more"):
        add_epoch(Leaves(deeds=((1, 5),)), rewards, OWNERS, set(), units)


def test_a_deed_whose_owner_is_unknown_is_refused():
    with pytest.raises(KeyError):
        add_epoch(Leaves(), {4: 1}, OWNERS, set())


@pytest.mark.parametrize("ask", [lambda t: t.deed(9), lambda t: t.account(B), lambda t: t.work(ESCROW, 1, 2)])
def test_a_leaf_that_is_not_there_has_no_proof(ask):
    with pytest.raises(KeyError):
        ask(Trees(add_epoch(Leaves(), {1: 1}, OWNERS, {A})))


@pytest.mark.parametrize("deeds", [[], [1, 1]])
def test_many_deeds_are_at_least_one_and_each_once(deeds):
    with pytest.raises(ValueError, match="strictly ascending"):
        Trees(Leaves(deeds=((1, 1), (2, 1)))).deeds(deeds)


jobs = st.tuples(st.just(ESCROW), st.integers(1, 3), st.integers(1, 9))
owners = st.integers(0, 4).map(lambda number: bytes([number]) * 20)
epochs = st.lists(
    st.tuples(
        st.dictionaries(st.integers(1, 9), st.tuples(st.integers(0, 10**20), owners), max_size=9),
        st.sets(owners),
        st.dictionaries(
            st.tuples(st.just(ESCROW), st.integers(1, 3), st.integers(1, 9)), st.integers(0, 99), max_size=5
        ),
    ),
    max_size=6,
)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(epochs)
def test_each_unit_is_in_one_leaf_that_is_proved_and_no_leaf_shrinks(history):
    leaves, earned = Leaves(), 0
    for rewards, to_account, units in history:
        before = leaves
        amounts = {deed: wei for deed, (wei, _) in rewards.items()}
        leaves = add_epoch(leaves, amounts, {deed: owner for deed, (_, owner) in rewards.items()}, to_account, units)
        earned += sum(amounts.values())
        for old, new in ((before.deeds, leaves.deeds), (before.accounts, leaves.accounts), (before.work, leaves.work)):
            assert all(dict(new)[key] >= value for key, value in old)
            assert list(new) == sorted(new) and len(dict(new)) == len(new)
    assert leaves.total_wei == earned
    trees = Trees(leaves)
    for deed, wei in leaves.deeds:
        assert trees.deed(deed)[0] == wei
        assert merkle.is_proved(trees.root, merkle.leaf(deed, wei), trees.deed(deed)[1])
    for owner, wei in leaves.accounts:
        assert merkle.is_proved(trees.root, merkle.account_leaf(owner, wei), trees.account(owner)[1])
    for (escrow, job, deed), units in leaves.work:
        leaf = merkle.work_leaf(escrow, job, deed, units)
        assert merkle.is_proved(trees.root, leaf, trees.work(escrow, job, deed)[1])


@settings(max_examples=80, derandomize=True, deadline=None)
@given(st.integers(1, 70), st.data())
def test_a_multiproof_leads_to_the_root_by_the_contracts_own_steps(count, data):
    chosen = sorted(data.draw(st.sets(st.integers(1, count), min_size=1)))
    leaves = Leaves(deeds=tuple((deed, deed * 10) for deed in range(1, count + 1)), accounts=((A, 1),), work=())
    trees = Trees(leaves if data.draw(st.booleans()) else Leaves(deeds=leaves.deeds))
    proved, proof, flags = trees.deeds(chosen)
    assert proved == [(deed, deed * 10) for deed in chosen]
    assert root_by_flags([merkle.leaf(*leaf) for leaf in proved], proof, flags) == trees.root


@settings(max_examples=80, derandomize=True, deadline=None)
@given(st.integers(1, 40), st.integers(1, 2), st.data())
def test_works_of_one_job_lead_to_the_root_together(count, job, data):
    chosen = data.draw(st.permutations(sorted(data.draw(st.sets(st.integers(1, count), min_size=1)))))
    work = tuple(((ESCROW, each, deed), 7 * each + deed) for each in (1, 2) for deed in range(1, count + 1))
    trees = Trees(Leaves(deeds=((1, 5),) if data.draw(st.booleans()) else (), work=work))
    works, proof, flags = trees.works(ESCROW, job, chosen)
    assert works == [(deed, 7 * job + deed) for deed in sorted(chosen)]
    assert root_by_flags([merkle.work_leaf(ESCROW, job, *each) for each in works], proof, flags) == trees.root


def root_by_flags(hashes, proof, flags):
    """OpenZeppelin's MerkleProof.processMultiProof."""
    assert len(hashes) + len(proof) == len(flags) + 1
    queue, rest = list(hashes), list(proof)
    for flag in flags:
        first = queue.pop(0)
        queue.append(merkle.root_by(first, [queue.pop(0) if flag else rest.pop(0)]))
    return queue[0]

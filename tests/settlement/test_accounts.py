"""Accounts, many deeds at once, owners that are contracts: on the embedded chain, with the gateway's own trees."""

import pytest

from gateway.chain.chain import address_of
from gateway.oracle import merkle
from gateway.settlement.accounts import Accounts
from gateway.settlement.tree import Leaves, Trees, add_epoch
from tests.contract_scene import ANYONE, OWNERS, A, B, copy_scene, make_scene

RAW = {owner: bytes.fromhex(owner[2:]) for owner in (A, B)}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("accounts") / "chain.sqlite"
    scene = make_scene(path)
    scene.settlement.mint_deed(3, A, 1)
    scene.chain.close()
    return scene, path


@pytest.fixture
def scene(original, tmp_path):
    made = copy_scene(*original, tmp_path / "chain.sqlite")
    yield made
    made.chain.close()


def settle(scene, before, rewards):
    """The next epoch: each deed earns its reward where its owner of now has chosen; its leaves, posted."""
    epoch = scene.settlement.epoch() + 1
    owners = {deed: scene.settlement.bindings()[deed].owner for deed in rewards}
    chosen = Accounts(scene.settlement).chosen(set(owners.values()), epoch)
    leaves = add_epoch(before, rewards, owners, chosen)
    scene.post({1: leaves.total_wei}, root=Trees(leaves).root)
    return leaves


def claim_all(scene, leaves):
    """All that is due, claimed by whoever comes; what was paid in all."""
    trees, accounts = Trees(leaves), Accounts(scene.settlement)
    for deed, wei in leaves.deeds:
        scene.settlement.claim(deed, wei, trees.deed(deed)[1])
    for owner in (A, B):
        if RAW[owner] in dict(leaves.accounts):
            accounts.claim(owner, *trees.account(RAW[owner]))
    return scene.settlement.minted()


def test_an_owner_chooses_an_account_and_takes_it_back_and_every_unit_is_paid_once(scene):
    accounts, rewards = Accounts(scene.settlement), {1: 100, 2: 10, 3: 1}
    leaves = settle(scene, Leaves(), rewards)
    accounts.choose(True, OWNERS[0])  # in epoch 2: counts from 3 on
    leaves = settle(scene, leaves, rewards)
    assert leaves.accounts == () and scene.settlement.epoch() == 2
    leaves = settle(scene, leaves, rewards)
    accounts.choose(False, OWNERS[0])
    leaves = settle(scene, leaves, rewards)
    leaves = settle(scene, leaves, rewards)
    assert leaves == Leaves(deeds=((1, 300), (2, 50), (3, 3)), accounts=((RAW[A], 202),))
    assert claim_all(scene, leaves) == leaves.total_wei == 555
    assert (scene.settlement.balance(A), scene.settlement.balance(B)) == (505, 50)
    blocks = scene.chain.block_number()
    assert claim_all(scene, leaves) == 555 and scene.chain.block_number() == blocks
    found = accounts.claims()
    assert [(item.owner, item.amount_wei) for item in found] == [(A, 202)] and accounts.claimed(A) == 202


def test_arrears_of_a_deed_go_with_it_and_those_of_an_account_stay(scene):
    Accounts(scene.settlement).choose(True, OWNERS[0])
    leaves = settle(scene, Leaves(), {1: 100, 3: 1})  # by the deeds: the choice was made in this epoch
    leaves = settle(scene, leaves, {1: 100, 3: 1})  # by the account
    scene.transfer(1, OWNERS[0], OWNERS[1])
    leaves = settle(scene, leaves, {1: 100, 3: 1})  # deed 1 is B's, who has chosen nothing
    assert leaves == Leaves(deeds=((1, 200), (3, 1)), accounts=((RAW[A], 102),))
    assert claim_all(scene, leaves) == 303
    assert (scene.settlement.balance(A), scene.settlement.balance(B)) == (103, 200)


def test_what_was_chosen_is_read_as_of_a_block(scene):
    accounts = Accounts(scene.settlement)
    before = scene.chain.block_number()
    accounts.choose(True, OWNERS[0])
    both = RAW.values()
    assert accounts.chosen(both, 2) == {RAW[A]} and accounts.chosen(both, 1) == set()
    assert accounts.chosen(both, 2, before) == set() and accounts.chosen([], 2) == set()


def test_all_deeds_of_an_owner_are_paid_in_one_transaction_whoever_sends_it(scene):
    leaves = settle(scene, Leaves(), {1: 100, 2: 10, 3: 1})
    trees = Trees(leaves)
    scene.settlement.claim(1, *trees.deed(1))
    claims = scene.settlement.claim_many(*trees.deeds([1, 3]))
    assert [(item.deed, item.owner, item.amount_wei) for item in claims] == [(3, A, 1)]
    leaves = settle(scene, leaves, {1: 100, 2: 10, 3: 1})
    claims = scene.settlement.claim_many(*Trees(leaves).deeds([1, 3]))
    assert [(item.deed, item.amount_wei) for item in claims] == [(1, 100), (3, 1)]
    assert scene.settlement.balance(A) == 202 and scene.settlement.claim_many(*Trees(leaves).deeds([1, 3])) == []


def test_a_claim_of_many_is_refused_by_name(scene):
    leaves = settle(scene, Leaves(), {1: 100, 2: 10, 3: 1})
    trees = Trees(leaves)
    both, proof, flags = trees.deeds([1, 3])
    table = (
        ("OtherOwner", *trees.deeds([1, 2])),
        ("WrongProofOfMany", [(1, 101), (3, 1)], proof, flags),
        ("WrongProofOfMany", both[::-1], proof, flags),
        ("MerkleProofInvalidMultiproof", both, proof, [*flags, True]),
        ("MerkleProofInvalidMultiproof", both[:1], proof, flags),
        ("NothingToClaimOfMany", [], [trees.root], []),
    )
    for error, *arguments in table:
        scene.refuses(error, scene.chain.send, scene.root_contract, "claimMany", *arguments, key=ANYONE)


def test_an_owner_that_is_a_contract_is_paid_like_any_other(scene):
    wallet = scene.wallet(agrees=True)
    raw = bytes.fromhex(wallet[2:])
    scene.chain.send(scene.deeds, "transferFrom", A, wallet, 3, key=OWNERS[0])
    scene.settlement.mint_deed(4, wallet, 1)
    leaves = Leaves(deeds=((3, 7), (4, 8)), accounts=((raw, 9),))
    scene.post({1: 24}, root=Trees(leaves).root)
    scene.settlement.claim(3, *Trees(leaves).deed(3))
    scene.settlement.claim_many(*Trees(leaves).deeds([3, 4]))
    Accounts(scene.settlement).claim(wallet, *Trees(leaves).account(raw))
    assert scene.settlement.balance(wallet) == 24 == scene.settlement.minted()


def test_no_leaf_is_claimed_as_one_of_another_tree(scene):
    leaves = Leaves(deeds=((1, 5), (2, 6)), accounts=((RAW[A], 7), (RAW[B], 8)))
    scene.post({1: 26}, root=Trees(leaves).root)
    wei, proof = Trees(leaves).account(RAW[A])
    send, one = scene.chain.send, "0x" + (1).to_bytes(20, "big").hex()
    scene.refuses("WrongProof", send, scene.root_contract, "claim", int(A, 16), wei, proof, key=ANYONE)
    arguments = ("claimAccount", one, *Trees(leaves).deed(1))
    scene.refuses("WrongAccountProof", send, scene.root_contract, *arguments, key=ANYONE)
    scene.refuses("WrongAccountProof", send, scene.root_contract, "claimAccount", B, wei, proof, key=ANYONE)
    scene.refuses("WrongAccountProof", send, scene.root_contract, "claimAccount", A, wei + 1, proof, key=ANYONE)
    scene.refuses("WrongProof", send, scene.root_contract, "claim", 1, 5, proof, key=ANYONE)


def test_an_account_that_is_paid_or_shrank_or_was_not_attested_gets_nothing(scene):
    send, claim = scene.chain.send, (scene.root_contract, "claimAccount", A)
    leaves = Leaves(accounts=((RAW[A], 7), (RAW[B], 8)))
    scene.post({1: 7}, root=Trees(leaves).root)
    Accounts(scene.settlement).claim(A, *Trees(leaves).account(RAW[A]))
    scene.refuses("NothingToClaimByAccount", send, *claim, *Trees(leaves).account(RAW[A]), key=ANYONE)
    arguments = (scene.root_contract, "claimAccount", B, *Trees(leaves).account(RAW[B]))
    scene.refuses("ExceedsAttested", send, *arguments, key=ANYONE)
    leaves = Leaves(accounts=((RAW[A], 6), (RAW[B], 8)))
    scene.post({1: 14}, root=Trees(leaves).root)
    scene.refuses("NothingToClaimByAccount", send, *claim, *Trees(leaves).account(RAW[A]), key=ANYONE)


def test_an_account_of_nobody_is_not_paid(scene):
    nobody = bytes(20)
    scene.post({1: 7}, root=merkle.account_leaf(nobody, 7))
    arguments = (scene.root_contract, "claimAccount", "0x" + nobody.hex(), 7, [])
    scene.refuses("ERC20InvalidReceiver", scene.chain.send, *arguments, key=ANYONE)


def test_nobody_governs_a_site_of_ones_own(scene):
    for who in (ANYONE, OWNERS[0]):
        arguments = (scene.root_contract, "govern", 1, 0, 1, address_of(ANYONE))
        scene.refuses("NotGovernor", scene.chain.send, *arguments, key=who)

"""Bad input to contracts and settling, line by line: each is refused by a named error, and nobody is paid.

Where the contracts' other tests look closer they are named beside the line.
"""

import pytest

from gateway.chain.chain import ChainError, address_of
from gateway.oracle import merkle
from gateway.oracle.epoch import root_digest, sign_digest, signer_of
from gateway.oracle.quorum import Quorum, Settle
from gateway.oracle.statements import Root, Signature
from gateway.settlement import escrow
from gateway.settlement.tree import Leaves, Trees
from tests.contract_scene import (
    ANYONE,
    BINDING,
    DEADLINE,
    DEVICES,
    EVIDENCE,
    ORACLES,
    OWNERS,
    PAYER,
    STRANGER,
    A,
    B,
    copy_scene,
    flipped,
    make_scene,
    sign,
)

LEAVES = {1: 100, 2: 50}
# What is recovered from a foreign digest are two random addresses, in any order.
OTHER_DIGEST = ("NotOracle", "SignersNotAscending")
SELECTOR_TRANSFER_FROM, SELECTOR_REFUND = bytes.fromhex("23b872dd"), bytes.fromhex("278ecde1")


def wrong_chain_id(scene):
    scene.refuses(OTHER_DIGEST, scene.post, LEAVES, domain={"chainId": 1})
    scene.refuses("WrongSignature", scene.bind, 1, 0, domain={"chainId": 1})


def expired_signature(scene):
    scene.refuses("Expired", scene.bind, 1, 0, deadline=1_000)


def malleable_signature(scene):
    root = merkle.root(scene.hashes(LEAVES))
    good = scene.root_signatures((1, root, 150, EVIDENCE), ORACLES[:2])
    arguments = (1, root, 150, EVIDENCE, [good[0], flipped(good[1])])
    scene.refuses("ECDSAInvalidSignatureS", scene.chain.send, scene.root_contract, "post", *arguments, key=ANYONE)
    place = (scene.chain.chain_id, bytes.fromhex(scene.root_contract.address[2:]))
    digest = root_digest(Root(1, root, 150, EVIDENCE), *place)
    assert signer_of(digest, good[1]) and signer_of(digest, flipped(good[1])) is None


def malleable_signature_of_a_binding(scene):
    who, domain = address_of(DEVICES[0]), scene.domain(scene.devices)
    values = (1, who, A, b"board".ljust(32, b"\0"), scene.settlement.nonce(who), DEADLINE)
    good = [sign(signer, domain, "Binding", BINDING, values) for signer in (OWNERS[0], DEVICES[0])]
    for bad in ([flipped(good[0]), good[1]], [good[0], flipped(good[1])]):
        arguments = (1, who, values[3], DEADLINE, *bad)
        scene.refuses("WrongSignature", scene.chain.send, scene.devices, "bind", *arguments, key=ANYONE)
    assert scene.bound(1) == ()


def signatures_for_another_contract(scene):
    scene.refuses(OTHER_DIGEST, scene.post, LEAVES, domain={"verifyingContract": scene.devices.address})
    scene.refuses("WrongSignature", scene.bind, 1, 0, domain={"verifyingContract": scene.root_contract.address})


def k_minus_1_signatures(scene):
    scene.refuses("TooFewSignatures", scene.post, LEAVES, signers=ORACLES[:1])


def duplicate_or_unsorted_signers(scene):
    for signers in ([ORACLES[0]] * 2, ORACLES[1::-1]):
        scene.refuses("SignersNotAscending", scene.post, LEAVES, signers=signers)


def a_signer_who_is_no_oracle(scene):
    signers = sorted([ORACLES[0], STRANGER], key=lambda item: address_of(item).lower())
    scene.refuses("NotOracle", scene.post, LEAVES, signers=signers)


def a_root_that_shrinks_a_leaf(scene):
    scene.post(LEAVES)
    scene.claim(1)
    scene.refuses("TotalShrinks", scene.post, {1: 99, 2: 50})
    scene.post({1: 99, 2: 51})
    scene.refuses("NothingToClaim", scene.claim, 1)


def an_epoch_out_of_order(scene):
    for epoch in (2, 9):
        scene.refuses("WrongEpoch", scene.post, LEAVES, epoch=epoch)
    scene.post(LEAVES)
    scene.refuses("WrongEpoch", scene.post, LEAVES, epoch=1)


def a_proof_for_another_tree(scene):
    raw = bytes.fromhex(A[2:])
    leaves = Leaves(deeds=((1, 5), (2, 6)), accounts=((raw, 7), (bytes.fromhex(B[2:]), 8)))
    scene.post({1: 26}, root=Trees(leaves).root)
    wei, proof = Trees(leaves).account(raw)
    send = scene.chain.send
    scene.refuses("WrongProof", send, scene.root_contract, "claim", int(A, 16), wei, proof, key=ANYONE)
    arguments = ("0x" + (1).to_bytes(20, "big").hex(), *Trees(leaves).deed(1))
    scene.refuses("WrongAccountProof", send, scene.root_contract, "claimAccount", *arguments, key=ANYONE)


def a_proof_of_work_for_anything_else(scene):
    """Nor does the work of one escrow, job or deed pass for another's, nor units that were not delivered."""
    scene.post({1: 1_000})
    scene.claim(1)
    addresses = scene.settlement.contracts
    made, other = (escrow.deploy(scene.chain, PAYER, addresses.settlement, addresses.r1) for _ in range(2))
    for each in (made, other):
        for _ in range(2):
            each.open(bytes(range(32)), 1, 100, 9, [], OWNERS[0])
    raw = bytes.fromhex(made.address[2:])
    leaves = Leaves(deeds=((1, 1_000), (2, 0)), work=(((raw, 1, 1), 5), ((raw, 1, 2), 6)))
    trees = Trees(leaves)
    scene.post({1: 1_000}, root=trees.root)
    units, proof = trees.work(raw, 1, 2)
    for escrow_, arguments in (
        (other, (1, 2, units, proof)),
        (made, (2, 2, units, proof)),
        (made, (1, 1, units, proof)),
        (made, (1, 2, units + 1, proof)),
        (made, (1, 2, units, trees.work(raw, 1, 1)[1])),
        (made, (1, 1, *trees.deed(1))),
    ):
        scene.refuses("WrongWorkProof", scene.chain.send, escrow_.contract, "claim", *arguments, key=ANYONE)
    scene.refuses("WrongProof", scene.chain.send, scene.root_contract, "claim", 2, units, proof, key=ANYONE)
    assert made.claim(1, 2, units, proof, ANYONE).units == units
    scene.refuses("NoNewUnits", scene.chain.send, made.contract, "claim", 1, 2, units, proof, key=ANYONE)
    assert scene.chain.call(scene.r1, "balanceOf", other.address) == 200


def re_entrancy(scene):
    """A token that calls its caller's refund(1) when it is to be moved. More: contracts/test/Escrow.t.sol."""
    runtime = (
        bytes.fromhex("5f3560e01c63") + SELECTOR_TRANSFER_FROM + bytes.fromhex("14601257") + bytes.fromhex("60205ff3")
        + bytes.fromhex("5b63") + SELECTOR_REFUND + bytes.fromhex("60e01b5f526001600452")
        + bytes.fromhex("5f5f60245f5f335af1503d5f5f3e3d5ffd")
    )  # fmt: skip
    _refuses_a_deposit(scene, runtime, "ReentrancyGuardReentrantCall")


def a_token_that_returns_false(scene):
    """It answers each call with 0. More: contracts/test/Escrow.t.sol."""
    _refuses_a_deposit(scene, bytes.fromhex("60205ff3"), "SafeERC20FailedOperation")


def _refuses_a_deposit(scene, runtime, error):
    creation = bytes([0x60, len(runtime), 0x80, 0x60, 0x0A, 0x5F, 0x39, 0x5F, 0xF3, 0x00]) + runtime
    token = scene.raw(ANYONE, "0x" + creation.hex())["contractAddress"]
    made = escrow.deploy(scene.chain, PAYER, scene.root_contract.address, token)
    terms = (bytes(range(32)), False, 1, 10, 1, [])
    scene.refuses(error, scene.chain.send, made.contract, "open", *terms, key=OWNERS[0])
    assert made.count() == 0


def zero_devices(scene):
    scene.post({})
    assert scene.settlement.epoch() == 1 and scene.settlement.roots()[0].root == bytes(32)
    for deed in (1, 2):
        scene.refuses("WrongProof", scene.chain.send, scene.root_contract, "claim", deed, 0, [], key=ANYONE)
        scene.refuses("WrongProof", scene.chain.send, scene.root_contract, "claim", deed, 1, [], key=ANYONE)


def a_deed_moved_in_mid_epoch(scene):
    """At the close it has no device, so it earns nothing in this epoch; what it earned before goes with it."""
    scene.bind(1, 0)
    scene.post({1: 100})
    scene.transfer(1, OWNERS[0], OWNERS[1])
    assert scene.bound(1) == () and scene.settlement.bindings()[1].owner == bytes.fromhex(B[2:])
    scene.refuses("NotBound", scene.chain.send, scene.devices, "release", address_of(ANYONE), key=OWNERS[1])
    scene.refuses("WrongSignature", scene.bind, 1, 1, owner=OWNERS[0])
    scene.claim(1)
    assert (scene.settlement.balance(A), scene.settlement.balance(B)) == (0, 100)
    scene.refuses("NothingToClaim", scene.claim, 1)


def an_oracle_with_a_stale_table(scene):
    """It signs the leaves of the epoch before: its signature is over another root, and completes no quorum."""
    scene.post(LEAVES)
    place = (scene.chain.chain_id, bytes.fromhex(scene.root_contract.address[2:]))
    now = Root(2, merkle.root(scene.hashes({1: 200, 2: 50})), 250, EVIDENCE)
    stale = Root(2, merkle.root(scene.hashes(LEAVES)), 150, EVIDENCE)
    signers = [bytes.fromhex(address_of(item)[2:]) for item in ORACLES]
    quorum = Quorum(signers, 2, lambda root, signature: signer_of(root_digest(root, *place), signature))
    said = [
        quorum.receive(signer, Signature(root, sign_digest(root_digest(root, *place), item)))
        for signer, item, root in zip(signers, ORACLES, (now, stale, now), strict=True)
    ]
    assert said[:2] == ["", ""] and isinstance(said[2], Settle) and said[2].root == now
    assert [signer for signer, _ in said[2].signatures] == [signers[0], signers[2]]
    signed = [quorum.signatures[signer].signature for signer in signers[:2]]
    arguments = (now.epoch, now.root, now.total, now.evidence, signed)
    scene.refuses(OTHER_DIGEST, scene.chain.send, scene.root_contract, "post", *arguments, key=ANYONE)


LINES = [
    wrong_chain_id,
    expired_signature,
    malleable_signature,
    malleable_signature_of_a_binding,
    signatures_for_another_contract,
    k_minus_1_signatures,
    duplicate_or_unsorted_signers,
    a_signer_who_is_no_oracle,
    a_root_that_shrinks_a_leaf,
    an_epoch_out_of_order,
    a_proof_for_another_tree,
    a_proof_of_work_for_anything_else,
    re_entrancy,
    a_token_that_returns_false,
    zero_devices,
    a_deed_moved_in_mid_epoch,
    an_oracle_with_a_stale_table,
]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("bad") / "chain.sqlite"
    scene = make_scene(path)
    scene.chain.close()
    return scene, path


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.__name__)
def test_is_refused_by_name_and_nobody_is_paid(line, original, tmp_path):
    scene = copy_scene(*original, tmp_path / "chain.sqlite")
    line(scene)
    paid = scene.settlement.minted()
    assert paid == sum(scene.settlement.claimed(deed) for deed in (1, 2))
    if line is not a_proof_of_work_for_anything_else:  # what is deposited, paid for work and burned is A's
        assert paid == sum(scene.settlement.balance(owner) for owner in (A, B))
    scene.chain.close()


def test_a_refusal_is_seen_as_one(original, tmp_path):
    scene = copy_scene(*original, tmp_path / "chain.sqlite")
    with pytest.raises(BaseException, match="DID NOT RAISE"):
        scene.refuses("TooFewSignatures", scene.post, LEAVES)
    with pytest.raises(ChainError, match="WrongEpoch"):
        scene.post(LEAVES, epoch=7)
    scene.chain.close()

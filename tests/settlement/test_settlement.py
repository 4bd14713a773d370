"""A site's settlement on the embedded chain: whatever crashes, and whoever else acts, nothing is done twice."""

import pytest

from gateway.chain import jsonrpc
from gateway.chain.chain import Chain, ChainError, address_of, open_embedded
from gateway.oracle import merkle
from gateway.settlement import settlement as settlement_module
from gateway.settlement.settlement import Settlement, deploy
from tests.contract_scene import BINDING, DEVICES, EVIDENCE, ORACLES, OWNERS, PAYER, A, B, make_scene, sign


@pytest.fixture
def chain(tmp_path):
    made = open_embedded(tmp_path / "chain.sqlite", (address_of(PAYER),))
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    scene = make_scene(tmp_path_factory.mktemp("chain") / "chain.sqlite")
    yield scene
    scene.chain.close()


def raw(key):
    return bytes.fromhex(address_of(key)[2:])


class Crash(Exception):
    pass


def crashing(chain, after):
    """The same chain for a process that dies when its `after`-th transaction was sent and before it heard of it."""
    left = [after]

    def request(method, params):
        answer = chain.request(method, params)
        if method == "eth_sendRawTransaction":
            left[0] -= 1
            if left[0] == 0:
                raise Crash
        return answer

    return Chain(passing_errors(request))


def passing_errors(request):
    """A request function of a Chain on top of another Chain's."""

    def answer(method, params):
        try:
            return request(method, params)
        except ChainError as error:
            raise jsonrpc.RpcError(error.code, error.reason, error.data) from error

    return answer


def run_site(chain, known) -> Settlement:
    """What a site does from nothing to a claim; it may be begun anew at any time."""
    oracles = [address_of(oracle) for oracle in ORACLES]
    contracts = deploy(chain, PAYER, oracles, 2, dict(known), known.__setitem__)
    settlement = Settlement(chain, contracts, PAYER)
    settlement.mint_deed(1, A, 2)
    settlement.mint_deed(2, B, 1)
    domain = {"name": "tinyren Devices", "version": "1", "chainId": chain.chain_id}
    domain["verifyingContract"] = contracts.devices
    for deed, device, owner in ((1, DEVICES[0], OWNERS[0]), (2, DEVICES[1], OWNERS[1])):
        who = address_of(device)
        values = (deed, who, address_of(owner), b"board".ljust(32, b"\0"), settlement.nonce(who), 2**40)
        signatures = [sign(signer, domain, "Binding", BINDING, values) for signer in (owner, device)]
        settlement.bind(deed, who, "board", 2**40, *signatures)
    leaves = [merkle.leaf(1, 100), merkle.leaf(2, 50)]
    domain |= {"name": "tinyren Settlement", "verifyingContract": contracts.settlement}
    members = "uint256 epoch,bytes32 root,uint256 total,bytes32 evidence"
    values = (1, merkle.root(leaves), 150, EVIDENCE)
    signed = {address_of(oracle): sign(oracle, domain, "Root", members, values) for oracle in ORACLES[:2]}
    assert settlement.post_root(*values, signed).total_wei == 150
    settlement.claim(1, 100, merkle.proof(leaves, 0))
    settlement.claim(2, 50, merkle.proof(leaves, 1))
    return settlement


@pytest.mark.parametrize("after", range(1, 12))
def test_a_crash_after_any_transaction_never_does_a_thing_twice(chain, after):
    known = {}
    with pytest.raises(Crash):
        run_site(crashing(chain, after), known)
    settlement = run_site(chain, known)
    blocks = chain.block_number()
    assert run_site(chain, known).contracts == settlement.contracts
    assert chain.block_number() == blocks
    assert [(item.deed, item.owner, item.amount_wei) for item in settlement.claims()] == [(1, A, 100), (2, B, 50)]
    assert (settlement.balance(A), settlement.balance(B), settlement.minted()) == (100, 50, 150)
    assert [item.devices for item in settlement.bindings().values()] == [(raw(item),) for item in DEVICES[:2]]


def test_what_somebody_else_did_in_between_is_done(chain):
    known = {}
    with pytest.raises(Crash):
        run_site(crashing(chain, 9), known)
    first = Settlement(chain, deploy(chain, PAYER, [address_of(item) for item in ORACLES], 2, known, None), PAYER)
    proof = merkle.proof([merkle.leaf(1, 100), merkle.leaf(2, 50)], 1)

    def request(method, params):
        if method == "eth_estimateGas":
            first.claim(2, 50, proof)
        return chain.request(method, params)

    assert Settlement(Chain(passing_errors(request)), first.contracts, PAYER).claim(2, 50, proof) is None
    assert first.balance(B) == 50


@pytest.mark.parametrize("page", [1, 2, 3])
def test_bindings_are_read_page_by_page(shared, monkeypatch, page):
    whole = shared.settlement.bindings()
    monkeypatch.setattr(settlement_module, "PAGE", page)
    assert shared.settlement.bindings() == whole and list(whole) == sorted(whole)


def test_bindings_are_those_of_the_asked_block(shared):
    before = shared.chain.block_number()
    shared.bind(1, 0)
    shared.transfer(1, OWNERS[0], OWNERS[1])
    now = shared.settlement.bindings()
    assert shared.settlement.bindings(before)[1].devices == ()
    assert shared.settlement.bindings(before + 1)[1].devices == (raw(DEVICES[0]),)
    assert (now[1].owner, now[1].devices) == (raw(OWNERS[1]), ())


def test_a_site_of_before_gets_an_escrow_and_another_settlements_is_refused(shared, chain):
    made, oracles = shared.settlement.contracts, [address_of(oracle) for oracle in ORACLES]
    known = {name: address for name, address in vars(made).items() if name != "escrow"}
    later = deploy(shared.chain, PAYER, oracles, 2, known, known.__setitem__)
    assert shared.chain.has_code(later.escrow) and later.escrow == known["escrow"] != made.escrow
    before = shared.chain.block_number()
    assert deploy(shared.chain, PAYER, oracles, 2, known, known.__setitem__) == later
    others = {"escrow": later.escrow}
    with pytest.raises(ChainError, match="is settled by"):
        deploy(shared.chain, PAYER, oracles, 2, others, others.__setitem__)
    assert shared.chain.block_number() == before + 3  # deeds, devices and settlement of its own, no escrow


def test_contracts_of_other_oracles_or_of_another_chain_are_refused(shared, chain):
    known = {name: getattr(shared.settlement.contracts, name) for name in ("deeds", "devices", "settlement", "r1")}
    oracles = [address_of(oracle) for oracle in ORACLES]
    table = (
        (shared.chain, oracles, 3, "threshold 2, wanted 3"),
        (shared.chain, [*oracles[:2], A], 2, "is not among its oracles"),
        (chain, oracles, 2, "no contract at"),
    )
    for where, named, threshold, message in table:
        before = where.block_number()
        with pytest.raises(ChainError, match=message):
            deploy(where, PAYER, named, threshold, known, known.__setitem__)
        assert where.block_number() == before


def test_a_root_posted_with_other_values_is_not_taken_for_ours(shared):
    shared.post({1: 5})
    before = shared.chain.block_number()
    with pytest.raises(ChainError, match="epoch 1: root 0x.* was posted, wanted 0x01"):
        shared.settlement.post_root(1, b"\1" * 32, 5, EVIDENCE, {})
    assert shared.chain.block_number() == before

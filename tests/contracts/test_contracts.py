"""The contracts on the embedded chain: each check of contract_checks.py, long random histories, gas as committed."""

import json
import random

import pytest

from contracts import NAMES, artifact, gas
from gateway.chain import abi
from gateway.chain.chain import ChainError, address_of
from gateway.settlement.settlement import deploy
from tests.contract_checks import CHECKS, R1_CAP_WEI, D
from tests.contract_scene import ANYONE, DEVICES, ORACLES, OWNERS, PAYER, copy_scene, make_scene


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "chain.sqlite"
    scene = make_scene(path)
    scene.chain.close()
    return scene, path


@pytest.fixture
def scene(original, tmp_path):
    made = copy_scene(*original, tmp_path / "chain.sqlite")
    yield made
    made.chain.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_that(check, scene):
    check(scene)


@pytest.mark.parametrize("threshold, oracles", [(0, 3), (4, 3), (1, 0), (2, "twice")])
def test_a_settlement_without_a_possible_quorum_is_not_deployed(scene, threshold, oracles):
    named = [ORACLES[0]] * 2 if oracles == "twice" else ORACLES[:oracles]
    known = {"deeds": scene.deeds.address, "devices": scene.devices.address}
    block = scene.chain.block_number()
    with pytest.raises(ChainError, match="WrongOracles"):
        deploy(scene.chain, PAYER, [address_of(item) for item in named], threshold, known, known.__setitem__)
    assert "settlement" not in known and scene.chain.block_number() == block


def test_a_binding_that_reverts_in_a_block_changes_nothing_and_uses_no_nonce(scene):
    before = scene.state()
    data = abi.encode_call("Devices", "bind", (1, D[0], bytes(32), 2**40, bytes(65), bytes(65)))
    receipt = scene.raw(ANYONE, "0x" + data.hex(), to=scene.devices.address)
    assert receipt["status"] == "0x0" and scene.state() == before


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_what_is_minted_is_what_was_paid_and_never_more_than_attested(scene, seed):
    chance = random.Random(seed)
    earned, paid, owner = {1: 0, 2: 0}, {1: 0, 2: 0}, {1: 0, 2: 1}
    received = [0, 0]
    for _ in range(30):
        deed = chance.choice((1, 2))
        action = chance.choice(("post", "claim", "claim", "transfer", "bind", "again"))
        if action == "post":
            earned = {number: amount + chance.choice((0, 1, 255, 10**18)) for number, amount in earned.items()}
            scene.post(earned, signers=sorted(chance.sample(ORACLES, 2), key=lambda item: address_of(item).lower()))
        elif action == "claim" and scene.leaves.get(deed, 0) > paid[deed]:
            scene.claim(deed)
            received[owner[deed]] += scene.leaves[deed] - paid[deed]
            paid[deed] = scene.leaves[deed]
        elif action == "transfer":
            scene.transfer(deed, OWNERS[owner[deed]], OWNERS[1 - owner[deed]])
            owner[deed] = 1 - owner[deed]
            assert scene.bound(deed) == ()
        elif action == "bind":
            attempt(scene.bind, deed, chance.randrange(len(DEVICES)), owner=OWNERS[owner[deed]])
        elif scene.leaves:
            amount = chance.choice((paid[deed], paid[deed] + 1, 10**19))
            attempt(scene.claim, deed, amount, proof_of=chance.choice((1, 2)))
        held = [scene.settlement.balance(address_of(item)) for item in OWNERS]
        attested = scene.chain.call(scene.root_contract, "total")
        assert held == received
        assert scene.settlement.minted() == sum(paid.values()) <= attested <= R1_CAP_WEI
        assert {number: scene.settlement.claimed(number) for number in paid} == paid
        deeds = scene.settlement.bindings().values()
        bound = [device for item in deeds for device in item.devices]
        assert len(bound) == len(set(bound))
        assert all(len(item.devices) <= item.slots for item in deeds)


def attempt(action, *arguments, **named):
    """Try what may be refused."""
    try:
        action(*arguments, **named)
    except ChainError as error:
        assert error.name in {"SlotsTaken", "AlreadyBound", "WrongProof", "NothingToClaim"}, error


def test_each_contract_fits_the_limit_of_ethereum():
    for name in NAMES:
        # What creates the Council carries its timelock too; that what it leaves fits, a chain says in test_escrow.py.
        assert len(artifact(name).bytecode) < (49_152 if name == "Council" else 24_576), name


def test_gas_is_as_committed(tmp_path):
    assert gas.measure(tmp_path) == json.loads(gas.SNAPSHOT.read_text()), "python -m contracts.gas --write"

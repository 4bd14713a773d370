"""Binding the site's devices on a real chain: who is bound, who is not, and what a second start does."""

from types import SimpleNamespace

import pytest
from coincurve import PrivateKey
from eth_utils.address import to_checksum_address

from device.agent import eip712, wire
from gateway import curve
from gateway.chain import chain as chains
from gateway.intake.dauth import DAuth
from gateway.intake.registry import Device
from gateway.oracle.epoch import sign_digest
from gateway.settlement import settlement

PAYER, *OWNERS = (PrivateKey.from_int(number) for number in (1, 2, 3))
KEYS = [PrivateKey.from_int(number) for number in (11, 12, 13)]
MODEL = bytes.fromhex("01551220") + bytes(32)


def address(key):
    return curve.address_of(key.secret)


def name(key):
    return chains.address_of(key)


class Scene:
    """dAuth on an embedded chain, and devices that answer what they are asked."""

    def __init__(self, folder):
        self.chain = chains.open_embedded(folder / "chain.sqlite", (name(PAYER),))
        oracles = [name(key) for key in KEYS]
        made = settlement.deploy(self.chain, PAYER, oracles, 2, {}, lambda *_: None)
        self.contracts = settlement.Settlement(self.chain, made, PAYER)
        self.devices, self.said = {}, []
        self.start()

    def start(self):
        self.published = []
        say, publish = self.said.append, lambda *message: self.published.append(message)
        self.dauth = DAuth(self.contracts, self.devices, OWNERS, publish, say)
        self.dauth.mint_deeds(3)

    def announce(self, key, boot=1):
        fields = (address(key), key.public_key.format(), "board", "core", "0.1", MODEL, "source", boot)
        self.devices[address(key)] = Device(*fields)

    def asked(self, key):
        """The last bind message to a device."""
        return next(wire.decode_bind(text) for topic, text in reversed(self.published) if address(key).hex() in topic)

    def answer(self, key, signer=None, **changed):
        """What a device does: sign the fields of the bind message with its own id in them."""
        names = ("chain_id", "contract", "deed", "owner", "board", "nonce", "deadline")
        bind = SimpleNamespace(**(dict(zip(names, self.asked(key), strict=True)) | changed))
        digest = eip712.binding_digest(
            curve.keccak, bind.chain_id, bind.contract, bind.deed, address(key), bind.owner, bind.board, bind.nonce,
            bind.deadline,
        )  # fmt: skip
        self.dauth.answer(address(key), bind.nonce, sign_digest(digest, signer or key))

    def bound(self):
        deeds = self.contracts.bindings().items()
        return {number: tuple(map(to_checksum_address, deed.devices)) for number, deed in deeds}


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path)
    yield made
    made.chain.close()


def test_three_boards_are_bound_to_the_deeds_of_the_issue(scene):
    boards = [address(key) for key in KEYS]
    assert scene.dauth.turn(boards) == (0, 0) and scene.published == []
    for key in KEYS:
        scene.announce(key)
    assert scene.dauth.turn(boards) == (3, 3)
    for key in KEYS:
        scene.answer(key)
    assert scene.dauth.turn(boards) == (3, 0)
    assert scene.bound() == {1: (name(KEYS[0]), name(KEYS[1])), 2: (name(KEYS[2]),)}
    owners = [deed.owner for deed in scene.dauth.deeds.values()]
    assert owners == [address(owner) for owner in OWNERS] and len(scene.said) == 3


def test_a_stranger_that_announces_itself_is_asked_nothing_and_cannot_bind_itself(scene):
    scene.announce(KEYS[2])
    assert scene.dauth.turn([address(KEYS[0]), None]) == (0, 0)
    scene.dauth.answer(address(KEYS[2]), 0, bytes(65))
    assert scene.dauth.turn([address(KEYS[0]), None]) == (0, 0)
    assert scene.published == [] and scene.bound() == {1: (), 2: ()}


@pytest.mark.parametrize(
    "wrong",
    [{"signer": KEYS[1]}, {"deed": 2}, {"chain_id": 1}, {"deadline": 1 << 40}, {"owner": bytes(20)}],
    ids=["other key", "other deed", "other chain", "other deadline", "other owner"],
)
def test_a_wrong_signature_binds_nothing_and_the_device_is_asked_again(scene, wrong):
    scene.announce(KEYS[0])
    scene.dauth.turn([address(KEYS[0])])
    scene.answer(KEYS[0], **wrong)
    assert scene.dauth.turn([address(KEYS[0])]) == (1, 1)
    assert scene.bound() == {1: (), 2: ()} and "is not bound" in scene.said[-1]
    scene.answer(KEYS[0])
    assert scene.dauth.turn([address(KEYS[0])]) == (1, 0)
    assert scene.bound() == {1: (name(KEYS[0]),), 2: ()}


@pytest.mark.parametrize("signature", [bytes(65), b"\xff" * 65, b""], ids=["zeros", "ones", "empty"])
def test_foreign_bytes_for_a_signature_bind_nothing(scene, signature):
    scene.announce(KEYS[0])
    scene.dauth.turn([address(KEYS[0])])
    scene.dauth.answer(address(KEYS[0]), 0, signature)
    assert scene.dauth.turn([address(KEYS[0])]) == (1, 1) and scene.bound() == {1: (), 2: ()}


def test_a_second_start_mints_and_binds_nothing_again_and_waits_for_a_new_boot(scene):
    scene.announce(KEYS[0])
    scene.dauth.turn([address(KEYS[0])])
    scene.answer(KEYS[0])
    scene.dauth.turn([address(KEYS[0])])
    before = scene.bound(), scene.chain.block_number()
    scene.start()
    assert scene.dauth.turn([address(KEYS[0])]) == (0, 0)
    scene.announce(KEYS[0], boot=2)
    assert scene.dauth.turn([address(KEYS[0])]) == (1, 0)
    assert (scene.bound(), scene.chain.block_number()) == before and scene.published == []


def test_a_device_that_was_released_is_not_taken_back_by_the_site_in_this_run_nor_in_the_next(scene):
    board = [address(KEYS[0])]
    scene.announce(KEYS[0])
    scene.dauth.turn(board)
    scene.answer(KEYS[0])
    assert scene.dauth.turn(board) == (1, 0) and scene.bound()[1] == (name(KEYS[0]),)
    scene.chain.pay(name(OWNERS[0]), 10**16, PAYER)
    owner = settlement.Settlement(scene.chain, scene.contracts.contracts, OWNERS[0])
    assert owner.release(name(KEYS[0])) and owner.release(name(KEYS[0])) is None
    for boot in (2, 3):
        scene.start()
        scene.announce(KEYS[0], boot)
        assert scene.dauth.here(board) == board
        assert scene.dauth.turn(board) == (1, 0) and scene.published == []
    assert scene.bound() == {1: (), 2: ()}

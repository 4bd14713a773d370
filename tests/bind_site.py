"""What the tests of binding by label stand on: a chain, labels, the service, a device whose link is a function call."""

from coincurve import PrivateKey
from eth_utils.address import to_checksum_address

from device.agent import eip712, wire
from gateway import curve
from gateway.binding.pending import read_typed_data
from gateway.binding.service import BindingService
from gateway.chain import chain as chains
from gateway.intake.registry import Device
from gateway.labels import payload
from gateway.labels.codes import Codes, new_code
from gateway.labels.payload import Label
from gateway.oracle.epoch import sign_digest
from gateway.settlement import settlement

PAYER, OWNER, OTHER, DEVICE, SECOND, *ORACLES = (PrivateKey.from_int(number) for number in range(1, 9))
BOARD = "cpython"


def address(key):
    return curve.address_of(key.secret)


def name(key):
    return chains.address_of(key)


class Place:
    """Deed 1 of one slot is OWNER's, deed 2 of two is OTHER's; DEVICE has a label and answers bind messages.

    Attributes:
        signer: the key that the device answers with, None: it is silent. now_s: both clocks; each look takes a second.
        others: topics of what it was sent besides bind messages.
    """

    def __init__(self, folder):
        self.chain = chains.open_embedded(folder / "chain.sqlite", (name(PAYER), name(OWNER)))
        made = settlement.deploy(self.chain, PAYER, [name(key) for key in ORACLES], 2, {}, lambda *_: None)
        self.contracts = settlement.Settlement(self.chain, made, PAYER)
        self.contracts.mint_deed(1, name(OWNER), 1)
        self.contracts.mint_deed(2, name(OTHER), 2)
        self.codes, self.devices, self.said, self.asked = Codes(folder), {}, [], []
        self.signer, self.now_s, self.changes = DEVICE, 2_000_000_000.0, 0
        self.label = self.labelled(DEVICE)
        self.announce(DEVICE)
        self.others = []
        self.restart()

    def restart(self):
        arguments = (self.codes, self.contracts, self.devices, self._publish, self.said.append, self._changed)
        self.service = BindingService(*arguments, clock_s=self._look, wall_s=lambda: self.now_s)

    def close(self):
        self.codes.close()
        self.chain.close()

    def labelled(self, key):
        label = Label(address(key), payload.board_digest(BOARD), new_code())
        self.codes.keep(label.device, BOARD, label.code)
        return label

    def announce(self, key, board=BOARD):
        fields = (address(key), key.public_key.format(), board, "core", "0.1", bytes(36), "source", 1)
        self.devices[address(key)] = Device(*fields)

    def find(self, text=None):
        return self.service.find(text or payload.encode(self.label))["token"]

    def signature(self, token, deed=1, key=OWNER):
        return sign_digest(read_typed_data(self.service.ask(token, deed)).digest(), key)

    def bind(self, deed=1, key=OWNER):
        token = self.find()
        return self.service.sign(token, self.signature(token, deed, key))

    def state(self):
        """What a refusal must leave as it is: bindings, blocks, hashes of codes."""
        kept = [self.codes.find(device) for device in self.codes.devices()]
        return self.contracts.bindings(), self.chain.block_number(), kept

    def _look(self):
        self.now_s += 1
        return self.now_s

    def _changed(self):
        self.changes += 1

    def _publish(self, topic, frame):
        """The device's link and agent: it signs what the fields of the bind message and its own id make."""
        if not topic.endswith("/bind"):
            self.others.append(topic)
            return
        chain_id, contract, deed, owner, board, nonce, deadline = wire.decode_bind(frame)
        device = bytes.fromhex(topic.split("/")[1])
        self.asked.append((device, deed, to_checksum_address(owner)))
        if self.signer:
            digest = eip712.binding_digest(
                curve.keccak, chain_id, contract, deed, device, owner, board, nonce, deadline
            )
            self.service.answer(device, nonce, sign_digest(digest, self.signer))

"""The contracts on an embedded chain, with keys for everyone: what the contract tests play on.

Signatures are eth_account's, not our code's, so that the contracts are checked against a second reading of EIP-712.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address

from gateway.chain.chain import Chain, ChainError, Contract, address_of, open_embedded
from gateway.oracle import merkle
from gateway.settlement.settlement import NOBODY, Settlement, deploy

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
DEADLINE = 2**40
EVIDENCE = bytes(range(32))
WIDE_CAP_WEI = 2**127
BINDING = "uint256 deed,address device,address owner,bytes32 board,uint256 nonce,uint256 deadline"
ROOT = "uint256 epoch,bytes32 root,uint256 total,bytes32 evidence"


def key(name: str) -> PrivateKey:
    """The same key for the same name."""
    return PrivateKey(merkle.keccak(name.encode()))


PAYER, ANYONE = key("payer"), key("anyone")
OWNERS = [key("owner 1"), key("owner 2")]
DEVICES = [key(f"device {i}") for i in range(4)]
ORACLES = sorted((key(f"oracle {i}") for i in range(3)), key=lambda item: address_of(item).lower())
STRANGER = key("stranger")
A, B = map(address_of, OWNERS)


def sign(signer: PrivateKey, domain: dict, name: str, members: str, values: tuple) -> bytes:
    """65 bytes: an EIP-712 signature of struct `name`."""
    types = [dict(zip(("type", "name"), member.split(), strict=True)) for member in members.split(",")]
    message = {item["name"]: value for item, value in zip(types, values, strict=True)}
    return bytes(Account.sign_message(encode_typed_data(domain, {name: types}, message), signer.secret).signature)


def flipped(signature):
    """The other signature of the same key over the same digest, with s in the upper half."""
    s = int.from_bytes(signature[32:64], "big")
    return signature[:32] + (ORDER - s).to_bytes(32, "big") + bytes([55 - signature[64]])


@dataclass
class Scene:
    """Deed 1 (2 slots) is A's, deed 2 (1 slot) is B's; 2 of 3 oracles; nothing is bound or posted."""

    chain: Chain
    settlement: Settlement
    leaves: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        addresses = self.settlement.contracts
        self.r1 = Contract("R1", addresses.r1)
        self.deeds = Contract("NodeDeed", addresses.deeds)
        self.devices = Contract("Devices", addresses.devices)
        self.root_contract = Contract("Settlement", addresses.settlement)

    def domain(self, contract: Contract, **changed) -> dict:
        found = {"name": f"tinyren {contract.name}", "version": "1", "chainId": self.chain.chain_id}
        return {**found, "verifyingContract": contract.address, **changed}

    def bind(self, deed=1, device=0, owner=OWNERS[0], signers=None, signed=None, domain=None, **changed):
        """Bring a binding of DEVICES[device] to owner's deed.

        `signers` (owner's, device's) sign instead of them; `signed`: what the device's signature says otherwise.
        """
        who = address_of(DEVICES[device])
        told = {"deed": deed, "device": who, "owner": address_of(owner), "board": b"board".ljust(32, b"\0")}
        told |= {"nonce": self.settlement.nonce(who), "deadline": DEADLINE, **changed}
        domain = self.domain(self.devices, **(domain or {}))
        signers = signers or (owner, DEVICES[device])
        by_owner = sign(signers[0], domain, "Binding", BINDING, tuple(told.values()))
        by_device = sign(signers[1], domain, "Binding", BINDING, tuple({**told, **(signed or {})}.values()))
        arguments = (deed, who, told["board"], told["deadline"], by_owner, by_device)
        self.chain.send(self.devices, "bind", *arguments, key=ANYONE)

    def transfer(self, deed, giver, taker):
        self.chain.send(self.deeds, "transferFrom", address_of(giver), address_of(taker), deed, key=giver)

    def bound(self, deed) -> tuple[str, ...]:
        return tuple(map(to_checksum_address, self.settlement.bindings()[deed].devices))

    def root_signatures(self, values, signers, **changed):
        domain = self.domain(self.root_contract, **changed)
        return [sign(signer, domain, "Root", ROOT, values) for signer in signers]

    def post(self, leaves=None, epoch=None, total=None, signers=ORACLES[:2], signed=None, domain=None, root=None):
        """Post the root of `leaves` {deed: cumulative}; `signed`: what signatures say otherwise than what is sent."""
        leaves = self.leaves if leaves is None else leaves
        root = merkle.root(self.hashes(leaves)) if root is None else root
        sent = {"epoch": epoch or self.settlement.epoch() + 1, "root": root}
        sent |= {"total": sum(leaves.values()) if total is None else total, "evidence": EVIDENCE}
        signatures = self.root_signatures(tuple({**sent, **(signed or {})}.values()), signers, **(domain or {}))
        self.chain.send(self.root_contract, "post", *sent.values(), signatures, key=ANYONE)
        self.leaves = dict(leaves)

    def hashes(self, leaves):
        return [merkle.leaf(deed, leaves[deed]) for deed in sorted(leaves)]

    def claim(self, deed, amount=None, proof_of=None):
        """Claim deed's leaf, or another amount, or with another deed's proof."""
        index = sorted(self.leaves).index(proof_of or deed)
        amount = self.leaves.get(deed, 0) if amount is None else amount
        proof = merkle.proof(self.hashes(self.leaves), index)
        self.chain.send(self.root_contract, "claim", deed, amount, proof, key=ANYONE)

    def state(self):
        """All that the contracts remember."""
        deeds = self.settlement.bindings()
        names = ("epoch", "root", "total")
        return (
            deeds,
            [self.settlement.nonce(address_of(device)) for device in DEVICES],
            [self.chain.call(self.root_contract, name) for name in names],
            [self.settlement.claimed(deed) for deed in deeds],
            [self.settlement.balance(owner) for owner in (A, B, address_of(ANYONE))],
            self.settlement.minted(),
        )

    def wallet(self, agrees) -> str:
        """A contract that answers each call with ERC-1271's word for a good signature, or with another."""
        word = "1626ba7e" if agrees else "ffffffff"
        runtime = bytes.fromhex(f"63{word}60e01b5f5260205ff3")
        creation = bytes([0x60, len(runtime), 0x80, 0x60, 0x0A, 0x5F, 0x39, 0x5F, 0xF3, 0x00]) + runtime
        return self.raw(ANYONE, "0x" + creation.hex())["contractAddress"]

    def raw(self, signer, data, to=None, gas=1_000_000) -> dict:
        """The receipt of a transaction sent without asking first whether it will do."""
        sender = address_of(signer)
        nonce = int(self.chain.request("eth_getTransactionCount", [sender, "latest"]), 16)
        fields = {"data": data, "gas": gas, "nonce": nonce, "chainId": self.chain.chain_id, "gasPrice": 10**10}
        fields |= {"value": 0, **({"to": to} if to else {})}
        signed = Account.from_key(signer.secret).sign_transaction(fields)
        tx = self.chain.request("eth_sendRawTransaction", ["0x" + bytes(signed.raw_transaction).hex()])
        return self.chain.request("eth_getTransactionReceipt", [tx])

    def refuses(self, error, action, *arguments, **named):
        """`action` fails with the contract's `error` (or one of several) and changes nothing."""
        before = self.state()
        with pytest.raises(ChainError) as caught:
            action(*arguments, **named)
        assert caught.value.name in ([error] if isinstance(error, str) else error), str(caught.value)
        assert self.state() == before


def make_scene(path: Path, epoch_cap_wei: int = WIDE_CAP_WEI, governor: str = NOBODY) -> Scene:
    """A new scene on a new chain in `path`."""
    funded = tuple(address_of(item) for item in (PAYER, ANYONE, *OWNERS, STRANGER))
    chain = open_embedded(path, funded)
    oracles = [address_of(item) for item in ORACLES]
    contracts = deploy(chain, PAYER, oracles, 2, {}, lambda name, address: None, epoch_cap_wei, governor=governor)
    scene = Scene(chain, Settlement(chain, contracts, PAYER))
    scene.settlement.mint_deed(1, A, 2)
    scene.settlement.mint_deed(2, B, 1)
    return scene


def copy_scene(scene: Scene, original: Path, path: Path) -> Scene:
    """The closed `scene` of file `original`, on a copy."""
    shutil.copy(original, path)
    chain = open_embedded(path)
    return Scene(chain, Settlement(chain, scene.settlement.contracts, PAYER))


def with_epoch_cap(scene: Scene, cap_wei: int) -> Scene:
    """The same deeds with another settlement contract."""
    known = {"deeds": scene.deeds.address, "devices": scene.devices.address}
    oracles = [address_of(item) for item in ORACLES]
    contracts = deploy(scene.chain, PAYER, oracles, 2, known, lambda name, address: None, cap_wei)
    return Scene(scene.chain, Settlement(scene.chain, contracts, PAYER))

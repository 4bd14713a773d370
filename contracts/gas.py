"""`python -m contracts.gas [--write]`: gas of each contract call on the embedded chain, beside contracts/gas.json, and
of a claim of Ratio1's shape in the same run (contracts/src/comparison).

Keys and values are fixed: the figures are the same on every machine. A claim's gas grows with the depth of the tree; a
million leaves are 20 deep, and the tree of the other kind of leaves is one sibling more.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from coincurve import PrivateKey

from device.agent.eip712 import binding_digest
from gateway.chain.chain import Chain, Contract, Receipt, address_of, open_embedded
from gateway.curve import keccak
from gateway.oracle import merkle
from gateway.oracle.epoch import root_digest, sign_digest
from gateway.oracle.statements import Root
from gateway.settlement import accounts, council, escrow
from gateway.settlement.settlement import EPOCH_CAP_WEI, NOBODY, Settlement, deploy
from gateway.settlement.tree import Leaves, add_epoch

SNAPSHOT = Path(__file__).parent / "gas.json"
DEADLINE = 2**40
PAYER, OWNER, DEVICE, *ORACLES = (PrivateKey(hashlib.sha256(bytes([i])).digest()) for i in range(8))
MILLION = 20
EPOCHS = (1, 30, 365)
DEVICES, OWNERS, EVERY = 1_000, 10, 30


def main(arguments: list[str]) -> int:
    """Print a table; with --write, replace the snapshot."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    committed = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    for name, gas in found.items():
        was = committed.get(name)
        print(f"{name:<46} {gas:>9,}" + ("" if gas == was else f"  (committed: {was})"))
    if arguments == ["--write"]:
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def measure(folder: Path) -> dict[str, int]:
    """Gas by name of call, on a new chain in `folder`."""
    chain = open_embedded(folder / "gas.sqlite", (address_of(PAYER), address_of(OWNER)))
    try:
        return _measure(chain)
    finally:
        chain.close()


def _measure(chain: Chain) -> dict[str, int]:
    found: dict[str, int] = {}
    oracles = sorted(ORACLES, key=lambda key: address_of(key).lower())
    settlement = _site(chain, oracles[:3], 2, found)
    contract = Contract("Settlement", settlement.contracts.settlement)
    for deed in (1, 2):
        minted = settlement.mint_deed(deed, address_of(OWNER), 4)
        found["mint the first deed" if deed == 1 else "mint a deed"] = minted.gas if minted else 0
    found["bind a device"] = _bind(settlement)
    for leaves, claim in ((1, "1 leaf, its first"), (1000, "1,000 leaves"), (1000, "1,000 leaves, once more")):
        cumulative = (settlement.epoch() + 1) * 10**18
        hashes = [merkle.leaf(deed, cumulative) for deed in range(1, leaves + 1)]
        posted = _post(settlement, oracles[:2], merkle.root(hashes), leaves * cumulative)
        found["post the first root, 2 of 3" if leaves == 1 else "post a root, 2 of 3"] = posted
        proof = merkle.proof(hashes, 0)
        found[f"claim of {claim}"] = chain.send(contract, "claim", 1, cumulative, proof, key=PAYER).gas
    found |= _network(chain, oracles)
    found |= _council(settlement)
    found |= _ratio1(chain, oracles)
    ours = found["post a root, 3 of 5"] * EVERY + OWNERS * found["claim of an account for 100 deeds, 1,000,000 leaves"]
    theirs = found[f"Ratio1's shape: claim of a node, {EVERY} epochs"]
    name = f"a device and epoch: {DEVICES:,} of {OWNERS} owners who claim each {EVERY}"
    found[name] = -(-ours // (DEVICES * EVERY))
    found["  in Ratio1's shape"] = -(-theirs // EVERY)
    return found


def _site(chain: Chain, oracles: list[PrivateKey], threshold: int, found: dict[str, int]) -> Settlement:
    deeds, receipt = chain.deploy("NodeDeed", address_of(PAYER), key=PAYER)
    found["deploy NodeDeed"] = receipt.gas
    devices, receipt = chain.deploy("Devices", deeds.address, 0, key=PAYER)
    found["deploy Devices"] = receipt.gas
    named = [address_of(key) for key in oracles]
    arguments = (deeds.address, named, threshold, EPOCH_CAP_WEI, 0, NOBODY, NOBODY)
    contract, receipt = chain.deploy("Settlement", *arguments, key=PAYER)
    found["deploy Settlement and R1"] = receipt.gas
    known = {"deeds": deeds.address, "devices": devices.address, "settlement": contract.address}
    return Settlement(chain, deploy(chain, PAYER, named, threshold, known, lambda name, address: None), PAYER)


def _network(chain: Chain, oracles: list[PrivateKey]) -> dict[str, int]:
    """Five oracles of whom three sign, a million leaves, accounts, many deeds of one owner, and an escrow."""
    found: dict[str, int] = {}
    settlement = _site(chain, oracles, 3, {})
    for deed in range(1, 11):
        settlement.mint_deed(deed, address_of(OWNER), 4)
    receipt = accounts.Accounts(settlement).choose(True, PAYER)
    found["choose an account"] = receipt.gas
    raw, contract = bytes.fromhex(address_of(OWNER)[2:]), Contract("Settlement", settlement.contracts.settlement)
    earned = Leaves()
    for deeds in (1, 2, 1, 100, 10_000):  # the first two make places that later ones find
        rewards = dict.fromkeys(range(1, deeds + 1), 10**12)
        earned = add_epoch(earned, rewards, dict.fromkeys(rewards, raw), {raw})
        proof, root = _far(merkle.account_leaf(*earned.accounts[0]), MILLION + 1)
        found["post a root, 3 of 5"] = _post(settlement, oracles[:3], root, earned.total_wei)
        receipt = chain.send(contract, "claimAccount", address_of(OWNER), earned.total_wei, proof, key=PAYER)
        found[f"claim of an account for {deeds:,} deeds, 1,000,000 leaves"] = receipt.gas
    del found["claim of an account for 2 deeds, 1,000,000 leaves"]
    leaves = [(deed, 10**18) for deed in range(1, 11)]
    tree = merkle.Tree([merkle.leaf(*leaf) for leaf in leaves])
    proof, root = _far(tree.root, MILLION - 3)
    _post(settlement, oracles[:3], root, 20 * 10**18)
    siblings, flags = tree.multiproof(range(10))
    many = (leaves, siblings + proof, flags + [False] * len(proof))
    found["claim of 10 deeds at once, 1,000,000 leaves"] = chain.send(contract, "claimMany", *many, key=PAYER).gas
    return found | _escrow(settlement, oracles[:3])


def _council(settlement: Settlement) -> dict[str, int]:
    chain, rules = settlement.chain, council.Rules()
    votes, first = chain.deploy("Votes", settlement.contracts.r1, key=PAYER)
    quorum = (rules.quorum_percent, rules.least_quorum_wei)
    values = (rules.wait_blocks, rules.period_blocks, rules.least_votes_wei, *quorum, rules.lock_s)
    _, second = chain.deploy("Council", votes.address, *values, key=PAYER)
    return {"deploy Votes": first.gas, "deploy Council": second.gas}


def _ratio1(chain: Chain, oracles: list[PrivateKey]) -> dict[str, int]:
    """A node's claims with signatures of three oracles of five, its first claim left out."""
    contract, _ = chain.deploy("Ratio1Claim", [address_of(key) for key in oracles], 3, key=PAYER)
    node, found = address_of(DEVICE), dict[str, int]()
    chain.send(contract, "link", 1, node, key=PAYER)
    raw, first = bytes.fromhex(node[2:]), 1
    for count in (1, *EPOCHS):
        epochs = list(range(first, first + count))
        words = b"".join(number.to_bytes(32, "big") for number in epochs) + (255).to_bytes(32, "big") * count
        digest = keccak(b"\x19Ethereum Signed Message:\n32" + keccak(raw + words))
        signatures = [sign_digest(digest, key) for key in oracles[:3]]
        claim = ((1, node, epochs, [255] * count), signatures)
        gas = chain.send(contract, "claimRewards", *claim, key=PAYER).gas
        found[f"Ratio1's shape: claim of a node, {count:,} epochs"] = gas
        first += count
    return found


def _escrow(settlement: Settlement, oracles: list[PrivateKey]) -> dict[str, int]:
    """A job of its R1's owner; only what is sent to the escrow itself."""
    chain, (made, receipt) = settlement.chain, _deploy_escrow(settlement)
    found = {"deploy Escrow": receipt.gas}
    before = chain.block_number()
    job = made.open(bytes(range(32)), 10**15, 10**18, 9, [], OWNER)
    found["open a job"] = _gas_of(chain, before + 2)
    raw = bytes.fromhex(made.address[2:])
    _post(settlement, oracles, bytes(32), 20 * 10**18)
    for units in (10, 20):
        proof, root = _far(merkle.work_leaf(raw, job, 1, units), MILLION + 1)
        _post(settlement, oracles, root, 20 * 10**18)
        made.claim(job, 1, units, proof, PAYER)
        found["claim of work, 1,000,000 leaves"] = _gas_of(chain, chain.block_number())
    for units in (30, 40):
        works = [(deed, units) for deed in range(1, 11)]
        tree = merkle.Tree([merkle.work_leaf(raw, job, *work) for work in works])
        proof, root = _far(tree.root, MILLION - 2)
        _post(settlement, oracles, root, 20 * 10**18)
        siblings, flags = tree.multiproof(range(10))
        many = (job, works, siblings + proof, flags + [False] * len(proof))
        gas = chain.send(made.contract, "claimMany", *many, key=PAYER).gas
        found["claim of work of 10 deeds at once, 1,000,000 leaves"] = gas
    return found


def _deploy_escrow(settlement: Settlement) -> tuple[escrow.Escrow, Receipt]:
    contracts = settlement.contracts
    arguments = (contracts.settlement, contracts.r1, escrow.GRACE_EPOCHS, escrow.PATIENCE_S)
    contract, receipt = settlement.chain.deploy("Escrow", *arguments, key=PAYER)
    return escrow.Escrow(settlement.chain, contract.address), receipt


def _gas_of(chain: Chain, block: int) -> int:
    """Gas of the one transaction of a block."""
    return int(chain.request("eth_getBlockByNumber", [hex(block), False])["gasUsed"], 16)


def _far(leaf: bytes, depth: int) -> tuple[list[bytes], bytes]:
    """(proof, root) of a leaf `depth` below its root, in a tree of which nobody knows more."""
    proof = [hashlib.sha256(bytes([i])).digest() for i in range(depth)]
    return proof, merkle.root_by(leaf, proof)


def _bind(settlement: Settlement) -> int:
    chain, device, owner = settlement.chain, address_of(DEVICE), address_of(OWNER)
    addresses = [bytes.fromhex(item[2:]) for item in (settlement.contracts.devices, device, owner)]
    digest = binding_digest(keccak, chain.chain_id, addresses[0], 1, addresses[1], addresses[2], "board", 0, DEADLINE)
    receipt = settlement.bind(1, device, "board", DEADLINE, sign_digest(digest, OWNER), sign_digest(digest, DEVICE))
    return receipt.gas if receipt else 0


def _post(settlement: Settlement, signers: list[PrivateKey], root: bytes, total: int) -> int:
    values = (settlement.epoch() + 1, root, total, bytes(range(32)))
    digest = root_digest(Root(*values), settlement.chain.chain_id, bytes.fromhex(settlement.contracts.settlement[2:]))
    signatures = [sign_digest(digest, key) for key in signers]
    contract = Contract("Settlement", settlement.contracts.settlement)
    return settlement.chain.send(contract, "post", *values, signatures, key=PAYER).gas


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

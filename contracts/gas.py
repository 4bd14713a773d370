"""`python -m contracts.gas [--write]`: gas of each contract call on the embedded chain, beside contracts/gas.json.

Keys and values are fixed: the figures are the same on every machine. A claim's gas grows with the depth of the tree.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from coincurve import PrivateKey

from device.agent.eip712 import binding_digest
from gateway.chain import Chain, Contract, address_of, open_embedded
from gateway.curve import keccak
from gateway.oracle import merkle
from gateway.oracle.consensus import Root
from gateway.oracle.epoch import root_digest, sign_digest
from gateway.settlement import EPOCH_CAP_WEI, NOBODY, Settlement, deploy

SNAPSHOT = Path(__file__).parent / "gas.json"
DEADLINE = 2**40
PAYER, OWNER, DEVICE, *ORACLES = (PrivateKey(hashlib.sha256(bytes([i])).digest()) for i in range(6))


def main(arguments: list[str]) -> int:
    """Print a table; with --write, replace the snapshot."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    committed = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    for name, gas in found.items():
        was = committed.get(name)
        print(f"{name:<32} {gas:>9,}" + ("" if gas == was else f"  (committed: {was})"))
    if arguments == ["--write"]:
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def measure(folder: Path) -> dict[str, int]:
    """Gas by name of call, on a new chain in `folder`."""
    chain = open_embedded(folder / "gas.sqlite", (address_of(PAYER),))
    try:
        return _measure(chain)
    finally:
        chain.close()


def _measure(chain: Chain) -> dict[str, int]:
    found: dict[str, int] = {}
    oracles = sorted(ORACLES, key=lambda key: address_of(key).lower())
    deeds, receipt = chain.deploy("NodeDeed", address_of(PAYER), key=PAYER)
    found["deploy NodeDeed"] = receipt.gas
    devices, receipt = chain.deploy("Devices", deeds.address, 0, key=PAYER)
    found["deploy Devices"] = receipt.gas
    arguments = (deeds.address, [address_of(key) for key in oracles], 2, EPOCH_CAP_WEI, 0, NOBODY)
    contract, receipt = chain.deploy("Settlement", *arguments, key=PAYER)
    found["deploy Settlement and R1"] = receipt.gas
    known = {"deeds": deeds.address, "devices": devices.address, "settlement": contract.address}
    contracts = deploy(chain, PAYER, arguments[1], 2, known, lambda name, address: None)
    settlement = Settlement(chain, contracts, PAYER)

    for deed in (1, 2):
        minted = settlement.mint_deed(deed, address_of(OWNER), 4)
        found["mint the first deed" if deed == 1 else "mint a deed"] = minted.gas if minted else 0
    found["bind a device"] = _bind(settlement)
    for leaves, claim in ((1, "1 leaf, its first"), (1000, "1,000 leaves"), (1000, "1,000 leaves, once more")):
        cumulative = (settlement.epoch() + 1) * 10**18
        hashes = [merkle.leaf(deed, cumulative) for deed in range(1, leaves + 1)]
        posted = _post(settlement, oracles, merkle.root(hashes), leaves * cumulative)
        found["post the first root, 2 of 3" if leaves == 1 else "post a root, 2 of 3"] = posted
        proof = merkle.proof(hashes, 0)
        found[f"claim of {claim}"] = chain.send(contract, "claim", 1, cumulative, proof, key=PAYER).gas
    return found


def _bind(settlement: Settlement) -> int:
    chain, device, owner = settlement.chain, address_of(DEVICE), address_of(OWNER)
    addresses = [bytes.fromhex(item[2:]) for item in (settlement.contracts.devices, device, owner)]
    digest = binding_digest(keccak, chain.chain_id, addresses[0], 1, addresses[1], addresses[2], "board", 0, DEADLINE)
    receipt = settlement.bind(1, device, "board", DEADLINE, sign_digest(digest, OWNER), sign_digest(digest, DEVICE))
    return receipt.gas if receipt else 0


def _post(settlement: Settlement, oracles: list[PrivateKey], root: bytes, total: int) -> int:
    values = (settlement.epoch() + 1, root, total, bytes(range(32)))
    digest = root_digest(Root(*values), settlement.chain.chain_id, bytes.fromhex(settlement.contracts.settlement[2:]))
    signatures = [sign_digest(digest, key) for key in oracles[:2]]
    contract = Contract("Settlement", settlement.contracts.settlement)
    return settlement.chain.send(contract, "post", *values, signatures, key=PAYER).gas


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

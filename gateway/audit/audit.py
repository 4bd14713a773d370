"""Rebuilds an epoch from the chain and R1FS; trusts no gateway and no oracle, only a node's word on what is on chain.

    Root on chain ─ digest ─▶ R1FS ─▶ evidence of epochs 1 to N ─ verify.py ─▶ leaves and root ─▶ what differs

Rules:
1. Evidence counts only under the digest that the oracles signed, whoever brings it. Leaves are cumulative, so every
   epoch from the first is fetched and scored again.
2. The scorer is the second one (verify.py), which shares no code with the oracles'. Beacons must follow from the node's
   block hashes, bindings are those at the close block.
3. Beyond the root, the total that was signed must be the leaves' sum, and no deed or account may be paid more than its
   leaf.
4. The devices' contract must be over the same deeds as the settlement, and the escrow must be settled by it; which
   settlement and which escrow are meant is the asker's word.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.audit.evidence import fetch
from gateway.chain.chain import Chain, ChainError, Contract
from gateway.settlement.accounts import Accounts
from gateway.settlement.settlement import Contracts, Settlement
from gateway.storage.embedded import Embedded
from gateway.verify.site import Reader
from gateway.verify.verify import Result, verify_epoch


class NotSettled(Exception):
    """The chain has no root of this epoch."""


@dataclass(frozen=True)
class Asked:
    """Addresses, EIP-55, of the contracts that are meant; escrow: empty if none counts."""

    settlement: str
    devices: str
    escrow: str = ""


def find(chain: Chain, asked: Asked) -> Settlement:
    """The settlement and what belongs to it.

    Raises:
        ChainError: there is no such contract, the devices' one is over other deeds, or the escrow is another's.
    """
    for name, address in vars(asked).items():
        if address and not chain.has_code(address):
            raise ChainError(f"{name}: no contract at {address} on chain {chain.chain_id}")
    settlement = Contract("Settlement", asked.settlement)
    deeds, theirs = chain.call(settlement, "deeds"), chain.call(Contract("Devices", asked.devices), "deeds")
    if deeds != theirs:
        raise ChainError(f"devices: {asked.devices} is over deeds {theirs}, the settlement's are {deeds}")
    if asked.escrow and (theirs := chain.call(Contract("Escrow", asked.escrow), "settlement")) != asked.settlement:
        raise ChainError(f"escrow: {asked.escrow} is settled by {theirs}, wanted {asked.settlement}")
    r1 = chain.call(settlement, "r1")
    return Settlement(chain, Contracts(r1, deeds, asked.devices, asked.settlement, asked.escrow))


def audit(settlement: Settlement, epoch: int, store: Embedded, indexes: Sequence[str], scratch: Path) -> Result:
    """The verdict on `epoch`, and every difference from what the chain holds as a finding.

    Args:
        store: holds or fetches the evidence; indexes: hints where (audit_evidence.py). scratch: an empty folder.
    Raises:
        NotSettled, NotHad, ChainError.
    """
    block = settlement.chain.block_number()  # before the roots are asked for: what was paid by then, these roots allow
    posted = {item.epoch: item for item in settlement.roots()}
    if epoch not in posted:
        raise NotSettled(f"epoch {epoch} is not settled on chain; wanted 1 to {max(posted, default=0)}")
    for number in range(1, epoch + 1):
        fetch(store, number, posted[number].evidence, indexes, scratch / "evidence")
    result = verify_epoch(scratch, epoch, Reader(settlement))
    differences, signed_wei = [], posted[epoch].total_wei
    if result.total_wei != signed_wei:
        differences.append(f"epoch {epoch}: the leaves sum to {result.total_wei} wei, signed were {signed_wei}")
    if epoch == max(posted):
        differences += _overpaid(settlement, result, block)
    return replace(result, ok=result.ok and not differences, findings=(*result.findings, *differences))


def _overpaid(settlement: Settlement, result: Result, block: int) -> list[str]:
    """Leaves for which more was paid than they hold; only the newest epoch's bound what was paid up to `block`."""
    paid: Counter[str] = Counter()
    for claim in settlement.claims(last=block) + Accounts(settlement).claims(last=block):
        paid[f"account {claim.owner}" if claim.deed is None else f"deed {claim.deed}"] += claim.amount_wei
    leaves = {f"deed {deed}": wei for deed, wei in result.leaves.items()}
    leaves |= {f"account {owner}": wei for owner, wei in result.accounts.items()}
    return [
        f"{leaf}: it was paid {wei} wei, its leaf is {leaves.get(leaf, 0)}"
        for leaf, wei in sorted(paid.items())
        if wei > leaves.get(leaf, 0)
    ]

"""Rebuilds an epoch from the chain and R1FS; trusts no gateway and no oracle, only a node's word on what is on chain.

    Root on chain ─ digest ─▶ R1FS ─▶ evidence of epochs 1 to N ─ verify.py ─▶ leaves and root ─▶ what differs

Rules:
1. Evidence counts only under the digest that the oracles signed, whoever brings it. Leaves are cumulative, so every
   epoch from the first is fetched and scored again.
2. The scorer is the second one (verify.py), which shares no code with the oracles'. Beacons must follow from the node's
   block hashes, bindings are those at the close block.
3. Beyond the root, the total that was signed must be the leaves' sum, and no deed may be paid more than its leaf.
4. The devices' contract must be over the same deeds as the settlement; which settlement is meant is the asker's word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.audit_evidence import fetch
from gateway.chain import Chain, ChainError, Contract
from gateway.settlement import Contracts, Settlement
from gateway.storage.embedded import Embedded
from gateway.verify import Result, verify_epoch
from gateway.verify_site import Reader


class NotSettled(Exception):
    """The chain has no root of this epoch."""


@dataclass(frozen=True)
class Asked:
    """Addresses, EIP-55, of the contracts that are meant."""

    settlement: str
    devices: str


def find(chain: Chain, asked: Asked) -> Settlement:
    """The settlement and what belongs to it.

    Raises:
        ChainError: there is no such contract, or the devices' one is over other deeds.
    """
    for name, address in vars(asked).items():
        if not chain.has_code(address):
            raise ChainError(f"{name}: no contract at {address} on chain {chain.chain_id}")
    settlement = Contract("Settlement", asked.settlement)
    deeds, theirs = chain.call(settlement, "deeds"), chain.call(Contract("Devices", asked.devices), "deeds")
    if deeds != theirs:
        raise ChainError(f"devices: {asked.devices} is over deeds {theirs}, the settlement's are {deeds}")
    r1 = chain.call(settlement, "r1")
    return Settlement(chain, Contracts(r1=r1, deeds=deeds, devices=asked.devices, settlement=asked.settlement))


def audit(settlement: Settlement, epoch: int, store: Embedded, indexes: Sequence[str], scratch: Path) -> Result:
    """The verdict on `epoch`, and every difference from what the chain holds as a finding.

    Args:
        store: holds or fetches the evidence; indexes: hints where (audit_evidence.py). scratch: an empty folder.
    Raises:
        NotSettled, NotHad, ChainError.
    """
    posted = {item.epoch: item for item in settlement.roots()}
    if epoch not in posted:
        raise NotSettled(f"epoch {epoch} is not settled on chain; wanted 1 to {max(posted, default=0)}")
    for number in range(1, epoch + 1):
        fetch(store, number, posted[number].evidence, indexes, scratch / "evidence")
    result = verify_epoch(scratch, epoch, Reader(settlement))
    differences, total_wei = [], sum(result.leaves.values())
    if total_wei != posted[epoch].total_wei:
        differences.append(f"epoch {epoch}: the leaves sum to {total_wei} wei, signed were {posted[epoch].total_wei}")
    if epoch == max(posted):
        differences += _overpaid(settlement, result)
    return replace(result, ok=result.ok and not differences, findings=(*result.findings, *differences))


def _overpaid(settlement: Settlement, result: Result) -> list[str]:
    """Deeds that were paid more than their leaf; only the newest epoch's leaves bound what was paid until now."""
    paid: dict[int, int] = {}
    for claim in settlement.claims():
        paid[claim.deed] = paid.get(claim.deed, 0) + claim.amount_wei
    return [
        f"deed {deed}: it was paid {wei} wei, its leaf is {result.leaves.get(deed, 0)}"
        for deed, wei in sorted(paid.items())
        if wei > result.leaves.get(deed, 0)
    ]

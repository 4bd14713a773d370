"""Claims for owners what is due to them, as sponsoring.py decides; anybody may, and the owner alone is paid.

Rules: what is due is read from the chain and from leaves that hash to the root in force. A claim that was made
meanwhile is not sent again, and one that fails is told and does not keep the others from being sent.
"""

from dataclasses import dataclass
from pathlib import Path

from gateway.chain.chain import ChainError, Contract
from gateway.settlement.leaves_in_force import read_trees
from gateway.settlement.settlement import Claim, Settlement
from gateway.settlement.sponsoring import Batch, Due, Plan
from gateway.settlement.tree import Trees


@dataclass(frozen=True)
class Relayed:
    """What was sent: R1 paid by claim, and (batch, why) of those that failed."""

    claims: tuple[Claim, ...]
    failed: tuple[tuple[Batch, str], ...]


def find_dues(folder: Path, settlement: Settlement) -> tuple[list[Due], Trees]:
    """What every deed is due by the root in force, and the trees that prove it; nothing before the first root.

    Raises:
        CommandError: the site's leaves are not the chain's. ChainError.
    """
    trees = read_trees(folder, settlement.chain, Contract("Settlement", settlement.contracts.settlement))
    owners = {number: deed.owner for number, deed in settlement.bindings().items()}
    dues = []
    for deed, cumulative_wei in trees.leaves.deeds:
        paid_wei = settlement.claimed(deed)
        dues.append(Due(owners[deed], deed, max(0, cumulative_wei - paid_wei), paid_wei == 0))
    return dues, trees


def gas_price(settlement: Settlement) -> int:
    """Wei a unit of gas costs now."""
    return int(settlement.chain.request("eth_gasPrice", []), 16)


def relay(settlement: Settlement, plan: Plan, trees: Trees) -> Relayed:
    """Send what the plan says."""
    claims: list[Claim] = []
    failed: list[tuple[Batch, str]] = []
    for batch in plan.send:
        try:
            claims += _claim(settlement, batch, trees)
        except ChainError as error:
            failed.append((batch, str(error)))
    return Relayed(tuple(claims), tuple(failed))


def _claim(settlement: Settlement, batch: Batch, trees: Trees) -> list[Claim]:
    if len(batch.deeds) > 1:
        return settlement.claim_many(*trees.deeds(batch.deeds))
    claim = settlement.claim(batch.deeds[0], *trees.deed(batch.deeds[0]))
    return [claim] if claim else []

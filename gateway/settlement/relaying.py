"""Claims for owners what is due to them, as sponsoring.py decides; anybody may, and the owner alone is paid.

Rules: what is due is read from the chain and from leaves that hash to the root in force; a leaf whose deed or job went
with a reorg is passed over. A claim that was made meanwhile is not sent again, and one that fails is told and does not
keep the others from being sent.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from eth_utils.address import to_checksum_address

from gateway.chain import answers
from gateway.chain.chain import ChainError
from gateway.settlement.accounts import Accounts
from gateway.settlement.escrow import Escrow
from gateway.settlement.settlement import Claim, Settlement
from gateway.settlement.sponsoring import ACCOUNT, WORK, Batch, Due, Plan
from gateway.settlement.tree import Leaves, Trees


@dataclass(frozen=True)
class Relayed:
    """What was sent: the R1 that was paid, and what failed, as (batch, why)."""

    claims: tuple[Claim, ...]
    failed: tuple[tuple[Batch, ChainError], ...]


def find_dues(settlement: Settlement, leaves: Leaves) -> list[Due]:
    """What every leaf under the root in force is due: of deeds, accounts, and work for jobs of the site's escrow.

    Raises:
        ChainError: the chain does not answer.
    """
    owners = {number: str(to_checksum_address(deed.owner)) for number, deed in settlement.bindings().items()}
    found, accounts = list[Due](), Accounts(settlement)
    for deed, cumulative_wei in leaves.deeds:
        if deed in owners:
            paid_wei = settlement.claimed(deed)
            found.append(Due(owners[deed], deed, cumulative_wei - paid_wei, paid_wei == 0))
    for raw, cumulative_wei in leaves.accounts:
        owner = str(to_checksum_address(raw))
        paid_wei = accounts.claimed(owner)
        found.append(Due(owner, 0, cumulative_wei - paid_wei, paid_wei == 0, ACCOUNT))
    return [*found, *_work(settlement, leaves, owners)]


def _work(settlement: Settlement, leaves: Leaves, owners: Mapping[int, str]) -> Iterator[Due]:
    if not leaves.work:
        return
    escrow = Escrow(settlement.chain, settlement.contracts.escrow)
    raw, last, charged = bytes.fromhex(escrow.address[2:]), escrow.count(), Counter[int]()
    for (place, number, deed), units in leaves.work:
        is_there = place == raw and number <= last and deed in owners
        if not is_there or (before := escrow.delivered(number, deed)) >= units:
            continue
        job = escrow.job(number)
        owner_wei, burned_wei = job.split(before, units)
        cost_wei, blocked = owner_wei + burned_wei, ""
        if job.is_closed:
            blocked = "the job is closed and its deposit went back: nobody claimed in time"
        elif cost_wei > job.cap - job.paid - charged[number]:
            blocked = "the job's deposit is used up"
        else:
            charged[number] += cost_wei
        yield Due(owners[deed], deed, owner_wei, before == 0, WORK, number, blocked)


def all_claims(settlement: Settlement) -> list[Claim]:
    """All that was ever paid: by deeds' leaves, then by accounts', then for work."""
    claims, escrow = settlement.claims() + Accounts(settlement).claims(), settlement.contracts.escrow
    return claims + (work_claims(Escrow(settlement.chain, escrow)) if escrow else [])


def work_claims(escrow: Escrow, first: int = 0, last: int | None = None) -> list[Claim]:
    """What was paid for work in blocks `first` to `last` (default: the newest), in order."""
    return [Claim(item.deed, item.owner, item.amount, item.tx, item.job) for item in escrow.payments(first, last)]


def gas_price(settlement: Settlement) -> int:
    """Wei a unit of gas costs now."""
    return int(settlement.chain.request("eth_gasPrice", [], answers.number))


def relay(settlement: Settlement, plan: Plan, trees: Trees) -> Relayed:
    """Send what the plan says."""
    claims: list[Claim] = []
    failed: list[tuple[Batch, ChainError]] = []
    for batch in plan.send:
        try:
            claims += _claim(settlement, batch, trees)
        except ChainError as error:
            failed.append((batch, error))
    return Relayed(tuple(claims), tuple(failed))


def _claim(settlement: Settlement, batch: Batch, trees: Trees) -> list[Claim]:
    if batch.kind == WORK:
        return _claim_work(settlement, batch, trees)
    if batch.kind == ACCOUNT:
        proven = trees.account(bytes.fromhex(batch.owner[2:]))
        claim = Accounts(settlement).claim(batch.owner, *proven)
    elif len(batch.deeds) > 1:
        return settlement.claim_many(*trees.deeds(batch.deeds))
    else:
        claim = settlement.claim(batch.deeds[0], *trees.deed(batch.deeds[0]))
    return [claim] if claim else []


def _claim_work(settlement: Settlement, batch: Batch, trees: Trees) -> list[Claim]:
    escrow, job = Escrow(settlement.chain, settlement.contracts.escrow), batch.job
    raw, claims = bytes.fromhex(escrow.address[2:]), list[Claim]()
    for deeds in [batch.deeds] if escrow.pays_many() else [(deed,) for deed in batch.deeds]:
        works, proof, flags = trees.works(raw, job, deeds)
        call = ("claim", job, *works[0], proof) if len(works) == 1 else ("claimMany", job, works, proof, flags)
        if receipt := settlement.once(partial(escrow.are_delivered, job, works), escrow.contract, *call):
            paid = work_claims(escrow, receipt.block, receipt.block)
            claims += [claim for claim in paid if claim.tx == receipt.tx]
    return claims

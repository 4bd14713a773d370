"""Which claims are worth their gas, and which a relayer pays all the same; pure, sends nothing and asks nobody.

    what is due to owners, prices, budget ─▶ Plan: batches to send in this order, and why the others wait

Rules:
1. Deeds of one owner go together, up to MOST_DEEDS a transaction (Settlement.claimMany pays one owner), and so does
   their work for one job (Escrow.claimMany). An account is claimed alone.
2. A batch is worth its gas if the fee is at most `most_percent` of what the claim is worth. What is worth most after
   its fee goes first, and nothing goes beyond `budget_wei`.
3. Then small owners are sponsored out of `sponsor_wei`: who has most due goes first, for it has waited longest. Nobody
   is sponsored for more than the claim is worth, so no dust empties a sponsor's purse.
4. What waits loses nothing: leaves are cumulative, and the next claim takes all of it.

Gas by contracts/gas.json, rounded up: a claim of one deed or account 71,000 to 78,000, of ten deeds in one transaction
374,000, of work 100,000, of ten deeds' work in one 259,000. A leaf's first claim takes more, because it writes where
nothing was.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

R1 = 10**18
MOST_DEEDS = 50
BASE_GAS, LEAF_GAS, FIRST_GAS, WORK_GAS = 60_000, 36_000, 36_000, 40_000
DEED, ACCOUNT, WORK = "deed", "account", "work"
WORTH, SPONSORED = "worth its gas", "sponsored"


@dataclass(frozen=True)
class Due:
    """Wei of R1 that `owner` would be paid now by one leaf; is_first: it was never paid before.

    kind: DEED, the deed's own leaf; ACCOUNT, the owner's, `deed` is 0; WORK, that of the deed's work for `job`.
    blocked: why it cannot be paid at all, or "".
    """

    owner: str
    deed: int
    wei: int
    is_first: bool = False
    kind: str = DEED
    job: int = 0
    blocked: str = ""


@dataclass(frozen=True)
class Terms:
    """Wei of the chain's own coin: gas_wei for a unit of gas, r1_wei what one R1 is worth, and the two purses."""

    gas_wei: int
    r1_wei: int
    budget_wei: int
    sponsor_wei: int = 0
    most_percent: int = 5


@dataclass(frozen=True)
class Batch:
    """One transaction: `wei` of R1 to `owner` for leaves of one `kind`; why: it is sent, or waits.

    deeds: ascending; none where it is an account's. job: that of WORK, else 0. gas: at most.
    """

    owner: str
    kind: str
    deeds: tuple[int, ...]
    job: int
    wei: int
    gas: int
    fee_wei: int
    worth_wei: int
    why: str = ""

    @property
    def what(self) -> str:
        """What it is for, in words."""
        if self.kind == ACCOUNT:
            return f"account of {self.owner}"
        numbers = ", ".join(map(str, self.deeds[:5])) + (" ..." if len(self.deeds) > 5 else "")
        deeds = f"deeds {numbers}" if len(self.deeds) > 1 else f"deed {numbers}"
        return f"{deeds}, job {self.job}" if self.kind == WORK else deeds


@dataclass(frozen=True)
class Plan:
    """send: in this order."""

    send: tuple[Batch, ...]
    waiting: tuple[Batch, ...]

    @property
    def fees_wei(self) -> int:
        """What all of it is expected to cost."""
        return sum(batch.fee_wei for batch in self.send)


def plan(dues: Iterable[Due], terms: Terms) -> Plan:
    """Decide on every due.

    Raises:
        ValueError: a leaf twice, or a price or purse below 0.
    """
    dues = sorted((due for due in dues if due.wei > 0), key=lambda due: (due.owner, due.kind, due.job, due.deed))
    if len({(due.kind, due.job, due.deed or due.owner) for due in dues}) != len(dues):
        raise ValueError("dues: a leaf twice")
    if min(vars(terms).values()) < 0:
        raise ValueError(f"terms: {terms}, wanted nothing below 0")
    batches = list(_batches([due for due in dues if not due.blocked], terms))
    batches.sort(key=lambda batch: (batch.fee_wei - batch.worth_wei, batch.owner, batch.kind, batch.job, batch.deeds))
    send, rest = _take([batch for batch in batches if _is_worth(batch, terms)], terms.budget_wei, WORTH)
    small = sorted((batch for batch in batches if not _is_worth(batch, terms)), key=lambda batch: -batch.wei)
    payable = [batch for batch in small if batch.fee_wei <= batch.worth_wei]
    sponsored, unpaid = _take(payable, terms.sponsor_wei, SPONSORED)
    dust = [_because(batch, _share(batch, terms)) for batch in small if batch.fee_wei > batch.worth_wei]
    waiting = [_because(batch, "the budget is used up") for batch in rest]
    waiting += [_because(batch, f"{_share(batch, terms)}, and no sponsor has the fee") for batch in unpaid] + dust
    waiting += [_because(_batch([due], terms), due.blocked) for due in dues if due.blocked]
    return Plan((*send, *sponsored), tuple(waiting))


def gas_of(leaves: int, firsts: int, kind: str = DEED) -> int:
    """Gas of a claim of so many leaves of a kind, of which `firsts` were never paid; at least what it takes."""
    return BASE_GAS + LEAF_GAS * leaves + FIRST_GAS * firsts + (WORK_GAS if kind == WORK else 0)


def _batches(dues: list[Due], terms: Terms) -> Iterator[Batch]:
    for _, items in groupby(dues, lambda due: (due.owner, due.kind, due.job)):
        group = list(items)
        for start in range(0, len(group), MOST_DEEDS):
            yield _batch(group[start : start + MOST_DEEDS], terms)


def _batch(dues: list[Due], terms: Terms) -> Batch:
    first, wei = dues[0], sum(due.wei for due in dues)
    gas = gas_of(len(dues), sum(due.is_first for due in dues), first.kind)
    deeds = tuple(due.deed for due in dues if due.deed)
    amounts = (wei, gas, gas * terms.gas_wei, wei * terms.r1_wei // R1)
    return Batch(first.owner, first.kind, deeds, first.job, *amounts)


def _is_worth(batch: Batch, terms: Terms) -> bool:
    return batch.fee_wei * 100 <= batch.worth_wei * terms.most_percent


def _take(batches: list[Batch], purse_wei: int, why: str) -> tuple[list[Batch], list[Batch]]:
    """Those that the purse pays, in their order, and the others; a cheaper one may go where a dearer one cannot."""
    taken, left = [], []
    for batch in batches:
        if batch.fee_wei <= purse_wei:
            purse_wei -= batch.fee_wei
            taken.append(_because(batch, why))
        else:
            left.append(batch)
    return taken, left


def _share(batch: Batch, terms: Terms) -> str:
    percent = f"{100 * batch.fee_wei // batch.worth_wei} %" if batch.worth_wei else "more than all"
    return f"its fee is {percent} of its worth, wanted at most {terms.most_percent} %"


def _because(batch: Batch, why: str) -> Batch:
    return Batch(**{**vars(batch), "why": why})

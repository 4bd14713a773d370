"""Buyers' deposits for jobs (contracts/src/Escrow.sol): open, claim, cancel, refund. Decides no work and no price.

Rules: what was done already is not sent again, so a crash or somebody else's transaction never ends in an error; only
opening a job has no such mark, and whoever opens one keeps its number. A job's model is the SHA-256 of its file, whose
CID is CIDv1, raw: MODEL_CID and these 32 bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from coincurve import PrivateKey

from gateway.chain import abi, answers
from gateway.chain.chain import Chain, ChainError, Contract
from gateway.poai import jobs
from gateway.settlement.allowance import send_taking

MODEL_CID = bytes.fromhex("01551220")
PAGE = 100
GRACE_EPOCHS = 7
PATIENCE_S = 30 * 24 * 3600
BURNED_PERCENT = 15


@dataclass(frozen=True)
class Job:
    """A deposit. `price` a unit, `cap` the deposit and `paid` what left it, in the token's base units.

    Work of epochs `first` to `last` counts, both included. is_for_any: of every deed, else of those named when it was
    opened. is_measured: it buys runs that a gateway measured of its own containers and modules, else verified
    inferences. model: 32 bytes.
    """

    buyer: str
    opened_at_s: int
    is_closed: bool
    is_for_any: bool
    is_measured: bool
    first: int
    last: int
    price: int
    cap: int
    paid: int
    model: bytes

    @property
    def most_units(self) -> int:
        """The units that the deposit buys: oracles count no more."""
        return self.cap // self.price

    def split(self, before: int, units: int) -> tuple[int, int]:
        """(to the deed's owner, burned) when a deed that was paid for `before` units is paid for all its `units`."""
        upto, paid = (count * self.price * BURNED_PERCENT // 100 for count in (units, before))
        return (units - before) * self.price - (upto - paid), upto - paid


@dataclass(frozen=True)
class Paid:
    """What a claim paid: `amount` to the deed's owner, `burned` beside it, in the token's base units."""

    job: int
    deed: int
    owner: str
    units: int
    amount: int
    burned: int
    tx: str


def deploy(
    chain: Chain,
    key: PrivateKey,
    settlement: str,
    token: str,
    grace_epochs: int = GRACE_EPOCHS,
    patience_s: int = PATIENCE_S,
) -> "Escrow":
    """Create an escrow of `token` (an ERC-20, R1 or another) for the jobs that `settlement` settles.

    Raises:
        ChainError: as Chain.deploy.
    """
    contract, _ = chain.deploy("Escrow", settlement, token, grace_epochs, patience_s, key=key)
    return Escrow(chain, contract.address)


class Escrow:
    """One escrow contract; each call names the key that signs and pays."""

    def __init__(self, chain: Chain, address: str) -> None:
        self.chain, self.address = chain, address
        self.contract = Contract("Escrow", address)

    @cached_property
    def settlement(self) -> Contract:
        """The settlement whose roots it pays by."""
        return Contract("Settlement", self.chain.call(self.contract, "settlement"))

    @cached_property
    def token(self) -> Contract:
        """The ERC-20 that is deposited; of R1's interface only ERC-20 is asked of it."""
        return Contract("R1", self.chain.call(self.contract, "token"))

    def open(
        self,
        model: bytes,
        price: int,
        cap: int,
        epochs: int,
        workers: Sequence[int],
        key: PrivateKey,
        is_measured: bool = False,
    ) -> int:
        """Deposit `cap` for a job that begins with the epoch after the one that runs; its number.

        Args:
            model: 32 bytes. workers: deeds whose work counts; none for any.
        Raises:
            ChainError: NoModel, WrongTerms, or the token did not move.
        """
        terms = (model, is_measured, price, cap, epochs, list(workers))
        receipt = send_taking(self.chain, self.token, cap, self.contract, "open", *terms, key=key)
        events = self.chain.events(self.contract, "Opened", receipt.block, receipt.block)
        return int(next(event.arguments["job"] for event in events if event.tx == receipt.tx))

    def job(self, job: int) -> Job:
        """The terms of a job, and what is left of it.

        Raises:
            ChainError: there is no such job.
        """
        found = Job(*self.chain.call(self.contract, "jobOf", job))
        if found.price == 0:
            raise ChainError(f"job {job}: not in escrow {self.address}, whose last is {self.count()}")
        return found

    def live(self, epoch: int, deeds: Iterable[int], block: int | None = None) -> list[jobs.Job]:
        """The jobs that take units of `epoch`, as of the end of `block` or now.

        Args:
            deeds: all that could have worked; a job's workers are those of them that it was opened for.
        Raises:
            ChainError: the chain does not keep the state of that block.
        """
        found, deeds = list[jobs.Job](), list(deeds)
        for number, job in self._all(block):
            if job.is_closed or not job.first <= epoch <= job.last:
                continue
            named = [] if job.is_for_any else self._workers(number, deeds, block)
            if named or job.is_for_any:
                kind = jobs.MEASURED if job.is_measured else jobs.VERIFIED
                raw, model = bytes.fromhex(self.address[2:]), MODEL_CID + job.model
                terms = (job.first, job.last, job.most_units, job.price)
                found.append(jobs.Job(raw, number, kind, model, frozenset(named), *terms))
        return found

    def _workers(self, job: int, deeds: list[int], block: int | None) -> list[int]:
        are = self.chain.call(self.contract, "areWorkers", job, deeds, block=block)
        return [deed for deed, is_worker in zip(deeds, are, strict=True) if is_worker]

    def _all(self, block: int | None) -> Iterator[tuple[int, Job]]:
        first = 1
        while page := self.chain.call(self.contract, "jobs", first, first + PAGE - 1, block=block):
            yield from enumerate((Job(*item) for item in page), first)
            first += len(page)

    def count(self) -> int:
        """The number of the last job."""
        return int(self.chain.call(self.contract, "count"))

    def is_worker(self, job: int, deed: int) -> bool:
        """Whether work of `deed` counts for a job."""
        return bool(self.chain.call(self.contract, "isWorker", job, deed))

    def delivered(self, job: int, deed: int) -> int:
        """The units that `deed` was paid for."""
        return int(self.chain.call(self.contract, "delivered", job, deed))

    def are_delivered(self, job: int, works: Iterable[tuple[int, int]]) -> bool:
        """Whether all of these works, (deed, units), were paid for."""
        return all(self.delivered(job, deed) >= units for deed, units in works)

    def pays_many(self) -> bool:
        """Whether it has claimMany: escrows of before do not."""
        selector = abi.encode_call("Escrow", "claimMany", (0, [], [], []))[:4]
        return selector in self.chain.request("eth_getCode", [self.address, "latest"], answers.raw)

    def claim(self, job: int, deed: int, units: int, proof: Sequence[bytes], key: PrivateKey) -> Paid | None:
        """Have `deed`'s owner paid for all `units` under the newest root; None if that much is paid already.

        Raises:
            ChainError: the proof does not fit, the deed is no worker, the deposit is used up, or the job is closed.
        """
        try:
            if self.delivered(job, deed) >= units:
                return None
            receipt = self.chain.send(self.contract, "claim", job, deed, units, list(proof), key=key)
        except ChainError:
            if self.delivered(job, deed) >= units:
                return None
            raise
        return next(item for item in self.payments(receipt.block, receipt.block) if item.tx == receipt.tx)

    def payments(self, first: int = 0, last: int | None = None) -> list[Paid]:
        """All work paid in blocks `first` to `last` (default: the newest), in order."""
        events = self.chain.events(self.contract, "Paid", first, last)
        return [Paid(**event.arguments, tx=event.tx) for event in events]

    def cancel(self, job: int, key: PrivateKey) -> Job:
        """End a job early, as its buyer; what it is then.

        Raises:
            ChainError: NotBuyer.
        """
        if not self.job(job).is_closed:
            self.chain.send(self.contract, "cancel", job, key=key)
        return self.job(job)

    def refund(self, job: int, key: PrivateKey) -> Job:
        """Give the buyer what was not delivered, if workers had time to claim; what the job is then.

        Raises:
            ChainError: NotOver.
        """
        if not self.job(job).is_closed:
            self.chain.send(self.contract, "refund", job, key=key)
        return self.job(job)

"""Buyers' deposits for jobs (contracts/src/Escrow.sol): open, claim, cancel, refund. Decides no work and no price.

Rules: what was done already is not sent again, so a crash or somebody else's transaction never ends in an error; only
opening a job has no such mark, and whoever opens one keeps its number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coincurve import PrivateKey

from gateway.chain import Chain, ChainError, Contract, address_of

GRACE_EPOCHS = 7
PATIENCE_S = 30 * 24 * 3600


@dataclass(frozen=True)
class Job:
    """A deposit. `price` a unit, `cap` the deposit and `paid` what left it, in the token's base units.

    Work of epochs `first` to `last` counts, both included. is_for_any: of every deed, else of those named when it was
    opened.
    """

    buyer: str
    opened_at_s: int
    is_closed: bool
    is_for_any: bool
    first: int
    last: int
    price: int
    cap: int
    paid: int

    @property
    def most_units(self) -> int:
        """The units that the deposit buys: oracles count no more."""
        return self.cap // self.price


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
        self._contract = Contract("Escrow", address)

    def open(self, price: int, cap: int, epochs: int, workers: Sequence[int], key: PrivateKey) -> int:
        """Deposit `cap` for a job that begins with the epoch after the one that runs; its number.

        Args:
            workers: deeds whose work counts; none for any.
        Raises:
            ChainError: WrongTerms, or the token did not move.
        """
        token = Contract("R1", self.chain.call(self._contract, "token"))  # of ERC-20, all that is asked of it
        if self.chain.call(token, "allowance", address_of(key), self.address) < cap:
            self.chain.send(token, "approve", self.address, cap, key=key)
        receipt = self.chain.send(self._contract, "open", price, cap, epochs, list(workers), key=key)
        events = self.chain.events(self._contract, "Opened", receipt.block, receipt.block)
        return int(next(event.arguments["job"] for event in events if event.tx == receipt.tx))

    def job(self, job: int) -> Job:
        """The terms of a job, and what is left of it.

        Raises:
            ChainError: there is no such job.
        """
        found = Job(*self.chain.call(self._contract, "jobOf", job))
        if found.price == 0:
            raise ChainError(f"job {job}: not in escrow {self.address}, whose last is {self.count()}")
        return found

    def count(self) -> int:
        """The number of the last job."""
        return int(self.chain.call(self._contract, "count"))

    def is_worker(self, job: int, deed: int) -> bool:
        """Whether work of `deed` counts for a job."""
        return bool(self.chain.call(self._contract, "isWorker", job, deed))

    def delivered(self, job: int, deed: int) -> int:
        """The units that `deed` was paid for."""
        return int(self.chain.call(self._contract, "delivered", job, deed))

    def claim(self, job: int, deed: int, units: int, proof: Sequence[bytes], key: PrivateKey) -> Paid | None:
        """Have `deed`'s owner paid for all `units` under the newest root; None if that much is paid already.

        Raises:
            ChainError: the proof does not fit, the deed is no worker, the deposit is used up, or the job is closed.
        """
        try:
            if self.delivered(job, deed) >= units:
                return None
            receipt = self.chain.send(self._contract, "claim", job, deed, units, list(proof), key=key)
        except ChainError:
            if self.delivered(job, deed) >= units:
                return None
            raise
        events = self.chain.events(self._contract, "Paid", receipt.block, receipt.block)
        return next(Paid(**event.arguments, tx=event.tx) for event in events if event.tx == receipt.tx)

    def cancel(self, job: int, key: PrivateKey) -> Job:
        """End a job early, as its buyer; what it is then.

        Raises:
            ChainError: NotBuyer.
        """
        if not self.job(job).is_closed:
            self.chain.send(self._contract, "cancel", job, key=key)
        return self.job(job)

    def refund(self, job: int, key: PrivateKey) -> Job:
        """Give the buyer what was not delivered, if workers had time to claim; what the job is then.

        Raises:
            ChainError: NotOver.
        """
        if not self.job(job).is_closed:
            self.chain.send(self._contract, "refund", job, key=key)
        return self.job(job)

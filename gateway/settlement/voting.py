"""Votes of R1 on what is governed (contracts/src/Council.sol): deposit, propose, cast, queue, execute. Decides nothing.

What a proposal does is kept by the chain's log, not by its state, so a proposal is read from where it was made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from coincurve import PrivateKey

from gateway.chain import abi
from gateway.chain.chain import Chain, ChainError, Contract, address_of
from gateway.curve import keccak
from gateway.settlement.allowance import send_taking

STATES = ("pending", "active", "canceled", "defeated", "succeeded", "queued", "expired", "executed")
SUPPORT = ("against", "for", "abstain")
GOVERNED = (("Settlement", "govern"), ("Sale", "setRate"))


@dataclass(frozen=True)
class Call:
    """What a vote would do: run `function` of `contract`."""

    contract: Contract
    function: str
    arguments: tuple[Any, ...]

    @property
    def data(self) -> bytes:
        return abi.encode_call(self.contract.name, self.function, self.arguments)


@dataclass(frozen=True)
class Proposal:
    """One proposal. `number` is its id on chain; targets, calls: what it does; votes and quorum in wei of R1.

    first, last: blocks in which votes are cast; eta_s: when a queued one may be done, seconds since 1970, else 0.
    """

    number: int
    proposer: str
    why: str
    targets: tuple[str, ...]
    calls: tuple[bytes, ...]
    state: str
    first: int
    last: int
    eta_s: int
    votes_wei: dict[str, int]
    quorum_wei: int

    @property
    def does(self) -> tuple[str, ...]:
        """Its calls in words, or in hex where they are none that a council is for."""
        return tuple(f"{told(data)} at {target}" for target, data in zip(self.targets, self.calls, strict=True))


def told(data: bytes) -> str:
    """A call as `function(name value, ...)`."""
    for contract, function in GOVERNED:
        try:
            values = abi.decode_call(contract, function, data)
        except ValueError:
            continue
        return f"{function}({', '.join(f'{name} {value}' for name, value in values.items())})"
    return f"0x{data.hex()}"


class Council:
    """One council; each call names the key that signs and pays."""

    def __init__(self, chain: Chain, address: str) -> None:
        self.chain, self.contract = chain, Contract("Council", address)

    @cached_property
    def votes(self) -> Contract:
        """R1 that votes."""
        return Contract("Votes", self.chain.call(self.contract, "token"))

    @cached_property
    def r1(self) -> Contract:
        return Contract("R1", self.chain.call(self.votes, "underlying"))

    def votes_of(self, owner: str) -> int:
        """Votes of `owner` now, in wei."""
        return int(self.chain.call(self.votes, "getVotes", owner))

    def deposit(self, wei: int, key: PrivateKey) -> None:
        """Turn R1 into votes of the same owner, which count in proposals made later.

        Raises:
            ChainError: the owner has less R1.
        """
        owner = address_of(key)
        if self.chain.call(self.votes, "delegates", owner) != owner:
            self.chain.send(self.votes, "delegate", owner, key=key)
        send_taking(self.chain, self.r1, wei, self.votes, "depositFor", owner, wei, key=key)

    def withdraw(self, wei: int, key: PrivateKey) -> None:
        """Turn votes back into R1; what was cast stays cast."""
        self.chain.send(self.votes, "withdrawTo", address_of(key), wei, key=key)

    def propose(self, calls: Sequence[Call], why: str, key: PrivateKey) -> Proposal:
        """Propose to do `calls`; `why` is read by everybody, and two proposals that do the same differ by it.

        Raises:
            ChainError: too few votes, or the same was proposed before.
        """
        targets = [call.contract.address for call in calls]
        arguments = (targets, [0] * len(calls), [call.data for call in calls], why)
        receipt = self.chain.send(self.contract, "propose", *arguments, key=key)
        return next(item for item in self.proposals(receipt.block) if item.why == why)

    def proposals(self, first: int = 0) -> list[Proposal]:
        """All that were made since block `first`, in order."""
        events = self.chain.events(self.contract, "ProposalCreated", first)
        return [self._proposal(event.arguments) for event in events]

    def proposal(self, number: int) -> Proposal:
        """One proposal.

        Raises:
            ChainError: there is none of that number.
        """
        for event in self.chain.events(self.contract, "ProposalCreated"):
            if event.arguments["proposalId"] == number:
                return self._proposal(event.arguments)
        raise ChainError(f"proposal {number}: not made at council {self.contract.address}")

    def cast(self, number: int, support: str, key: PrivateKey) -> Proposal:
        """Vote `support`, one of SUPPORT; the proposal then.

        Raises:
            ChainError: it is not active, or this key voted.
        """
        self.chain.send(self.contract, "castVote", number, SUPPORT.index(support), key=key)
        return self.proposal(number)

    def queue(self, number: int, key: PrivateKey) -> Proposal:
        """Begin the lock of a proposal that succeeded; the proposal then."""
        return self._move("queue", ("queued", "executed"), number, key)

    def execute(self, number: int, key: PrivateKey) -> Proposal:
        """Do what a proposal says whose lock is over; the proposal then."""
        return self._move("execute", ("executed",), number, key)

    def _move(self, function: str, done: tuple[str, ...], number: int, key: PrivateKey) -> Proposal:
        found = self.proposal(number)
        if found.state not in done:
            values = [0] * len(found.targets)
            arguments = (
                list(found.targets),
                values,
                list(found.calls),
                keccak(found.why.encode(errors="surrogateescape")),
            )
            self.chain.send(self.contract, function, *arguments, key=key)
        return self.proposal(number)

    def _proposal(self, made: dict[str, Any]) -> Proposal:
        number = int(made["proposalId"])
        against, for_, abstain = self.chain.call(self.contract, "proposalVotes", number)
        snapshot = int(made["voteStart"])
        quorum = self.chain.call(self.contract, "quorum", snapshot) if snapshot < self.chain.block_number() else 0
        return Proposal(
            number=number,
            proposer=made["proposer"],
            why=made["description"],
            targets=made["targets"],
            calls=made["calldatas"],
            state=STATES[self.chain.call(self.contract, "state", number)],
            first=snapshot + 1,
            last=int(made["voteEnd"]),
            eta_s=int(self.chain.call(self.contract, "proposalEta", number)),
            votes_wei={"for": for_, "against": against, "abstain": abstain},
            quorum_wei=int(quorum),
        )

"""What the oracles said in the turns of one epoch's agreement, as far as it is sound; votes on nothing itself.

Of one sender's votes of a kind in a turn the first counts, of one leader's proposals too; another is equivocation, kept
as two signed statements, which prove it to anybody. Kept are this turn and the next: memory is bounded.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.oracle import rules
from gateway.oracle.statements import (
    Bundle,
    Decision,
    Held,
    Kind,
    Proposal,
    Said,
    Vote,
    digest_of,
    faults_of,
    quorum_of,
    set_of,
)


class Proven(NamedTuple):
    """A set of evidence, its digest (32 bytes), and the quorum of Held from which it follows."""

    held: tuple[Said, ...]
    bundles: tuple[Bundle, ...]
    value: bytes


@dataclass
class Turn:
    """One turn: the leader's proposal and what it proves, and the votes of each kind by sender."""

    proposal: Said | None = None
    proven: Proven | None = None
    votes: dict[Kind, dict[bytes, Said]] = field(default_factory=lambda: {"prevote": {}, "precommit": {}})

    @property
    def lock_turn(self) -> int:
        """That of the proposal, -1: none."""
        message = self.proposal.message if self.proposal else None
        return message.lock_turn if isinstance(message, Proposal) else -1

    def votes_for(self, kind: Kind, value: bytes) -> tuple[Said, ...]:
        """By ascending sender."""
        cast = sorted(self.votes[kind].items())
        return tuple(said for _, said in cast if isinstance(said.message, Vote) and said.message.value == value)


class Ballots:
    """Collects one epoch's statements of `oracles` (20 bytes each).

    Attributes:
        faulty, quorum: f and how many agree; now: the turn that its owner is in; furthest: {sender: highest turn};
        faults: {sender: two statements of it that contradict each other}.
    """

    def __init__(self, epoch: int, oracles: Iterable[bytes]) -> None:
        self.epoch = epoch
        self.oracles = sorted(oracles)
        self.faulty, self.quorum = faults_of(len(self.oracles)), quorum_of(len(self.oracles))
        self.now = 0
        self.turns: dict[int, Turn] = {}
        self.furthest: dict[bytes, int] = {}
        self.faults: dict[bytes, tuple[Said, Said]] = {}

    def turn(self, number: int) -> Turn:
        """What is known of a turn."""
        return self.turns.setdefault(number, Turn())

    def enter(self, turn: int) -> None:
        """Forget the turns before."""
        self.now = turn
        self.turns = {number: kept for number, kept in self.turns.items() if number >= turn}

    def leader(self, turn: int) -> bytes:
        """Who may propose in a turn."""
        return self.oracles[rules.leader_of(self.epoch, turn, len(self.oracles))]

    def reached_by_others(self) -> int:
        """The highest turn that more than f senders have reached, so at least one honest one; 0 if there is none."""
        reached = sorted(self.furthest.values(), reverse=True)
        return reached[self.faulty] if len(reached) > self.faulty else 0

    def take_vote(self, said: Said, vote: Vote) -> str:
        """Why a vote was rejected, empty if it was not."""
        self._note(said.sender, vote.turn)
        if not self._is_near(vote.turn):
            return "another turn"
        return self._first(self.turn(vote.turn).votes[vote.kind].setdefault(said.sender, said), said, "known vote")

    def take_proposal(self, said: Said, proposal: Proposal) -> str:
        """Why a proposal was rejected, empty if it was not."""
        if said.sender != self.leader(proposal.turn):
            return "not the leader"
        if not self._is_near(proposal.turn):
            return "another turn"
        turn = self.turn(proposal.turn)
        if turn.proposal is not None:
            return self._first(turn.proposal, said, "known proposal")
        proven = self.prove(proposal.held)
        if proven is None:
            return "set without a quorum"
        if proposal.lock_turn >= 0 and not self._is_lock(proposal, proven.value):
            return "lock without a quorum"
        self._note(said.sender, proposal.turn)
        turn.proposal, turn.proven = said, proven
        return ""

    def proven_by(self, decision: Decision) -> Proven | None:
        """The set that a decision proves; None: it proves nothing."""
        proven = self.prove(decision.held)
        if proven is None or not self._is_quorum(decision.votes, decision.turn, "precommit", proven.value):
            return None
        return proven

    def prove(self, held: tuple[Said, ...]) -> Proven | None:
        """The set that follows from Held statements; None: they are no quorum's, or it is empty."""
        senders = {said.sender for said in held if isinstance(said.message, Held) and said.message.epoch == self.epoch}
        if len(senders) != len(held) or len(senders) < self.quorum or not senders <= set(self.oracles):
            return None
        bundles = set_of(held, self.faulty)
        return Proven(held, bundles, digest_of(bundles)) if bundles else None

    def _is_lock(self, proposal: Proposal, value: bytes) -> bool:
        lock_turn = proposal.lock_turn
        return lock_turn < proposal.turn and self._is_quorum(proposal.votes, lock_turn, "prevote", value)

    def _is_quorum(self, votes: tuple[Said, ...], turn: int, kind: Kind, value: bytes) -> bool:
        wanted = Vote(self.epoch, turn, kind, value)
        senders = {said.sender for said in votes if said.message == wanted}
        return len(senders & set(self.oracles)) >= self.quorum

    def _is_near(self, turn: int) -> bool:
        return self.now <= turn <= self.now + 1

    def _note(self, sender: bytes, turn: int) -> None:
        self.furthest[sender] = max(turn, self.furthest.get(sender, 0))

    def _first(self, first: Said, said: Said, known: str) -> str:
        if first is said:
            return ""
        if first.message == said.message:
            return known
        self.faults.setdefault(said.sender, (first, said))
        return "equivocation"

"""Agreement of n oracles on one epoch's set of evidence: statements in, statements out; scores and checks no signature.

The protocol is Tendermint's (rules.py) with proposals that carry their reason: a quorum of Held statements, from which
the set follows (statements.set_of), so that no leader can leave out what all honest oracles hold or bring in what none
holds. ORACLESYNC.md is the specification. Rules beside those of voting:
  1. Nothing is published before the memory that forbids its opposite is durable.
  2. A set is voted for only by who holds every bundle of it.
  3. What is open is published again every RESEND_MS. Whoever says what a decision has made idle is shown the decision,
     which proves itself; so nobody needs another's old messages.
  4. Of clocks it is assumed that one runs less than twice as fast as another, nothing else. A step of turn t is given
     up after (t + 1) * TURN_MS, so some turn lasts longer than messages take, whatever that is.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.oracle import rules
from gateway.oracle.ballots import Ballots, Proven
from gateway.oracle.rules import PREVOTE, PROPOSE, Place
from gateway.oracle.statements import NOTHING, Bundle, Decision, Held, Kind, Message, Proposal, Said, Vote

RESEND_MS = 2_000
TURN_MS = 1_000


@dataclass(frozen=True)
class Memory:
    """What kill -9 must not take: the place, own statements of this turn, the valid set's proof, the decision."""

    place: Place = Place()
    own: tuple[Said, ...] = ()
    lock: Said | None = None
    decision: Said | None = None


class Agreement:
    """One oracle's part. After every input, `drain` returns what to publish, once `memory` is durable.

    Args:
        oracles: addresses of all, 20 bytes; say: signs a message as `me`; holds: whether a bundle (without `missing`)
            is here and verified; memory: what was durable when the oracle ended.
    Attributes:
        decided: the set that was agreed on, or None.
    """

    def __init__(
        self,
        epoch: int,
        me: bytes,
        oracles: Iterable[bytes],
        say: Callable[[Message], Said],
        holds: Callable[[Bundle], bool],
        memory: Memory,
    ) -> None:
        self.epoch, self.me = epoch, me
        self.ballots = Ballots(epoch, oracles)
        self.held: dict[bytes, Said] = {}
        self.decided: Proven | None = None
        self._say, self._holds = say, holds
        self._place = memory.place
        self._own: dict[str, Said] = {}
        self._lock, self._decision = memory.lock, memory.decision
        self._out: list[Said] = []
        self._has_begun = self._is_waiting = False
        self._ends_ms = self._resend_ms = self._shown_ms = 0
        self._recall(memory)

    @property
    def turn(self) -> int:
        """The turn this oracle is in."""
        return self._place.turn

    @property
    def memory(self) -> Memory:
        """To be durable before anything drained is published."""
        return Memory(self._place, tuple(self._own.values()), self._lock, self._decision)

    def begin(self, now_ms: int) -> None:
        """Take part from now on; before, statements are only collected."""
        if not self._has_begun:
            self._has_begun = True
            self._resend_ms = now_ms + RESEND_MS
            self._wait(now_ms)
        self._act(now_ms)

    def hold(self, said: Said, now_ms: int) -> None:
        """Take a Held of this epoch; it replaces the sender's one before."""
        before = self.held.get(said.sender)
        self.held[said.sender] = said
        if before == said:
            self._show(now_ms)
        self._act(now_ms)

    def receive(self, said: Said, now_ms: int) -> str:
        """Take a Vote, Proposal or Decision of one of the oracles. Returns why it was rejected, empty if it was not."""
        message, reason = said.message, "not part of an agreement"
        if isinstance(message, Decision):
            reason = self._take_decision(message)
        elif isinstance(message, Vote):
            reason = self.ballots.take_vote(said, message)
        elif isinstance(message, Proposal):
            reason = self.ballots.take_proposal(said, message)
        if isinstance(message, Vote) and reason in ("known vote", "another turn"):
            self._show(now_ms)
        self._act(now_ms)
        return reason

    def tick(self, now_ms: int) -> None:
        """Time passed: give up a step that took too long, publish again what is open."""
        if not self._has_begun or self.decided is not None:
            return
        if now_ms >= self._ends_ms and (self._place.step == PROPOSE or self._is_waiting):
            self._give_up(now_ms)
        self._act(now_ms)
        if self._out or now_ms >= self._resend_ms:
            self._resend_ms = now_ms + RESEND_MS
            self._out = self._out or list(self._own.values())

    def drain(self) -> list[Said]:
        """What to publish now."""
        out, self._out = self._out, []
        return out

    def wanted(self) -> tuple[Bundle, ...]:
        """Bundles of the proposed or decided set that are not here, without `missing`."""
        proven = self.decided or self.ballots.turn(self.turn).proven
        bundles = [bundle.whole() for bundle in proven.bundles] if proven else []
        return tuple(bundle for bundle in bundles if not self._holds(bundle))

    def _act(self, now_ms: int) -> None:
        """Apply the rules until none applies."""
        while self._has_begun and self.decided is None:
            if not (self._decide() or self._skip(now_ms) or self._propose() or self._vote(now_ms)):
                return

    def _decide(self) -> bool:
        for number, turn in self.ballots.turns.items():
            votes = turn.votes_for("precommit", turn.proven.value) if turn.proven else ()
            if turn.proven is not None and len(votes) >= self.ballots.quorum:
                self.decided = turn.proven
                self._decision = self._say(Decision(self.epoch, number, turn.proven.held, votes))
                return True
        return False

    def _skip(self, now_ms: int) -> bool:
        reached = self.ballots.reached_by_others()
        if reached <= self.turn:
            return False
        self._start(reached, now_ms)
        return True

    def _propose(self) -> bool:
        if self._place.step != PROPOSE or "proposal" in self._own or self.ballots.leader(self.turn) != self.me:
            return False
        lock = self._lock.message if self._lock else None
        if isinstance(lock, Proposal):
            message = Proposal(self.epoch, self.turn, lock.held, lock.lock_turn, lock.votes)
        elif (held := self._proposable()) is not None:
            message = Proposal(self.epoch, self.turn, held)
        else:
            return False
        self.ballots.take_proposal(self._keep("proposal", message), message)
        return True

    def _proposable(self) -> tuple[Said, ...] | None:
        """A quorum of Held for a set that is all here: those of everybody, or else those that name nothing unknown."""
        everybody = tuple(said for _, said in sorted(self.held.items()))
        known = tuple(said for said in everybody if isinstance(said.message, Held) and self._has(said.message.bundles))
        for held in (everybody, known):
            proven = self.ballots.prove(held)
            if proven is not None and self._has(proven.bundles):
                return held
        return None

    def _vote(self, now_ms: int) -> bool:
        """Prevote on the proposal, precommit what a quorum prevoted, or wait a while for who has not voted."""
        place, turn = self._place, self.ballots.turn(self.turn)
        proven = turn.proven if turn.proven and self._has(turn.proven.bundles) else None
        if place.step == PROPOSE:
            if proven is not None:
                self._cast("prevote", rules.prevote_for(place, proven.value, turn.lock_turn), now_ms)
            return proven is not None
        votes = turn.votes_for("prevote", proven.value) if proven else ()
        if proven is not None and place.valid_turn < place.turn and len(votes) >= self.ballots.quorum:
            self._lock = self._say(Proposal(self.epoch, self.turn + 1, proven.held, self.turn, votes))
            self._place = rules.seen(place, proven.value)
            if place.step == PREVOTE:
                self._cast("precommit", proven.value, now_ms)
            return True
        if place.step == PREVOTE and len(turn.votes_for("prevote", NOTHING)) >= self.ballots.quorum:
            self._cast("precommit", NOTHING, now_ms)
            return True
        kind: Kind = "prevote" if place.step == PREVOTE else "precommit"
        if not self._is_waiting and len(turn.votes[kind]) >= self.ballots.quorum:
            self._wait(now_ms)
            self._is_waiting = True
        return False

    def _give_up(self, now_ms: int) -> None:
        if self._place.step == PROPOSE:
            self._cast("prevote", NOTHING, now_ms)
        elif self._place.step == PREVOTE:
            self._cast("precommit", NOTHING, now_ms)
        else:
            self._start(self.turn + 1, now_ms)

    def _cast(self, kind: Kind, value: bytes, now_ms: int) -> None:
        message = Vote(self.epoch, self.turn, kind, value)
        self._place = rules.prevoted(self._place) if kind == "prevote" else rules.precommitted(self._place, value)
        self._is_waiting = False
        self._wait(now_ms)
        self.ballots.take_vote(self._keep(kind, message), message)

    def _start(self, turn: int, now_ms: int) -> None:
        self._place = rules.started(self._place, turn)
        self.ballots.enter(turn)
        self._own.clear()
        self._is_waiting = False
        self._wait(now_ms)

    def _wait(self, now_ms: int) -> None:
        self._ends_ms = now_ms + TURN_MS * (self.turn + 1)

    def _take_decision(self, decision: Decision) -> str:
        if self.decided is not None:
            return "decided before"
        self.decided = self.ballots.proven_by(decision)
        if self.decided is None:
            return "decision without a quorum"
        self._decision = self._say(decision)
        return ""

    def _show(self, now_ms: int) -> None:
        """Somebody repeats itself or is in another turn: show the decision, to all, at most every half RESEND_MS."""
        if self._decision is not None and now_ms >= self._shown_ms:
            self._shown_ms = now_ms + RESEND_MS // 2
            self._out.append(self._decision)

    def _has(self, bundles: Iterable[Bundle]) -> bool:
        return all(self._holds(bundle.whole()) for bundle in bundles)

    def _keep(self, kind: str, message: Message) -> Said:
        said = self._own[kind] = self._say(message)
        self._out.append(said)
        return said

    def _recall(self, memory: Memory) -> None:
        """Stand where the memory says."""
        self.ballots.enter(self.turn)
        for said in memory.own:
            if isinstance(said.message, Vote):
                self._own[said.message.kind] = said
                self.ballots.take_vote(said, said.message)
            elif isinstance(said.message, Proposal):
                self._own["proposal"] = said
                self.ballots.take_proposal(said, said.message)
        if memory.decision is not None and isinstance(memory.decision.message, Decision):
            self.decided = self.ballots.proven_by(memory.decision.message)

"""Every behaviour of four oracles of which one lies, within a bound: exhaustive search for two sets that are agreed on.

It runs the rules that oracles run (rules.py) on all that could be known instead of what arrived: a message that was
sent stays, an oracle may act on any part of them at any time and give up any step at any time, so every loss, delay,
order and clock is covered, and kill -9 too, which changes nothing that was said. The liar needs no state: it is counted
into every quorum for every value at once, and where it leads it proposes to each oracle whatever has a proof. That is
more than a liar can do, so what holds here holds.

Votes for nothing move nobody here, since any step may be given up without them: they are cast only where a vote for a
set follows, and not to have voted in a turn that is over is the same.

Bound: turns 0 to `turns - 1`, two sets A and B that may be proposed. States that differ by names alone are one: the
sets may be swapped, and so may honest oracles that lead in no turn of the bound.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from gateway.oracle import rules
from gateway.oracle.rules import PRECOMMIT, PROPOSE, Place
from gateway.oracle.statements import NOTHING, quorum_of

COUNT, LIAR = 4, 3
A, B, NOT_YET = b"A", b"B", b"-"
SWAPPED = {A: B, B: A, NOTHING: NOTHING, NOT_YET: NOT_YET}


class Actor(NamedTuple):
    """One honest oracle: where it stands, its prevote and precommit of each turn, and what it proposed in each.

    A proposal is (set, turn of the lock), (NOT_YET, -1) where there is none.
    """

    place: Place
    cast: tuple[tuple[bytes, bytes], ...]
    proposed: tuple[tuple[bytes, int], ...]


State = tuple[Actor, ...]


class Found(NamedTuple):
    """What a search came to. disagreement: states from the first to one with decisions for both sets, or None."""

    states: int
    turns: int
    disagreement: tuple[State, ...] | None


class Search:
    """One search.

    Args:
        turns: the bound. liar_leads: the turn in which the liar leads, -1: none; the honest ones lead in the others.
        quorum: how many votes make one; another number than the protocol's to see the search find what breaks.
    """

    def __init__(self, turns: int, liar_leads: int, quorum: int = quorum_of(COUNT)) -> None:
        honest = itertools.cycle(range(COUNT - 1))
        self.turns, self.quorum = turns, quorum
        self.leaders = tuple(LIAR if turn == liar_leads else next(honest) for turn in range(turns))
        self.known: dict[State, State | None] = {}

    def run(self, at_most: int = 5_000_000) -> Found:
        """Search everything.

        Raises:
            MemoryError: more than `at_most` states.
        """
        nobody = Actor(Place(), ((NOT_YET, NOT_YET),) * self.turns, ((NOT_YET, -1),) * self.turns)
        waiting: list[State] = []
        for first in self._entering(nobody, 0, 0):
            self._note((first, *(nobody,) * (COUNT - 2)) if self.leaders[0] == 0 else (nobody,) * 3, None, waiting)
        while waiting:
            state = waiting.pop()
            if all(any(self._have(state, turn, 1, value) for turn in range(self.turns)) for value in (A, B)):
                return Found(len(self.known), self.turns, self._path(state))
            for index, actor in enumerate(state):
                for after in self._moves(state, index, actor):
                    self._note((*state[:index], after, *state[index + 1 :]), state, waiting)
            if len(self.known) > at_most:
                raise MemoryError(f"more than {at_most} states of {self.turns} turns")
        return Found(len(self.known), self.turns, None)

    def _note(self, state: State, before: State | None, waiting: list[State]) -> None:
        led = len(set(self.leaders) - {LIAR})
        named = [(*option[:led], *sorted(option[led:])) for option in (state, tuple(map(_swap, state)))]
        canonical = min(named)
        if canonical not in self.known:
            self.known[canonical] = before
            waiting.append(canonical)

    def _moves(self, state: State, index: int, actor: Actor) -> Iterator[Actor]:
        """What an oracle can do next."""
        place = actor.place
        for later in range(place.turn + 1, self.turns):
            yield from self._entering(actor, index, later)
        if place.step == PROPOSE:
            for value, lock_turn in self._proposable(state, place.turn):
                if (prevote := rules.prevote_for(place, value, lock_turn)) != NOTHING:
                    yield _vote(actor, 0, prevote)
        for value in (A, B):
            if place.step == PRECOMMIT or not self._have(state, place.turn, 0, value):
                continue
            voted = _vote(actor, 0, NOTHING) if place.step == PROPOSE else actor
            seen = voted._replace(place=rules.seen(voted.place, value))
            yield _vote(seen, 1, value)
            if index in self.leaders[place.turn + 1 :]:  # nobody else is asked for it again
                yield _vote(seen, 1, NOTHING)

    def _entering(self, actor: Actor, index: int, turn: int) -> Iterator[Actor]:
        """An oracle starts a turn, and proposes at once if it leads: the set that it knows to be valid, or any."""
        past = tuple((_past(first), _past(second)) for first, second in actor.cast[:turn])
        actor = actor._replace(place=rules.started(actor.place, turn), cast=past + actor.cast[turn:])
        if self.leaders[turn] != index:
            yield actor
            return
        place = actor.place
        for option in [(place.valid, place.valid_turn)] if place.valid_turn >= 0 else [(A, -1), (B, -1)]:
            yield actor._replace(proposed=(*actor.proposed[:turn], option, *actor.proposed[turn + 1 :]))

    def _proposable(self, state: State, turn: int) -> Iterator[tuple[bytes, int]]:
        """What can have been proposed in a turn, with the turn of its lock."""
        leader = self.leaders[turn]
        if leader != LIAR:
            if state[leader].proposed[turn][0] != NOT_YET:
                yield state[leader].proposed[turn]
            return
        for value in (A, B):
            yield value, -1
            yield from ((value, lock_turn) for lock_turn in range(turn) if self._have(state, lock_turn, 0, value))

    def _have(self, state: State, turn: int, kind: int, value: bytes) -> bool:
        """Whether a quorum of votes can be shown, the liar's among them."""
        return 1 + sum(actor.cast[turn][kind] == value for actor in state) >= self.quorum

    def _path(self, state: State) -> tuple[State, ...]:
        path: list[State] = []
        at: State | None = state
        while at is not None:
            path.append(at)
            at = self.known[at]
        return tuple(reversed(path))


def _vote(actor: Actor, kind: int, value: bytes) -> Actor:
    place, turn = actor.place, actor.place.turn
    pair = (value, actor.cast[turn][1]) if kind == 0 else (actor.cast[turn][0], value)
    after = rules.prevoted(place) if kind == 0 else rules.precommitted(place, value)
    return actor._replace(place=after, cast=(*actor.cast[:turn], pair, *actor.cast[turn + 1 :]))


def _past(value: bytes) -> bytes:
    """In a turn that is over, not to have voted and to have voted for nothing are the same."""
    return NOTHING if value == NOT_YET else value


def _swap(actor: Actor) -> Actor:
    place = actor.place
    return Actor(
        place._replace(locked=SWAPPED[place.locked], valid=SWAPPED[place.valid]),
        tuple((SWAPPED[first], SWAPPED[second]) for first, second in actor.cast),
        tuple((SWAPPED[value], lock_turn) for value, lock_turn in actor.proposed),
    )

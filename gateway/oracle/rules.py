"""The rules by which an oracle votes in a turn: pure functions of its place and of what a quorum said; hears nobody.

They are those of Tendermint (Buchman, Kwon, Milosevic: The latest gossip on BFT consensus, arXiv:1807.04938, algorithm
1; the line numbers below are its), in which a "round" is our turn. `agreement` feeds them with what arrived,
`exploration` with everything that could have arrived.
"""

from typing import NamedTuple

from gateway.oracle.statements import NOTHING

PROPOSE, PREVOTE, PRECOMMIT = range(3)


class Place(NamedTuple):
    """Where one oracle stands in an epoch's agreement; the values are digests of sets of evidence, turns -1: none.

    locked: what it sent its last precommit for, in which turn. valid: the newest set that it knows a quorum of
    prevotes for: what it proposes when it leads.
    """

    turn: int = 0
    step: int = PROPOSE
    locked_turn: int = -1
    locked: bytes = NOTHING
    valid_turn: int = -1
    valid: bytes = NOTHING


def leader_of(epoch: int, turn: int, count: int) -> int:
    """Which of `count` oracles, by ascending address, proposes; everyone's turn comes."""
    return (epoch + turn) % count


def prevote_for(place: Place, value: bytes, lock_turn: int) -> bytes:
    """What to prevote on the leader's proposal, made anew (-1) or proven by prevotes of lock_turn (lines 22, 28)."""
    if place.locked_turn <= lock_turn or place.locked == value:
        return value
    return NOTHING


def prevoted(place: Place) -> Place:
    """After a prevote of any kind (lines 27, 33, 60)."""
    return place._replace(step=PREVOTE)


def seen(place: Place, value: bytes) -> Place:
    """After a quorum of prevotes for the set that this turn's leader proposed: to be proposed again (lines 42, 43)."""
    return place._replace(valid_turn=place.turn, valid=value)


def precommitted(place: Place, value: bytes) -> Place:
    """After a precommit for a set of which a quorum of prevotes was seen (lines 38 to 41), or for nothing (45, 64)."""
    if value == NOTHING:
        return place._replace(step=PRECOMMIT)
    return place._replace(step=PRECOMMIT, locked_turn=place.turn, locked=value)


def started(place: Place, turn: int) -> Place:
    """At the start of a later turn (line 11): after a turn without decision, or where more than f are further."""
    return place._replace(turn=turn, step=PROPOSE)

"""The rules of voting, row by row, and every behaviour of four oracles within a bound; planted bugs must be found.

TINYREN_TURNS=3 searches three turns; `make schedules` does that.
"""

import os

import pytest

from gateway.oracle import rules
from gateway.oracle.exploration import Search
from gateway.oracle.rules import Place
from gateway.oracle.statements import NOTHING, faults_of, quorum_of

TURNS = int(os.environ.get("TINYREN_TURNS", "2"))
A, B = b"A", b"B"
ROWS = [  # (locked turn, locked on, proposed, lock of the proposal, prevote)
    (-1, NOTHING, A, -1, A),
    (0, A, A, -1, A),
    (0, A, B, -1, NOTHING),
    (1, A, B, 0, NOTHING),
    (1, A, B, 1, B),
    (1, A, B, 2, B),
    (1, A, A, 0, A),
]


@pytest.mark.parametrize("locked_turn, locked, proposed, lock_turn, wanted", ROWS)
def test_a_lock_yields_only_to_a_newer_one(locked_turn, locked, proposed, lock_turn, wanted):
    assert rules.prevote_for(Place(3, rules.PROPOSE, locked_turn, locked), proposed, lock_turn) == wanted


@pytest.mark.parametrize("count, faults, quorum", [(1, 0, 1), (3, 0, 2), (4, 1, 3), (5, 1, 4), (7, 2, 5), (31, 10, 21)])
def test_two_quorums_share_an_honest_oracle_and_the_honest_are_one(count, faults, quorum):
    assert (faults_of(count), quorum_of(count)) == (faults, quorum)
    assert 2 * quorum - count > faults and count - faults >= quorum


def test_every_turn_has_another_leader_until_all_led():
    assert {rules.leader_of(5, turn, 7) for turn in range(7)} == set(range(7))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("liar_leads", range(-1, TURNS))
def test_no_behaviour_within_the_bound_decides_for_two_sets(liar_leads):
    found = Search(TURNS, liar_leads).run()
    print(f"liar leads turn {liar_leads}: {found.states} states of {found.turns} turns")
    assert found.disagreement is None and found.states > 1_000


def forget_locks(place, value, lock_turn):
    return value


def unlock_by_an_older_lock(place, value, lock_turn):
    return value if lock_turn >= 0 or place.locked in (NOTHING, value) else NOTHING


@pytest.mark.parametrize("planted", [forget_locks, unlock_by_an_older_lock])
def test_a_planted_bug_is_found_with_the_way_to_it(planted, monkeypatch):
    monkeypatch.setattr(rules, "prevote_for", planted)
    turns = 2 if planted is forget_locks else 3
    found = Search(turns, turns - 1).run()
    assert found.disagreement is not None and len(found.disagreement) > 5


def test_a_quorum_of_one_less_is_found():
    assert Search(2, 0, quorum=2).run().disagreement is not None

"""Schedules of a bad network with liars: nothing is settled or counted twice or paid without evidence; all settles.

TINYREN_SCHEDULES=10000 runs so many; `make schedules` does that.
"""

import os
from collections import Counter

import pytest

from gateway.oracle.simulator import Network, Plan, run

SCHEDULES = int(os.environ.get("TINYREN_SCHEDULES", "240"))
KINDS = [  # (name, plan, share of the schedules)
    ("four oracles, one lies, gateways misbehave", Plan(oracles=4, gateways=3), 0.4),
    ("four oracles, one lies", Plan(oracles=4, gateways=1), 0.2),
    ("four oracles, all honest, killed often", Plan(oracles=4, is_bad=False, kills=0.1), 0.1),
    ("seven oracles, two lie, gateways misbehave", Plan(oracles=7, gateways=2), 0.2),
    ("three oracles of a site of one's own", Plan(oracles=3, gateways=1), 0.1),
]


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("plan, share", [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS])
def test_no_schedule_breaks_safety_and_every_epoch_settles_once_the_network_is_whole(plan, share):
    rejected = Counter()
    for seed in range(round(SCHEDULES * share)):
        network = run(Plan(**vars(plan) | {"seed": seed}))
        assert network.violations == [], (plan, seed)
        assert sorted(network.roots) == [1, 2]
        rejected += network.rejected
    if plan.is_bad and plan.oracles > 3:
        assert rejected.keys() >= {"equivocation", "decision without a quorum", "not the leader"}


def test_a_schedule_is_the_same_each_time():
    first, second = run(Plan(seed=3)), run(Plan(seed=3))
    assert (first.roots, first.rejected, first.published) == (second.roots, second.rejected, second.published)


def test_without_anything_bad_every_oracle_says_each_thing_once():
    network = Network(Plan(oracles=7, gateways=1, epochs=1, is_bad=False))
    network.calm(1)
    wanted = {"Held": 7, "Proposal": 1, "Vote": 14, "Signature": 7}
    assert network.violations == [] and network.published == wanted


def test_f_liars_beyond_the_bound_are_found_by_the_same_checks():
    """The checks see what they are for: with two liars among four, roots of two sets can be settled."""
    found = Counter()
    for seed in range(60):
        network = Network(Plan(seed=seed, gateways=3))
        network.liars |= {3}
        network.honest.remove(3)
        del network.oracles[3]
        network.shake(250)
        found.update(text.split(":")[0] for text in network.violations)
    assert found["safety"]

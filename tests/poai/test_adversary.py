"""Every cheat by its name: what it earned in an epoch beside what honest work earned, exactly."""

import pytest

from gateway.oracle.rewards import ND_REWARD_WEI, epoch_reward
from gateway.poai import adversaries
from gateway.poai.adversaries import ADVERSARIES, WINDOWS
from gateway.poai.simulated import KEPT

UNITS = (WINDOWS - 1) * KEPT
ONE_WINDOW = epoch_reward(255 // WINDOWS, 1)
EARNED = {
    "honest work": (ND_REWARD_WEI, UNITS),
    "forged": (0, 0),
    "replayed": (ONE_WINDOW, 0),
    "delayed": (0, 0),
    "back-dated": (ONE_WINDOW, 0),
    "cloned key": (0, UNITS),
    "lying gateway: beacons": (0, 0),
    "lying gateway: receipt times": (0, 0),
    "lying gateway: with its device": (ND_REWARD_WEI, UNITS),
    "withholding gateway: answers": (ND_REWARD_WEI, 0),
    "withholding gateway: its bundle": (epoch_reward(127, 1), WINDOWS // 2 * KEPT),
    "equivocating oracle": (0, 0),
    "f of 3f + 1 oracles": (0, 0),
    "skips half, silent": (ND_REWARD_WEI, 67),
    "skips half, lies": (0, 0),
    "answers challenges only": (0, 0),
    "one window again and again": (ND_REWARD_WEI, UNITS),
    "Sybil devices on one deed": (ND_REWARD_WEI, UNITS),
    "Sybil deeds": (ND_REWARD_WEI, UNITS),
    "sealed: garbage": (0, 0),
    "sealed: to a key of its own": (ND_REWARD_WEI, 0),
    "sealed: a buyer who lies": (ND_REWARD_WEI, UNITS),
    "sealed: a gateway that drops answers": (ND_REWARD_WEI, 0),
    "sealed: a gateway that drops openings": (ND_REWARD_WEI, UNITS),
}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_what_a_cheat_earns(name):
    found = ADVERSARIES[name]()
    assert (found.wei, found.units) == EARNED[name] and found.how != "not noticed"


def test_every_adversary_is_listed_and_none_earns_more_than_honest_work():
    assert list(ADVERSARIES) == list(EARNED)
    assert all(wei <= ND_REWARD_WEI and units <= UNITS for wei, units in EARNED.values())


def test_the_table_names_every_one(monkeypatch):
    names = ("honest work", "forged", "answers challenges only")
    monkeypatch.setattr(adversaries, "ADVERSARIES", {name: ADVERSARIES[name] for name in names})
    lines = adversaries.table().splitlines()[2:]
    assert [line.split(" | ")[0][2:] for line in lines] == list(names) and "| 956 of 956 |" in lines[0]

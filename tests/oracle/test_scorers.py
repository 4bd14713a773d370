"""Two scorers that share no code give one root: over random epochs, honest and hostile, and over two written down.

TINYREN_EPOCHS names how many random epochs; 1,000 are run before a release.
"""

import json
import os
from itertools import pairwise

import pytest

from gateway.settlement.tree import Leaves
from tests.scorer_epochs import VECTORS, both, from_json, make_deeds_only, make_work
from tests.sealed_epochs import make_sealed

EPOCHS = int(os.environ.get("TINYREN_EPOCHS", "200"))
BATCH = 20
# The roots of epoch.json when deeds had the only tree: without accounts and work nothing has changed.
ROOTS = (
    "b409b060717ab4e2318b415e396aab11fa87b40144dd0369ba8fe2146d56da5e",
    "982073ff59cc30a161441012fed5d049434c8b0eacb4a2d5b1918d397fa20307",
)


def in_second(leaves):
    """The leaves as the second scorer tells them."""
    accounts = {owner: wei for owner, wei in leaves.accounts}
    work = {(escrow, job, deed): units for (escrow, job, deed), units in leaves.work}
    return dict(leaves.deeds), accounts, work


def raw(text):
    return bytes.fromhex(text[2:])


def told(result):
    """The leaves, units and frauds of a Result."""
    accounts = {raw(owner): wei for owner, wei in result.accounts.items()}
    work = {(raw(escrow), job, deed): units for escrow, job, deed, units in result.work}
    units = {raw(device): count for device, count in result.units.items()}
    return (result.leaves, accounts, work), units, tuple(map(raw, result.frauds))


@pytest.mark.parametrize("make", [make_deeds_only, make_work, make_sealed])
@pytest.mark.parametrize("batch", range(-(-EPOCHS // (4 * BATCH))))
def test_both_scorers_give_the_same_root_for_random_epochs(batch, make, tmp_path):
    minted = earned = caught = 0
    for number in range(BATCH):
        folder = tmp_path / str(number)
        chain = make(folder, 1000 * batch + number)
        verdicts = both(folder, chain)
        for one, other in verdicts:
            assert other.ok and other.root == "0x" + one.root.hex(), (batch, number)
            assert told(other) == (in_second(one.leaves), dict(one.units), one.frauds)
            minted, earned, caught = minted + one.minted, earned + sum(one.units.values()), caught + len(one.frauds)
        for before, after in pairwise([Leaves(), *(one.leaves for one, _ in verdicts)]):
            check_that_nothing_moves(before, after)
        assert verdicts[-1][0].total == sum(one.minted for one, _ in verdicts)
        check_frauds(chain, verdicts)
    assert minted and (make is make_deeds_only or (earned and caught))


def check_that_nothing_moves(before, after):
    """No leaf shrinks or goes, and their sum is the total."""
    for old, new in zip(in_second(before), in_second(after), strict=True):
        assert all(new.get(key, -1) >= amount for key, amount in old.items())
    assert after.total_wei == sum(in_second(after)[0].values()) + sum(in_second(after)[1].values())


def check_frauds(chain, verdicts):
    """A deed with a fraud has no more units after the epoch than before, and its leaf has not grown."""
    before = Leaves()
    for one, _ in verdicts:
        lost = {deed for deed, (_, _, devices) in chain.bound.items() if set(one.frauds) & set(devices)}
        assert {deed: wei for deed, wei in one.leaves.deeds if deed in lost and wei} == {
            deed: wei for deed, wei in before.deeds if deed in lost and wei
        }
        old = dict(before.work)
        assert all(old.get(key) == units for key, units in one.leaves.work if key[2] in lost)
        before = one.leaves


@pytest.mark.parametrize("name", ["epoch", "epoch_work"])
def test_the_golden_epochs_have_the_roots_that_they_always_had(name, tmp_path):
    golden = json.loads((VECTORS / f"{name}.json").read_text())
    for (one, other), wanted in zip(both(tmp_path, from_json(golden, tmp_path)), golden["epochs"], strict=True):
        assert {"root": one.root.hex(), "total": str(one.total), "evidence": one.evidence.hex()} == wanted
        assert other.root == "0x" + wanted["root"] and other.ok
        assert len(set(one.availability.values())) > 1
        if name == "epoch_work":
            assert one.leaves.deeds and one.leaves.accounts and one.leaves.work
    assert name == "epoch_work" or tuple(epoch["root"] for epoch in golden["epochs"]) == ROOTS

"""The contracts under forge: values that it draws, and long random histories after each of which the accounts agree."""

import re

import pytest

from contracts.compile import CompileError
from contracts.forge import forge
from contracts.mutants import MUTANTS, is_killed

CALLS = 50_000
NOTICED_FAST = "double pay"  # all of them: `make mutants`


@pytest.fixture(scope="module", autouse=True)
def said():
    """What forge says of the contracts as they are."""
    try:
        done = forge()
    except CompileError as error:
        pytest.skip(f"forge cannot be installed: {error}")
    return done


def test_every_test_and_invariant_passes(said):
    assert said.returncode == 0, said.stdout[-4000:] + said.stderr[-1000:]
    assert "0 failed, 0 skipped" in said.stdout


def test_the_invariants_are_tried_on_fifty_thousand_calls_of_which_most_do_something(said):
    found = [(int(calls), int(reverts)) for calls, reverts in re.findall(r"calls: (\d+), reverts: (\d+)", said.stdout)]
    assert sum(calls for calls, _ in found) >= CALLS
    assert all(reverts < calls / 2 for calls, reverts in found)


def test_a_broken_contract_is_noticed():
    assert NOTICED_FAST in MUTANTS and is_killed(NOTICED_FAST)

"""The mutants of agreement and scorers fit the sources as they are; `make mutants` runs them, here two."""

import pytest

from gateway.oracle import mutants

ALL = list(mutants.mutants())


def test_each_mutant_has_a_name_of_its_own_fits_one_place_and_is_python():
    assert len({str(mutant) for mutant in ALL}) == len(ALL)
    for mutant in ALL:
        compile(mutant.broken(), mutant.file, "exec")
        assert mutant.good != mutant.bad and all((mutants.ROOT / test).exists() for test in mutant.tests)


def test_a_mutant_that_fits_no_more_is_an_error_and_no_kill():
    stale = mutants.Mutant("gateway/oracle/rewards.py", "stale", "what is not there", "x", ALL[0].tests)
    with pytest.raises(ValueError, match="rewards.py: stale: the file has 0 such places, wanted one"):
        mutants.fails(stale, stale.tests)


@pytest.mark.parametrize("is_broken", [False, True], ids=["as it is", "broken"])
def test_tests_fail_on_a_mutant_and_not_without_one(is_broken):
    mutant = next(each for each in ALL if each.name == "slots do not share the reward" and "oracle" in each.file)
    assert mutants.fails(mutant if is_broken else None, mutant.tests) == is_broken

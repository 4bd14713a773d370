"""Which deposit pays for which unit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.poai.jobs import MEASURED, VERIFIED, Job, assign

ESCROW, MODEL, OTHER = bytes(20), b"model", b"other"
ANY = frozenset[int]()


def job(number=1, kind=VERIFIED, model=MODEL, workers=ANY, first=1, last=9, most_units=100, price=0):
    return Job(ESCROW, number, kind, model, workers, first, last, most_units, price)


@pytest.mark.parametrize(
    ("jobs", "epoch", "before", "wanted"),
    [
        ([job()], 1, {}, {(1, 5): 30, (1, 7): 20}),
        ([job(first=2)], 1, {}, {}),
        ([job(last=1)], 2, {}, {}),
        ([job(model=OTHER)], 1, {}, {}),
        ([job(kind=MEASURED)], 1, {}, {(1, 5): 4}),
        ([job(workers=frozenset({7}))], 1, {}, {(1, 7): 20}),
        ([job(most_units=40)], 1, {}, {(1, 5): 30, (1, 7): 10}),
        ([job(most_units=40)], 1, {(ESCROW, 1, 9): 15}, {(1, 5): 25}),
        ([job(most_units=40)], 1, {(ESCROW, 1, 9): 40}, {}),
        ([job(most_units=40)], 1, {(ESCROW, 1, 9): 41}, {}),
        ([job(most_units=40)], 1, {(ESCROW, 2, 9): 40, (b"\1" * 20, 1, 9): 40}, {(1, 5): 30, (1, 7): 10}),
        ([job(2), job(1, most_units=35)], 1, {}, {(1, 5): 30, (1, 7): 5, (2, 7): 15}),
        ([job(1, price=1), job(2, most_units=35, price=2)], 1, {}, {(2, 5): 30, (2, 7): 5, (1, 7): 15}),
    ],
    ids=[
        *("all", "not yet", "over", "another model", "another kind", "named workers", "little room"),
        *("less room", "no room", "overdrawn", "another job's units", "overflow", "the dearest first"),
    ],
)
def test_a_job_takes_units_of_its_own_while_there_is_room(jobs, epoch, before, wanted):
    units = {(VERIFIED, MODEL, 7): 20, (VERIFIED, MODEL, 5): 30, (MEASURED, MODEL, 5): 4}
    assert assign(epoch, units, jobs, before) == {(ESCROW, *key): count for key, count in wanted.items()}


def test_negative_units_are_refused():
    with pytest.raises(ValueError, match="wanted 0 or more"):
        assign(1, {(VERIFIED, MODEL, 7): -1}, [job()], {})


SOME_JOBS = st.lists(
    st.builds(
        job,
        number=st.integers(1, 5),
        kind=st.sampled_from((VERIFIED, MEASURED)),
        model=st.sampled_from((MODEL, OTHER)),
        workers=st.frozensets(st.integers(1, 4), max_size=2),
        first=st.integers(1, 3),
        last=st.integers(1, 3),
        most_units=st.integers(0, 50),
    ),
    max_size=5,
    unique_by=lambda job: job.number,
)
SOME_UNITS = st.dictionaries(
    st.tuples(st.sampled_from((VERIFIED, MEASURED)), st.sampled_from((MODEL, OTHER)), st.integers(1, 4)),
    st.integers(0, 40),
)


@given(SOME_JOBS, SOME_UNITS, SOME_UNITS)
@settings(max_examples=200)
def test_no_unit_is_counted_twice_and_no_deposit_is_overdrawn_in_any_epochs(jobs, first, second):
    before = {}
    for epoch, units in ((1, first), (2, second)):
        found = assign(epoch, units, jobs, before)
        assert found == assign(epoch, dict(reversed(units.items())), jobs[::-1], before) and 0 not in found.values()
        for kind, model, deed in units:
            same = {one.number for one in jobs if (one.kind, one.model) == (kind, model)}
            taken = sum(count for (_, number, worker), count in found.items() if worker == deed and number in same)
            assert taken <= units[kind, model, deed]
        for key, count in found.items():
            before[key] = before.get(key, 0) + count
    for one in jobs:
        assert sum(count for (_, number, _), count in before.items() if number == one.number) <= one.most_units

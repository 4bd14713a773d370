"""What is to be done follows from what is kept and what is there: one run at a time, whoever is killed whenever."""

import random

import pytest

from gateway.workloads.reconcile import (
    BEGIN,
    CREATE,
    DISCARD,
    FINISH,
    START,
    STOP,
    TIME_GRACE_MS,
    Action,
    Desired,
    reconcile,
)
from gateway.workloads.restart import LONGEST_PAUSE_MS, STEADY_MS, Ended, Restart, is_hasty, next_start
from gateway.workloads.runs import CREATED, ENDED, RUNNING, Run, Seen
from gateway.workloads.service import is_finished
from gateway.workloads.workload import parse

NOW_MS = 1_000_000
WELL = Ended(True, NOW_MS - 10_000, 0)
FAILED = Ended(False, NOW_MS - 10_000, 1)


def job(begun=0, finished=0, ended=None, base=0, wanted=True, policy="on-failure", held="", most=5):
    return Desired("j", wanted, base, begun, finished, ended, Restart(policy, most), 60, held)


def there(number, state, started_ms=NOW_MS - 1000):
    return Seen(Run("j", number), state, 1, started_ms)


@pytest.mark.parametrize(
    ("desired", "rows", "sick", "wanted"),
    [
        # nothing is there
        (job(), [], [], (BEGIN, 1)),
        (job(held="paid"), [], [], None),
        (job(wanted=False), [], [], None),
        (job(begun=1), [], [], (CREATE, 1)),
        (job(begun=1, wanted=False), [], [], None),
        (job(begun=1, held="paid"), [], [], None),
        (job(1, 1, WELL), [], [], None),
        (job(1, 1, FAILED), [], [], (BEGIN, 2)),
        (job(1, 1, FAILED._replace(ended_ms=NOW_MS)), [], [], None),
        (job(1, 1, WELL, policy="always"), [], [], (BEGIN, 2)),
        (job(1, 1, FAILED, policy="never"), [], [], None),
        (job(9, 9, Ended(False, 0, 6)), [], [], None),
        (job(3, 3, base=3), [], [], (BEGIN, 4)),
        (job(3, 2, base=3), [], [], (BEGIN, 4)),  # its last run was another workload's, and is gone
        # one is there
        (job(1), [there(1, CREATED)], [], (START, 1)),
        (job(1, held="paid"), [there(1, CREATED)], [], None),
        (job(1, wanted=False), [there(1, CREATED)], [], (DISCARD, 1)),
        (job(1, base=1), [there(1, CREATED)], [], (DISCARD, 1)),
        (job(1, 1, FAILED), [there(1, CREATED)], [], (DISCARD, 1)),  # it could not start
        (job(1), [there(1, RUNNING)], [], None),
        (job(1, held="paid"), [there(1, RUNNING)], [], None),
        (job(1), [there(1, RUNNING)], [1], (STOP, 1)),
        (job(1, wanted=False), [there(1, RUNNING)], [], (STOP, 1)),
        (job(1, base=1), [there(1, RUNNING)], [], (STOP, 1)),
        (job(1), [there(1, RUNNING, NOW_MS - 60_000)], [], None),
        (job(1), [there(1, RUNNING, NOW_MS - 60_000 - TIME_GRACE_MS)], [], (STOP, 1)),
        (job(1), [there(1, ENDED)], [], (FINISH, 1)),
        (job(1, wanted=False), [there(1, ENDED)], [], (FINISH, 1)),
        (job(1, 1, FAILED), [there(1, ENDED)], [], (DISCARD, 1)),
    ],
)
def test_one_action_follows(desired, rows, sick, wanted):
    actions = reconcile([desired], rows, [Run("j", number) for number in sick], NOW_MS)
    assert [(action.kind, action.run.number) for action in actions] == ([wanted] if wanted else [])


@pytest.mark.parametrize(("state", "kind"), [(RUNNING, STOP), (CREATED, DISCARD), (ENDED, DISCARD)])
def test_what_no_job_is_known_of_is_ended(state, kind):
    assert [action.kind for action in reconcile([], [there(1, state)], [], NOW_MS)] == [kind]


def test_a_pause_doubles_up_to_the_longest_and_ends_after_the_most():
    pauses = []
    for hasty in range(1, 14):
        pauses.append(next_start(Restart("always", 12), Ended(False, 0, hasty)).at_ms)
    assert pauses[:4] == [1000, 2000, 4000, 8000] and pauses[11] == LONGEST_PAUSE_MS and pauses[12] is None
    assert "given up: 13 runs" in next_start(Restart("always", 12), Ended(False, 0, 13)).reason
    assert next_start(Restart("on-failure", 0), FAILED).at_ms is None


@pytest.mark.parametrize(("ok", "ran_ms", "hasty"), [(True, STEADY_MS, False), (True, 0, True), (False, 10**9, True)])
def test_a_run_that_failed_or_was_short_counts(ok, ran_ms, hasty):
    assert is_hasty(ok, ran_ms) is hasty


class World:
    """A machine with one job: what is kept, what is there, and a gateway that may die before and after each effect."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.begun = self.finished = self.base = 0
        self.wanted, self.ended, self.there, self.begins = True, None, {}, []

    def look(self, now_ms):
        kept = job(self.begun, self.finished, self.ended, self.base, self.wanted, "always", most=10**6)
        rows = [there(number, state, now_ms) for number, state in self.there.items()]
        for action in reconcile([kept], rows, [], now_ms):
            self.act(action, now_ms)

    def act(self, action, now_ms):
        kind, number = action.kind, action.run.number
        if kind == BEGIN:
            self.begun = number
        if kind in (BEGIN, CREATE) and self.random.random() < 0.7:  # else killed between the two
            self.there.setdefault(number, CREATED)
        if kind == START:
            assert self.there[number] == CREATED
            self.there[number] = RUNNING
            self.begins.append(number)
        if kind == STOP and self.random.random() < 0.7:
            self.there[number] = ENDED
        if kind == FINISH:
            self.finished = number
            self.ended = Ended(False, now_ms, 1) if number > self.base else None
        if kind == DISCARD and self.random.random() < 0.7:
            del self.there[number]

    def happens(self):
        chance = self.random.random()
        for number, state in self.there.items():
            if state == RUNNING and chance < 0.1:
                self.there[number] = ENDED
        if 0.1 < chance < 0.15:
            self.wanted = not self.wanted
        if 0.15 < chance < 0.2:  # another workload
            self.base, self.ended = self.begun, None


@pytest.mark.parametrize("seed", range(40))
def test_at_no_time_are_there_two_runs_and_none_runs_twice(seed):
    world = World(seed)
    for step in range(300):
        world.look(2000 * step)
        assert sum(state == RUNNING for state in world.there.values()) <= 1
        world.happens()
    assert len(world.begins) == len(set(world.begins)) > 5


def test_a_run_that_goes_on_is_left_alone_at_every_later_look():
    for now_ms in range(NOW_MS, NOW_MS + 60_000, 1000):
        assert reconcile([job(1)], [there(1, RUNNING, NOW_MS)], [], now_ms) == []


def test_a_reason_goes_with_a_stop():
    (action,) = reconcile([job(1, wanted=False)], [there(1, RUNNING)], [], NOW_MS)
    assert action == Action(STOP, Run("j", 1), "removed")


TASK, SERVICE = {"restart": {"policy": "never"}}, {}
CHECKED = {"health": {"tcp": 80}}
FINISHED = [
    (SERVICE, "waiting", "", 0, False),
    (SERVICE, "held", "", 0, True),
    (SERVICE, "ended", "", 0, True),
    (SERVICE, "failed", "", 0, True),
    (SERVICE, "running", "", STEADY_MS - 1, False),
    (SERVICE, "running", "", STEADY_MS, True),
    (SERVICE, "ending", "", STEADY_MS, False),
    (TASK, "running", "", STEADY_MS, False),
    (TASK, "ended", "", 0, True),
    (CHECKED, "running", "starting", STEADY_MS, False),
    (CHECKED, "running", "healthy", 0, True),
    (CHECKED, "running", "unhealthy", STEADY_MS, False),
]


@pytest.mark.parametrize("fields, state, health, up_ms, finished", FINISHED)
def test_a_job_is_waited_for_until_it_is_over_or_serves(fields, state, health, up_ms, finished):
    assert is_finished(parse({"container": {"image": "alpine", **fields}}), state, health, up_ms) is finished

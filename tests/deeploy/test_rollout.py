"""Reconcile: a table of what is due in which situation, and rollouts of many devices with random ends, step by step."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.deeploy.reconcile import (
    AGENT,
    AT_ONCE,
    CONFIRMED,
    FAILED,
    FETCHING,
    HALTED,
    MODEL,
    PAUSED,
    REFUSED,
    RETRY_MS,
    TRYING,
    Advance,
    Desired,
    Halt,
    Observed,
    Progress,
    Rollout,
    Send,
    admit,
    count_of,
    lead,
    led,
    phase,
    reconcile,
)

NOW_MS = 1_000_000
A, B, C = b"a" * 20, b"b" * 20, b"c" * 20
JOB = Desired("job", (A, B, C), {("m", MODEL): 5})
STEPS = Rollout((1, "100%"))
ONLINE = Observed("m", True)


def at(state, sequence=5, kind=MODEL, **more):
    """A device that last spoke of a sequence."""
    running = sequence if state == CONFIRMED else 0
    return Observed("m", True, {kind: Progress(running, sequence, state, at_ms=NOW_MS, **more)})


def asked(sequence=5, ago_ms=0, kind=MODEL, first_ago_ms=None):
    first_ms = NOW_MS - (ago_ms if first_ago_ms is None else first_ago_ms)
    return Observed("m", True, {kind: Progress(asked=sequence, asked_ms=first_ms, sent_ms=NOW_MS - ago_ms)})


def due(jobs, **observed):
    by_id = {"a": A, "b": B, "c": C}
    return reconcile(jobs, {by_id[name]: seen for name, seen in observed.items()}, NOW_MS)


def sends(*devices, kind=MODEL, job="job"):
    return [Send(device, job, kind) for device in devices]


ALL = {"a": ONLINE, "b": ONLINE, "c": ONLINE}
BOTH = replace(JOB, sequences={("m", MODEL): 5, ("m", AGENT): 3})
STEPPED = replace(JOB, rollout=STEPS)
TABLE = {
    "everyone is sent the manifest": ([JOB], ALL, sends(A, B, C)),
    "who is not online is not sent it": ([JOB], {**ALL, "b": Observed("m", False)}, sends(A, C)),
    "who trusts no update key is not sent it": ([JOB], {**ALL, "b": replace(ONLINE, trusts=False)}, sends(A, C)),
    "another board has no manifest": ([JOB], {**ALL, "b": Observed("other", True)}, sends(A, C)),
    "a step admits one device": ([STEPPED], ALL, sends(A)),
    "a step admits one that is online": ([STEPPED], {**ALL, "a": Observed("m", False)}, sends(B)),
    "who was asked is waited for": ([STEPPED], {**ALL, "a": asked()}, []),
    "who does not answer is asked again": ([STEPPED], {**ALL, "a": asked(ago_ms=RETRY_MS)}, sends(A)),
    "who fetches is waited for": ([STEPPED], {**ALL, "a": at(FETCHING)}, []),
    "who does not go on fetching is sent it again": (
        [STEPPED],
        {**ALL, "a": Observed("m", True, {MODEL: Progress(0, 5, FETCHING, at_ms=NOW_MS - RETRY_MS)})},
        sends(A),
    ),
    "who tries is waited for": ([STEPPED], {**ALL, "a": at(TRYING)}, []),
    "the next step begins when the first ended well": ([STEPPED], {**ALL, "a": at(CONFIRMED)}, [Advance("job", 1)]),
    "the next step waits": (
        [replace(JOB, rollout=replace(STEPS, wait_ms=1))],
        {**ALL, "a": at(CONFIRMED)},
        [],
    ),
    "a step is not over while one of its devices tries": (
        [replace(JOB, rollout=Rollout((2, "100%")))],
        {**ALL, "a": at(CONFIRMED), "b": at(TRYING)},
        [],
    ),
    "a step is not over while nobody is ready": ([STEPPED], dict.fromkeys("abc", Observed("m", False)), []),
    "a step goes on past failures that were forgiven": (
        [replace(STEPPED, forgiven=1)],
        {**ALL, "a": at(FAILED)},
        [Advance("job", 1)],
    ),
    "one failure of one halts": (
        [STEPPED],
        {**ALL, "a": at(FAILED)},
        [Halt("job", "1 of 1 devices failed, wanted less than 5 %")],
    ),
    "a refusal counts as a failure": (
        [JOB],
        {**ALL, "a": at(REFUSED)},
        [Halt("job", "1 of 3 devices failed, wanted less than 5 %")],
    ),
    "no answer in time counts as a failure": (
        [JOB],
        {**ALL, "a": asked(ago_ms=0, first_ago_ms=600_001)},
        [Halt("job", "1 of 3 devices failed, wanted less than 5 %")],
    ),
    "a failure that was forgiven does not halt": ([replace(JOB, forgiven=1)], {**ALL, "a": at(FAILED)}, sends(B, C)),
    "what failed is not sent again": ([replace(JOB, forgiven=3)], dict.fromkeys("abc", at(FAILED)), []),
    "what is confirmed is not sent again": ([JOB], dict.fromkeys("abc", at(CONFIRMED)), []),
    "a higher sequence is": ([JOB], dict.fromkeys("abc", at(FAILED, sequence=4)), sends(A, B, C)),
    "paused does nothing": ([replace(JOB, state=PAUSED)], {**ALL, "a": at(FAILED)}, []),
    "halted does nothing": ([replace(JOB, state=HALTED)], ALL, []),
    "an agent goes before a model": ([BOTH], {"a": ONLINE}, sends(A, kind=AGENT)),
    "a model waits for its agent": ([BOTH], {"a": at(TRYING, 3, AGENT)}, []),
    "a model follows its agent": ([BOTH], {"a": at(CONFIRMED, 3, AGENT)}, sends(A)),
    "a newer job leads": ([JOB, replace(JOB, name="new", sequences={("m", MODEL): 6})], ALL, sends(A, B, C, job="new")),
    "a newer job that is paused leads too": (
        [JOB, replace(JOB, name="new", sequences={("m", MODEL): 6}, state=PAUSED)],
        ALL,
        [],
    ),
    "who is busy with another job is sent nothing": ([JOB], {**ALL, "a": at(TRYING, 3, AGENT)}, sends(B, C)),
    "who tries an older sequence is sent nothing": ([JOB], {**ALL, "a": at(TRYING, 4)}, sends(B, C)),
}


@pytest.mark.parametrize("jobs, observed, wanted", TABLE.values(), ids=TABLE)
def test_what_is_due(jobs, observed, wanted):
    assert due(jobs, **observed) == wanted
    assert due(jobs, **observed) == wanted


@pytest.mark.parametrize(
    "step, devices, wanted", [(1, 3, 1), (5, 3, 3), ("25%", 3, 1), ("25%", 100, 25), ("1%", 250, 3), ("100%", 0, 0)]
)
def test_a_step_admits_whole_devices_and_at_least_one(step, devices, wanted):
    assert count_of(step, devices) == wanted


def test_no_more_devices_fetch_at_once_than_may():
    many = tuple(bytes([number]) * 20 for number in range(40))
    job = replace(JOB, devices=many)
    observed = {device: asked() if number < 10 else ONLINE for number, device in enumerate(many)}
    assert len(reconcile([job], observed, NOW_MS)) == AT_ONCE - 10


class World:
    """Devices that answer manifests as `ends` says, and the gateway's part of it as service.py carries it out."""

    def __init__(self, ends, rollout):
        self.ends = {bytes([number]) * 20: end for number, end in enumerate(ends)}
        self.job = Desired("job", tuple(self.ends), {("m", MODEL): 7}, rollout)
        self.observed = {device: ONLINE for device in self.ends}
        self.now_ms, self.sent = NOW_MS, []

    def turn(self):
        """One turn of the gateway, which must not repeat itself; what it did."""
        actions = reconcile([self.job], self.observed, self.now_ms)
        for action in actions:
            if isinstance(action, Send):
                self.sent.append(action.device)
                asked = Progress(asked=7, asked_ms=self.now_ms, sent_ms=self.now_ms)
                self.observed[action.device] = Observed("m", True, {MODEL: asked})
            elif isinstance(action, Advance):
                self.job = replace(self.job, step=action.step, step_ms=self.now_ms)
            else:
                self.job = replace(self.job, state=HALTED)
        return actions

    def answer(self, device):
        """The device's next word."""
        self.now_ms += 10
        before = self.observed[device].of(MODEL)
        state = {0: FETCHING, FETCHING: TRYING}.get(before.state, self.ends[device])
        running = 7 if state == CONFIRMED else 0
        after = replace(before, running=running, sequence=7, state=state, at_ms=self.now_ms)
        self.observed[device] = Observed("m", True, {MODEL: after})

    def failed(self):
        return sum(seen.of(MODEL).state == FAILED for seen in self.observed.values())

    def busy(self):
        return [device for device in self.sent if self.observed[device].of(MODEL).state in (0, FETCHING, TRYING)]

    def phases(self):
        leading = lead([self.job], self.observed)
        return {
            device: phase(self.job, device, self.observed, leading, self.now_ms)
            for device in led(self.job, self.observed, leading)
        }


ENDS = st.lists(st.sampled_from([CONFIRMED] * 12 + [FAILED]), min_size=1, max_size=60)
ROLLOUTS = st.builds(
    Rollout,
    steps=st.sampled_from([("100%",), (1, "100%"), (1, "25%", "100%"), (2, 5, "50%", "100%")]),
    halt_percent=st.integers(1, 100),
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(ENDS, ROLLOUTS, st.randoms(use_true_random=False))
def test_a_rollout_tries_nothing_twice_halts_in_time_and_else_reaches_every_device(ends, rollout, random):
    world = World(ends, rollout)
    for _ in range(20 * len(ends) + 20):
        while world.turn():
            pass
        assert len(set(world.sent)) == len(world.sent)
        assert len(world.busy()) <= AT_ONCE
        admitted = admit(world.job, world.phases(), world.observed)
        assert set(world.sent) <= set(admitted)
        is_over = world.failed() * 100 >= rollout.halt_percent * len(admitted) and world.failed() > 0
        assert (world.job.state == HALTED) == is_over
        if is_over:
            break
        if not world.busy():
            break
        world.answer(random.choice(world.busy()))
    if world.job.state != HALTED:
        assert {device for device, seen in world.observed.items() if seen.of(MODEL).state} == set(world.ends)
    before = list(world.sent)
    world.now_ms += 10_000
    while world.busy():
        world.answer(world.busy()[0])
        if world.job.state == HALTED:
            assert not world.turn()
    assert world.sent == before or world.job.state != HALTED


def test_a_refusal_stays_one_however_long_ago_it_was():
    seen = {A: Observed("m", True, {MODEL: Progress(0, 5, REFUSED, at_ms=1, asked=5, asked_ms=1)})}
    assert phase(JOB, A, seen, {(A, MODEL): "job"}, NOW_MS * 10) == "refused"

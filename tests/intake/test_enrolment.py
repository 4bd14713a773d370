"""Who is bound to which deed, and who is asked for a signature when; with a clock that is a number and no chain."""

import pytest

from gateway.intake.enrolment import RETRY_S, VALID_S, Enrolment, PlannedDeed, assign, choose_deed, plan_deeds

A, B, C, STRANGER = (bytes([number]) * 20 for number in (1, 2, 3, 9))
EMPTY = {1: (4, ()), 2: (1, ())}
SIGNATURE = bytes(65)


class Scene:
    """An enrolment whose effects are remembered."""

    def __init__(self):
        self.now_s, self.asked, self.bound = 0.0, [], []
        self.enrolment = Enrolment(
            lambda *request: self.asked.append(request),
            lambda device: 7,
            lambda *binding: self.bound.append(binding),
            lambda: self.now_s,
            lambda: 1_000_000.0,
        )


@pytest.fixture
def scene():
    return Scene()


def test_the_first_deeds_are_those_of_the_issue():
    assert plan_deeds(3) == (PlannedDeed(1, 4, 1), PlannedDeed(2, 1, 2))
    assert [choose_deed(index) for index in range(3)] == [1, 1, 2]


@pytest.mark.parametrize("devices", range(65))
def test_every_device_finds_a_slot_in_the_planned_deeds_and_none_is_overfull(devices):
    deeds = {deed.number: (deed.slots, ()) for deed in plan_deeds(devices)}
    chosen = assign([bytes([index]) * 20 for index in range(devices)], deeds)
    assert len(chosen) == devices and [*chosen.values()] == [choose_deed(index) for index in range(devices)]
    assert all([*chosen.values()].count(number) <= slots for number, (slots, _) in deeds.items())


@pytest.mark.parametrize(
    ("devices", "deeds", "chosen"),
    [
        ([A, B, C], EMPTY, {A: 1, B: 1, C: 2}),
        ([A, None, C], EMPTY, {A: 1, C: 2}),
        ([A, B, C], {1: (4, (A, B)), 2: (1, (C,))}, {}),
        ([A, B, C], {1: (4, (A, B)), 2: (1, (STRANGER,))}, {C: 1}),
        ([A, B, C], {1: (1, (A,)), 2: (1, ())}, {B: 2}),
        ([A], {}, {}),
        ([], EMPTY, {}),
    ],
)
def test_a_device_gets_its_planned_deed_or_the_first_with_a_free_slot(devices, deeds, chosen):
    assert assign(devices, deeds) == chosen


def test_a_device_that_does_not_answer_is_asked_again_with_the_same_request(scene):
    for scene.now_s in (0.0, RETRY_S / 2, RETRY_S, 2.5 * RETRY_S):
        scene.enrolment.want({A: 1})
    assert scene.asked == [(A, 1, 7, 1_000_000 + VALID_S)] * 3


def test_an_answer_binds_once_with_what_was_asked(scene):
    scene.enrolment.want({A: 1})
    assert scene.enrolment.answered([(A, 7, SIGNATURE), (A, 7, SIGNATURE)]) == [A]
    assert scene.bound == [(A, 1, 7, 1_000_000 + VALID_S, SIGNATURE)]


@pytest.mark.parametrize("answer", [(STRANGER, 7, SIGNATURE), (A, 6, SIGNATURE)], ids=["not asked", "other nonce"])
def test_who_was_not_asked_is_not_bound_and_who_was_still_can_be(scene, answer):
    scene.enrolment.want({A: 1})
    assert scene.enrolment.answered([answer]) == [] and scene.bound == []
    assert scene.enrolment.answered([(A, 7, SIGNATURE)]) == [A]


def test_a_request_for_another_deed_replaces_the_first(scene):
    scene.enrolment.want({A: 1})
    scene.enrolment.want({A: 2})
    assert [deed for _, deed, *_ in scene.asked] == [1, 2]
    scene.enrolment.answered([(A, 7, SIGNATURE)])
    assert [deed for _, deed, *_ in scene.bound] == [2]

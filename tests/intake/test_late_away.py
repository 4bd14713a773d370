"""A gateway that is away for an hour, and a device that is reset meanwhile: everything arrives once, or is counted."""

import pytest

from tests.agent.test_ring import PAGE_BYTES, Chip
from tests.late_scene import Scene


def arrived_once(scene):
    """All that the device counted arrived, live or late, each once and in order, or is in the count of drops."""
    account, live, late = scene.account(), scene.live(), scene.late()
    assert live == sorted(set(live)) and late == sorted(set(late)) and not set(live) & set(late)
    assert set(live) | set(late) <= set(scene.made)
    assert (account.live, account.late) == (len(live), len(late))
    assert len(live) + len(late) + account.dropped == len(scene.made)
    assert account.missing == 0
    return account


def test_an_hour_without_a_gateway_and_with_resets_leaves_no_gap(tmp_path):
    scene = Scene(tmp_path)
    scene.pass_s(600)
    assert scene.account().live == 10

    scene.go()
    for minutes in (7, 13, 1, 20, 19):
        scene.pass_s(60 * minutes + 5)
        scene.boot("watchdog")
    scene.pass_s(61)
    scene.come()
    scene.pass_s(300)

    account = arrived_once(scene)
    assert account.dropped == 0 and 55 <= account.late <= 61 and scene.agent.late.ring.held == 0
    assert scene.lives == 6


def test_what_does_not_fit_is_dropped_oldest_first_and_counted_through_resets(tmp_path):
    scene = Scene(tmp_path, Chip(0, 3 * PAGE_BYTES))
    scene.pass_s(120)

    scene.go()
    for _ in range(4):
        scene.pass_s(2700)
        scene.boot("power")
    scene.come()
    scene.pass_s(600)

    account = arrived_once(scene)
    assert account.dropped > 60 and scene.late()[-1] >= scene.made[-12]
    assert scene.late() == scene.made[2 + account.dropped : 2 + account.dropped + account.late]


def test_a_reset_in_the_middle_of_sending_sends_again_and_nothing_counts_twice(tmp_path):
    scene = Scene(tmp_path)
    scene.pass_s(60)
    scene.go()
    scene.pass_s(7200)
    scene.come()
    scene.pass_s(65)
    assert 0 < scene.agent.late.ring.held < 110

    for _ in range(3):
        scene.boot("power")
        scene.pass_s(61)

    scene.pass_s(600)
    arrived_once(scene)


def test_a_gateway_that_is_killed_before_it_acknowledges_gets_the_batch_again(tmp_path):
    scene = Scene(tmp_path)
    scene.pass_s(60)
    scene.go()
    scene.pass_s(1200)
    scene.come()
    publish, held = scene.site.line.publish, scene.agent.late.ring.held
    scene.site.line.publish = lambda topic, payload, *_: None if "late_ack" in topic else publish(topic, payload)
    scene.pass_s(120)
    assert scene.agent.late.ring.held >= held and scene.account().late == 12
    scene.site.line.publish = publish

    scene.pass_s(600)

    arrived_once(scene)
    assert scene.site.registry.rejected["replay"] >= 1


def test_a_heartbeat_that_is_given_up_arrives_late_and_one_that_arrived_after_all_counts_once(tmp_path):
    scene = Scene(tmp_path)
    scene.pass_s(180)
    publish = scene.site.line.publish
    scene.site.line.publish = lambda topic, payload, *_: None if topic.endswith("/ack") else publish(topic, payload)
    scene.pass_s(180)
    scene.site.line.publish = publish

    scene.pass_s(180)

    account = arrived_once(scene)
    assert (account.live, account.late) == (9, 0) and scene.agent.counts["unacknowledged"] == 2
    assert scene.agent.late.counts["kept"] == 3 and scene.agent.late.ring.held == 0


@pytest.mark.parametrize(("window_ms", "hours"), [(60_000, 23), (5_000, 2), (1_000, 0)])
def test_the_budget_is_what_the_ring_has_room_for_at_the_present_rate(tmp_path, window_ms, hours):
    scene = Scene(tmp_path, window_ms=window_ms)
    scene.pass_s(60)
    assert scene.agent.late.budget == hours

    scene.go()
    scene.pass_s(hours * 3600 or 600)

    assert scene.agent.late.ring.dropped == 0 and scene.agent.late.budget <= max(0, hours - 1)


def test_the_budget_falls_while_the_gateway_is_away_and_rises_when_all_is_delivered(tmp_path):
    scene = Scene(tmp_path, Chip(0, 20 * PAGE_BYTES))
    scene.pass_s(120)
    before = scene.agent.late.budget
    scene.go()
    scene.pass_s(4 * 3600)
    assert before - 5 <= scene.agent.late.budget <= before - 3

    scene.come()
    scene.pass_s(1800)

    assert scene.agent.late.budget >= before - 1
    arrived_once(scene)

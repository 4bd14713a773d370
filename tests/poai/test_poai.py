"""Proof of AI as numbers: what is claimed, drawn, checked and paid; every way of not computing earns less."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import wire
from gateway.oracle.availability import FULL
from gateway.oracle.epoch import SignerKeys
from gateway.oracle.rewards import Deed
from gateway.poai import answers, chance, verdict
from gateway.poai.claims import Claim, Counts
from gateway.poai.draw import CHALLENGES, Turn, draw, turns
from gateway.poai.jobs import VERIFIED
from gateway.poai.simulated import KEPT, MODEL, Device, Epoch, block_hash
from gateway.poai.verdict import FRAUD, MISSED, SOUND, Work

ROOT = Path(__file__).parents[2]
OTHER = MODEL[:-1] + b"\1"


def payload(sequence, count, boot=1, model=MODEL, chain=bytes(16)):
    return wire.encode_heartbeat(bytes(14), boot, sequence, model, count, chain, 0)


@pytest.mark.parametrize(
    "beats, wanted",
    [
        ([payload(1, 3)], [(1, 3)]),
        ([payload(1, 9)], [(6, 9)]),
        ([payload(1, 2), payload(2, 5)], [(1, 2), (3, 5)]),
        ([payload(2, 5), payload(3, 7)], [None, (6, 7)]),
        ([payload(1, 2), payload(3, 5)], [(1, 2), None]),
        ([payload(1, 2), payload(2, 2)], [(1, 2), None]),
        ([payload(1, 5), payload(2, 3)], [(2, 5), None]),
        ([payload(1, 5), payload(1, 2, boot=2), payload(2, 3, boot=2)], [(2, 5), (1, 2), (3, 3)]),
        ([payload(1, 5), payload(2, 6, boot=2)], [(2, 5), None]),
        ([payload(1, 2), payload(2, 4, model=OTHER), payload(3, 5, model=OTHER)], [(1, 2), None, (5, 5)]),
        ([payload(1, 2, model=MODEL[:-1] + b"\2")], [None]),
        ([payload(1, 0)], [None]),
    ],
    ids=["first of a boot", "no more than is kept", "each once", "middle of a boot", "one is missing", "nothing new",
         "a count that falls", "a new boot", "a new boot unseen", "another model", "a model nobody knows", "none yet"],
)  # fmt: skip
def test_a_heartbeat_claims_what_is_new_and_kept(beats, wanted):
    counts = Counts({MODEL: KEPT, OTHER: KEPT})
    claims = [counts.take(bytes(20), beat, 0) for beat in beats]
    assert [claim and (claim.first, claim.count) for claim in claims] == wanted


def test_the_draw_is_by_a_block_after_the_next_window_and_the_last_window_has_none():
    windows = Epoch([], count=3).windows
    assert turns(windows) == {
        0: Turn(3, windows.opened[1].opened_ms + windows.window_ms),
        1: Turn(5, windows.opened[2].opened_ms + windows.window_ms),
    }
    assert turns(replace(windows, block=4)) == {0: turns(windows)[0]}


CLAIM = Claim(bytes(20), 5, 1, 6, MODEL, 21, 24, bytes(16), None)


def test_draws_have_the_wanted_rate_and_every_unit_the_same_chance():
    drawn = [draw(block_hash(n), CLAIM, 1, 100) for n in range(20_000)]
    counts = [drawn.count(index) for index in range(20, 26)]
    assert counts[0] == counts[-1] == 0 and all(abs(count - 700) < 100 for count in counts[1:5])
    assert all(draw(block_hash(n), CLAIM, 1, CHALLENGES - 1) for n in range(100))


@pytest.mark.parametrize("other", [{"device": b"\1" * 20}, {"window": 6}], ids=["another device", "another window"])
def test_draws_of_other_devices_and_windows_are_independent(other):
    claim = replace(CLAIM, **other)
    pairs = [(draw(block_hash(n), CLAIM, 1, 28), draw(block_hash(n), claim, 1, 28)) for n in range(4_000)]
    both = sum(a is not None and b is not None for a, b in pairs)
    assert 850 < both < 1150


def test_an_honest_device_is_paid_every_unit_that_had_a_turn():
    epoch = Epoch([Device(1)]).play()
    works, checked = epoch.work()
    work = works[epoch.ids[0]]
    assert work.units == work.claimed == 59 * KEPT and work.answered == work.challenged == KEPT * len(checked)
    assert {found.outcome for found in checked} == {SOUND} and work.repeated == work.frauds == 0


def one(device, count=60, seed=0):
    epoch = Epoch([device], count, seed).play()
    works, checked = epoch.work()
    return epoch, works[device.id], checked


def test_who_skips_and_is_silent_is_paid_the_square_of_what_it_could_show():
    works = [one(Device(1, share=0.5), seed=seed)[1] for seed in range(60)]
    for work in works:
        assert work.units == work.claimed * work.answered**2 // work.challenged**2
    assert sum(work.frauds for work in works) == 0
    assert sum(work.units for work in works) / sum(work.claimed for work in works) == pytest.approx(0.26, abs=0.05)
    assert sum(work.answered == work.challenged for work in works) == 0


@pytest.mark.parametrize("device", [Device(2, share=0.5, is_liar=True), Device(3, share=0.5, is_late=True)])
def test_who_answers_what_it_did_not_compute_is_paid_nothing_and_the_proof_is_in_the_evidence(device):
    _, work, checked = one(device)
    assert work.frauds > 0 and work.units == 0 and device.computed > 0
    reasons = {found.reason for found in checked if found.outcome == FRAUD}
    chain = "its outputs do not lead to the heartbeat's chain"
    assert reasons == {chain if device.is_late else "the model gives another output for its window"}


def test_a_fraud_takes_the_epoch_of_the_whole_deed_and_of_no_other():
    devices = [Device(1), Device(2, share=0, is_liar=True), Device(3)]
    epoch = Epoch(devices).play()
    works, _ = epoch.work()
    deeds = {1: Deed(bytes(20), 2, tuple(epoch.ids[:2])), 2: Deed(bytes(20), 1, (epoch.ids[2],))}

    assert verdict.units_of_deeds(works, deeds) == {(VERIFIED, MODEL, 2): 59 * KEPT}
    assert epoch.availability() == dict.fromkeys(epoch.ids, FULL)
    assert verdict.availability_after(epoch.availability(), works, deeds) == dict(
        zip(epoch.ids, (0, 0, FULL), strict=True)
    )


def test_what_nobody_was_challenged_for_is_not_paid():
    assert Work({MODEL: 100}).units == 0


def reveal_items(epoch):
    return [n for n, (_, frame) in enumerate(epoch.items) if len(frame) > wire.HEARTBEAT_MAX_BYTES]


@pytest.mark.parametrize("change", ["withheld", "late", "forged", "of another inference"])
def test_an_answer_that_is_not_one_is_missed_and_no_fraud(change):
    epoch = Epoch([Device(1)], count=20).play()
    before = epoch.work()[0][epoch.ids[0]]
    place = reveal_items(epoch)[0]
    receipt_ms, frame = epoch.items[place]
    if change == "withheld":
        del epoch.items[place]
    elif change == "late":
        epoch.items[place] = receipt_ms + 500, frame
    elif change == "forged":
        epoch.items[place] = receipt_ms, frame[:-1] + bytes([frame[-1] ^ 1])
    else:
        claims = answers.read_answers([epoch.items[place]], SignerKeys().is_signed)[0].place[1:]
        other = epoch.devices[0].answer(*claims[:3], claims[3] - 1 or claims[3] + 1)
        epoch.items[place] = receipt_ms, other
    works, checked = epoch.work()
    work = works[epoch.ids[0]]

    assert [found.outcome for found in checked].count(MISSED) == 1 and work.frauds == 0
    assert work == replace(before, answered=before.answered - KEPT) and work.units < before.units


def test_a_window_that_was_shown_before_in_the_epoch_is_reported():
    device = Device(1)
    device.dice.randbytes = lambda size: b"\x05" * size
    _, work, checked = one(device)
    assert work.repeated == len(checked) - 1 > 0 and work.frauds == 0


def test_a_chain_that_does_not_begin_where_the_last_heartbeat_ended_is_a_fraud():
    epoch = Epoch([Device(1, per_window=1)], count=12).play()
    device = epoch.devices[0]
    outputs = device.history[5][2]
    claim = Claim(
        device.id, 5, 1, 6, MODEL, 6, 6, hashlib.sha256(b"x" * 16 + outputs).digest()[:16], device.history[5][0]
    )
    found = answers.Reveal(0, (device.id, 1, 6, 6, 6), device.history[5][1], outputs, b"x" * 16)
    assert verdict.fault_of(claim, found, lambda window: outputs) == (
        "its chain does not begin where the heartbeat before ended"
    )
    assert verdict.fault_of(replace(claim, before=None), found, lambda window: outputs) == ""


def test_no_order_of_the_evidence_and_no_second_reading_changes_the_verdict():
    epoch = Epoch([Device(1), Device(2, share=0.5)], count=20).play()
    first = epoch.work()
    reveals = [epoch.items[n] for n in reveal_items(epoch)]
    epoch.items = [item for item in epoch.items if item not in reveals] + reveals[::-1] * 2
    assert epoch.work() == first


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_evidence_never_raises_and_never_pays_more(changes):
    epoch = DAMAGED
    whole = list(epoch.items)
    for place, at, value in changes:
        receipt_ms, frame = epoch.items[place % len(whole)]
        at %= len(frame)
        epoch.items[place % len(whole)] = receipt_ms, frame[:at] + bytes([value]) + frame[at + 1 :]
    works, _ = epoch.work()
    epoch.items = whole
    assert sum(work.units for work in works.values()) <= 11 * KEPT and not verdict.frauds_of(works)


DAMAGED = Epoch([Device(1)], count=12).play()


def test_half_of_the_work_is_caught_in_an_epoch_with_999_of_1000_at_two_percent_from_175_windows_on():
    for windows in (12, 60, 175, 1440, 65535):
        assert chance.caught(0.5, windows) >= 0.999
        assert (chance.cost(windows, KEPT) <= 0.02) == (windows >= 175)
    assert chance.caught(0.5, 1440, 11) < 0.999 and chance.caught(1, 1440) == 0


def test_the_formula_is_what_draws_and_verdicts_do():
    caught = 0
    for seed in range(200):
        _, work, _ = one(Device(seed + 1, share=0.9), count=30, seed=seed)
        caught += work.answered < work.challenged
    assert caught / 200 == pytest.approx(chance.caught(0.9, 29, 13.5), abs=0.08)


def test_the_tables_of_the_document_are_the_functions():
    text = (ROOT / "docs" / "poai.md").read_text()
    assert all(table.strip() in text for table in chance.tables().split("\n\n"))


def test_an_epoch_that_was_written_down_has_the_verdict_that_was_written_down():
    golden = json.loads((ROOT / "tests" / "vectors" / "poai.json").read_text())
    epoch = Epoch([Device(1), Device(2, share=0.5), Device(3, share=0.5, is_liar=True)], count=30, seed=7).play()
    works, checked = epoch.work()
    found = {
        "units": [works[id].units for id in epoch.ids],
        "checked": [[each.claim.window, each.index, each.outcome] for each in checked],
    }
    assert found == golden

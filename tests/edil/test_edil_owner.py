"""A data owner: rounds that fit, sums that are opened only when every share is there and everything adds up."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import rounds
from device.agent.rounds import Manifest
from device.native import edil
from gateway import curve
from gateway.aggregation import messages
from gateway.aggregation.rings import RINGS
from gateway.edil import opening, owner, plan, shares
from gateway.edil.counting import count_any
from gateway.edil.owner import NotOpened
from gateway.edil.plan import PlanRefused
from gateway.edil.shares import sign_with
from tests.edil_scene import DATA_OWNER, FACTS, GATEWAY, HOLDER, NOW_MS, THIRD, Scene, make_key, sign_set

SCENE = Scene(holders=[DATA_OWNER, HOLDER, THIRD])
CLOSED = SCENE.close()
STRANGER = make_key("stranger")
FIELDS = {"kind": "classes", "model": "host.json", "classes": 3}


def give(secret, closed=CLOSED, nonce=b"n" * 12):
    checked = shares.check_set(closed.manifest, closed.closed_set, secret.public_key.format(), count_any, 1)
    return shares.answer(checked, secret, nonce)


FRAMES = [give(HOLDER), give(THIRD)]


def open_round(closed=CLOSED, frames=FRAMES, secret=DATA_OWNER):
    return owner.open_round(closed, frames, secret, count_any, 1)


def remade(number, **changes):
    """A holder's share with fields changed, signed by it again."""
    secret = [None, HOLDER, THIRD][number]
    body = messages.open_share(FRAMES[number - 1]).body._replace(**changes)
    return messages.sign_share(body, curve.address_of(secret.secret), sign_with(secret))


def test_sums_are_exactly_those_of_the_devices_in_whatever_order_shares_come():
    opened = open_round()
    assert opened.values == SCENE.expected()
    assert open_round(frames=FRAMES[::-1]).values == opened.values
    fields = json.loads(json.dumps(opened.as_json()))
    assert fields["gateway_trusted"] is False and fields["count"] == 9 and len(fields["devices"]) == 3


def test_weighted_sums_are_exact_too():
    weights = [1, 4, 2]
    closed = SCENE.close(
        [SCENE.contribute(device, weight=weight) for device, weight in zip(SCENE.devices, weights, strict=True)]
    )
    opened = open_round(closed, [give(HOLDER, closed), give(THIRD, closed)])
    assert opened.values == SCENE.expected(weights) and opened.checked.windows == 21


def sealed(share):
    """The share's plain bytes sealed by HOLDER as it would."""
    checked = shares.check_set(CLOSED.manifest, CLOSED.closed_set, HOLDER.public_key.format(), count_any, 1)
    return remade(1, sealed=shares.seal_of(checked, HOLDER, 1).close(b"n" * 12, np.asarray(share, "<i4").tobytes()))


def own_share(change):
    """What HOLDER seals, changed by a function of int64[N]."""
    checked = shares.check_set(CLOSED.manifest, CLOSED.closed_set, HOLDER.public_key.format(), count_any, 1)
    return sealed(change(shares.sum_secrets(checked, HOLDER)))


def stolen():
    """THIRD's share under HOLDER's number."""
    body = messages.open_share(FRAMES[1]).body._replace(holder=1)
    return messages.sign_share(body, curve.address_of(THIRD.secret), sign_with(THIRD))


WRONG_SHARES = {
    "none at all": (lambda: [], "got none of holder 1"),
    "one of two": (lambda: FRAMES[:1], "got none of holder 2"),
    "the same twice": (lambda: [FRAMES[0]] * 2, "got none of holder 2"),
    "one of another set": (lambda: [FRAMES[0], remade(2, set_digest=bytes(32))], "got none of holder 2"),
    "noise": (lambda: [FRAMES[0], b"\xd2\x84"], "share: "),
    "signed by a stranger": (lambda: [FRAMES[0], stolen()], "share of holder 1: got a signature of another"),
    "another nonce": (lambda: [FRAMES[1], remade(1, nonce=bytes(12))], "did not seal"),
    "a bit of it turned": (
        lambda: [FRAMES[1], remade(1, sealed=bytes([messages.open_share(FRAMES[0]).body.sealed[0] ^ 1]) + rest())],
        "did not seal",
    ),
    "too short": (lambda: [FRAMES[1], remade(1, sealed=rest())], "bytes, wanted 4112"),
    "larger than keys add up to": (lambda: [FRAMES[1], own_share(lambda s: s + 64)], "more than 3 devices"),
    "zeros": (lambda: [FRAMES[1], own_share(lambda s: s * 0)], "the sum says"),
    "wrong in one coefficient": (lambda: [FRAMES[1], own_share(lambda s: s + np.eye(1, 1024)[0])], "the sum says"),
}


def rest():
    return messages.open_share(FRAMES[0]).body.sealed[1:]


@pytest.mark.parametrize("name", WRONG_SHARES)
def test_a_share_that_is_missing_or_wrong_keeps_the_round_closed_and_says_whose(name):
    frames, reason = WRONG_SHARES[name]
    with pytest.raises(NotOpened) as refused:
        open_round(frames=frames())
    assert reason in str(refused.value) and "\n" not in str(refused.value)


def test_every_proper_subset_of_holders_reads_noise_and_all_of_them_read_no_single_device():
    checked = open_round().checked
    parts = [shares.sum_secrets(checked, DATA_OWNER), *owner.read_shares(checked, FRAMES, DATA_OWNER).values()]
    for missing in range(3):
        some = sum(part for number, part in enumerate(parts) if number != missing)
        with pytest.raises(NotOpened):
            owner.read_sum(checked, CLOSED.aggregate, some)
    single = SCENE.contribute(SCENE.devices[0])
    with pytest.raises(NotOpened):
        owner.read_sum(checked, single.ciphertext, sum(parts))


def test_another_aggregate_than_the_sets_is_refused():
    changed = CLOSED._replace(aggregate=CLOSED.aggregate[:-1] + bytes([CLOSED.aggregate[-1] ^ 1]))
    with pytest.raises(NotOpened, match="aggregate: got other bytes"):
        open_round(changed)


def test_a_gateway_that_signs_another_aggregate_is_found_by_the_sum():
    single = SCENE.contribute(SCENE.devices[0])
    body = messages.open_set(CLOSED.closed_set).body._replace(aggregate=messages.open_update(single.frame).digest)
    closed = CLOSED._replace(closed_set=sign_set(body), aggregate=single.ciphertext)
    with pytest.raises(NotOpened, match="the sum says"):
        open_round(closed, [give(HOLDER, closed), give(THIRD, closed)])


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (1023, "devices: the sum says 4, wanted 3"),
        (1022, "windows: the sum says 10, wanted 9"),
        (1021, "values beyond coefficient 609"),
    ],
)
def test_a_gateway_that_adds_to_an_aggregate_where_no_value_stands_is_found(place, reason):
    residues = np.frombuffer(edil.unpack(1024, CLOSED.aggregate), np.uint32).copy()
    residues[place] = (residues[place] + RINGS[1024].scale(1)) % RINGS[1024].q
    aggregate = edil.pack(1024, residues)
    body = messages.open_set(CLOSED.closed_set).body._replace(aggregate=hashlib.sha256(aggregate).digest())
    closed = CLOSED._replace(closed_set=sign_set(body), aggregate=aggregate)
    with pytest.raises(NotOpened, match=reason):
        open_round(closed, [give(HOLDER, closed), give(THIRD, closed)])


def test_a_device_that_lies_about_its_count_is_found_by_the_sum():
    lie = SCENE.contribute(SCENE.devices[0], count=2)
    honest = [SCENE.contribute(device) for device in SCENE.devices[1:]]
    device = SCENE.devices[0]
    update = messages.open_update(lie.frame)
    told = update.manifest, update.enrolment, 0, 3, update.digest
    frame = rounds.sign_update(device.id, sign_with(device.secret), *told)
    closed = SCENE.close([lie._replace(frame=frame), *honest])
    with pytest.raises(NotOpened, match="windows: the sum says 8, wanted 9"):
        open_round(closed, [give(HOLDER, closed), give(THIRD, closed)])


@pytest.mark.parametrize("secret", [HOLDER, STRANGER, GATEWAY], ids=["share-holder", "stranger", "gateway"])
def test_nobody_but_the_data_owner_opens(secret):
    with pytest.raises((NotOpened, shares.SetRefused)):
        open_round(secret=secret)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_no_share(noise):
    with pytest.raises(NotOpened):
        open_round(frames=[FRAMES[0], noise])


@pytest.mark.parametrize("digits", [1, 2, 3, 4])
def test_sums_of_digits_join_to_sums_of_values(digits):
    rng = np.random.default_rng(digits)
    values = rng.integers(-(256**digits) // 3, 256**digits // 3, (256, 20))
    split, left = [], values.copy()
    for _ in range(digits):
        split.append((left + 128) % 256 - 128)
        left = (left - split[-1]) // 256
    coefficients = np.stack(split, axis=2).sum(axis=0).ravel()
    assert opening.join_digits(coefficients, digits) == values.sum(axis=0).tolist()


def asked(**changes):
    fields = plan.read_plan(None, {**FIELDS, **changes})
    return plan.make_manifest(fields, FACTS, bytes(32), NOW_MS)


def test_a_plan_takes_the_least_digits_and_ring_that_carry_its_sums_and_a_round_number_that_rises_with_time():
    manifest = asked()
    assert (manifest.ring, manifest.digits, manifest.round) == (1024, 3, NOW_MS // 1000)
    assert (manifest.deadline_ms, manifest.width, manifest.k_min) == (NOW_MS + 600_000, 16, 8)
    assert (asked(clip=11, windows=1).digits, asked(classes=30).ring) == (1, 2048)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "median"}, "kind: got 'median', wanted one of moments"),
        ({"classes": 0}, "classes, rows: got (0, 0)"),
        ({"windows": 256}, "windows: got 256, wanted 1..255"),
        ({"clip": 0}, "clip: got 0, wanted 1..127"),
        ({"digits": 1}, "got sums up to 516128, wanted at most 127"),
        ({"ring": 1024, "classes": 200}, "values: got 10656 coefficients, wanted at most 1022"),
        ({"classes": 255}, "coefficients, wanted at most 4094"),
        ({"k_min": 1}, "k_min: got 1, wanted 2..256"),
        ({"round": 0}, "round: got 0"),
        ({"ring": 512}, "ring: got 512"),
        ({"windows": "many"}, "windows: got 'many', wanted int"),
        ({"colour": 1}, "colour: unknown"),
        ({"kind": "inference", "classes": 0, "digits": 2}, "digits: got 2, wanted 1"),
    ],
)
def test_a_round_that_cannot_be_is_refused_with_numbers(changes, reason):
    with pytest.raises(PlanRefused) as refused:
        asked(**changes)
    assert reason in str(refused.value)


def test_a_ring_whose_noise_could_change_a_sum_is_refused_with_numbers(monkeypatch):
    monkeypatch.setitem(plan.rings.RINGS, 1024, dataclasses.replace(RINGS[1024], q=700 * 2 * 65536))
    with pytest.raises(PlanRefused, match="noise: got rounding 128.0 .* = 750.2 of 700.0"):
        asked()


def test_options_go_before_the_file_and_a_models_path_is_the_files(tmp_path):
    (tmp_path / "plan.toml").write_text('kind = "moments"\nmodel = "m.json"\nwindows = 5\n')
    fields = plan.read_plan(tmp_path / "plan.toml", {"windows": 6, "clip": None})
    assert (fields["windows"], fields["model"], fields["clip"]) == (6, str(tmp_path / "m.json"), 127)
    for text in ("kind = ", 'kind = "moments"', 'kind = "moments"\nmodel = 1'):
        (tmp_path / "plan.toml").write_text(text)
        with pytest.raises(PlanRefused):
            plan.read_plan(tmp_path / "plan.toml", {})


def test_a_manifest_is_what_devices_and_holders_take():
    manifest = asked()
    opened, signer, signature, signed = rounds.open_manifest(owner.sign_manifest(DATA_OWNER, manifest))
    assert opened.values() == manifest.values() and isinstance(opened, Manifest)
    assert curve.recover(signature, signed, signer) == DATA_OWNER.public_key.format()

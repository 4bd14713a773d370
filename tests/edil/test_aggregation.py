"""Rounds at the gateway: sums are exact at the extremes, and no proper subset of those who hold a part opens one."""

import hashlib
import random

import pytest

from device.agent import hkdf
from device.native import edil
from gateway.aggregation import messages, rings
from gateway.aggregation.aggregate import Refused, sum_ciphertexts
from tests.edil_rounds import (
    DEADLINE_MS,
    HOLDERS,
    NOW_MS,
    OWNER_ADDRESS,
    Agent,
    Gateway,
    enrol_frame,
    key_sum,
    manifest,
    open_with,
)

AGENTS = [Agent(number) for number in range(1, 7)]
VALUES = [[(number * 37 + at) % 255 - 127 for at in range(16)] for number in range(len(AGENTS))]


@pytest.fixture
def gateway(tmp_path):
    return Gateway(tmp_path, AGENTS)


def added(weighted):
    return [sum(weight * VALUES[number][at] for number, weight in weighted) for at in range(16)]


def test_a_sum_is_exact_for_those_who_hold_all_shares_whoever_dropped_out(gateway):
    frame, digest, enrolment = gateway.open()
    for number in (0, 2, 3, 5):
        assert gateway.give(AGENTS[number], frame, enrolment, VALUES[number], count=number + 1) == "stored"
    gateway.now_ms = DEADLINE_MS + 1
    gateway.rounds.turn()
    set_frame, aggregate = gateway.rounds.closed(digest)
    signed = messages.open_set(set_frame)
    assert signed.is_by(gateway.rounds._address) and signed.body.aggregate == hashlib.sha256(aggregate).digest()
    weighted = [(0, 1), (2, 1), (3, 1), (5, 1)]
    secret = key_sum(frame, enrolment, [(AGENTS[number], weight) for number, weight in weighted])
    opened = open_with(1024, aggregate, hkdf.a_key(digest), secret)
    assert opened[:16] == added(weighted)
    assert opened[1022:] == [1 + 3 + 4 + 6, 4] and not any(opened[16:1022])
    assert gateway.rounds.status(digest)["state"] == "closed"


def test_public_weights_are_applied(gateway):
    weights = {AGENTS[0].id: 4, AGENTS[1].id: 2}
    frame, digest, enrolment = gateway.open(weights=weights)
    for number in (0, 1, 2):
        gateway.give(AGENTS[number], frame, enrolment, VALUES[number])
    gateway.rounds.close_round(digest)
    set_frame, aggregate = gateway.rounds.closed(digest)
    weighted = [(AGENTS[0], 4), (AGENTS[1], 2), (AGENTS[2], 1)]
    opened = open_with(1024, aggregate, hkdf.a_key(digest), key_sum(frame, enrolment, weighted))
    assert opened[:16] == added([(0, 4), (1, 2), (2, 1)]) and opened[1023] == 7
    by_device = {
        messages.open_update(one.frame).device: one.weight for one in messages.open_set(set_frame).body.entries
    }
    assert by_device == {**weights, AGENTS[2].id: 1}


@pytest.mark.parametrize("parts", [(), (0,), (1,)])
def test_no_proper_subset_of_aggregate_and_shares_opens_a_sum(gateway, parts):
    frame, digest, enrolment = gateway.open()
    for number in (0, 1):
        gateway.give(AGENTS[number], frame, enrolment, VALUES[number])
    gateway.rounds.close_round(digest)
    weighted = [(AGENTS[0], 1), (AGENTS[1], 1)]
    known = key_sum(frame, enrolment, weighted, parts=parts) if parts else bytes(4 * 1024)
    opened = open_with(1024, gateway.rounds.closed(digest)[1], hkdf.a_key(digest), known)
    matches = sum(got == wanted for got, wanted in zip(opened, [*added([(0, 1), (1, 1)]), *[0] * 1006], strict=False))
    assert matches < 8  # of 1,022 by chance alone, one in 65,536 each


def test_shares_of_a_sum_do_not_open_a_single_device(gateway):
    frame, digest, enrolment = gateway.open()
    for number in (0, 1):
        gateway.give(AGENTS[number], frame, enrolment, VALUES[number])
    secret = key_sum(frame, enrolment, [(AGENTS[0], 1), (AGENTS[1], 1)])
    single = next(gateway.store.ciphertexts(digest)).content
    assert sum(value == 0 for value in open_with(1024, single, hkdf.a_key(digest), secret)[16:1022]) < 8


@pytest.mark.parametrize("value", [127, -127])
@pytest.mark.parametrize("ring", sorted(rings.RINGS))
def test_256_devices_of_full_digits_are_exact(ring, value):
    seeded = random.Random(ring)
    a_key, noise = bytes(32), b"".join(seeded.randbytes(32) for _ in range(256))
    keys = b"".join(seeded.randbytes(32) for _ in range(512))
    work, values = bytearray(4 * ring), value.to_bytes(4, "little", signed=True) * (ring - 2)
    given = []
    for device in range(256):
        pair = keys[64 * device : 64 * device + 64]
        size = edil.encrypt(ring, pair, a_key, noise[32 * device : 32 * device + 32], values, 1, 255, work)
        given.append((1, bytes(work[:size])))
    summed = sum_ciphertexts(ring, given)
    opened = open_with(ring, summed, a_key, edil.secret(ring, keys))
    assert opened[:-2] == [256 * value] * (ring - 2)
    assert opened[-1] == 256 and opened[-2] % rings.T == 256 * 255


def test_too_few_devices_fail_the_round_and_it_says_so(gateway):
    frame, digest, enrolment = gateway.open(manifest(k_min=3))
    for number in (0, 1):
        gateway.give(AGENTS[number], frame, enrolment, VALUES[number])
    gateway.rounds.close_round(digest)
    status = gateway.rounds.status(digest)
    assert (status["state"], status["why"]) == ("failed", "got 2 devices, wanted at least 3")
    with pytest.raises(Refused, match="got one that is failed: got 2 devices"):
        gateway.rounds.closed(digest)
    assert gateway.rounds.shares(digest) == []


def test_parts_of_several_gateways_merge_into_the_set_that_one_gateway_would_have_closed(tmp_path):
    folders = [tmp_path / name for name in ("one", "two", "all")]
    for folder in folders:
        folder.mkdir()
    one, two = (Gateway(folder, AGENTS) for folder in folders[:2])
    whole, frame = Gateway(folders[2], AGENTS), manifest(k_min=4)
    for gateway, numbers, is_part in ((one, (0, 1), True), (two, (2, 3), True), (whole, range(4), False)):
        _, digest, enrolment = gateway.open(frame, is_part=is_part)
        for number in numbers:
            assert gateway.give(AGENTS[number], frame, enrolment, VALUES[number]) == "stored"
        gateway.rounds.close_round(digest)
    assert one.rounds.status(digest)["state"] == "part"
    one.rounds.merge(digest, [two.rounds.closed(digest)], [two.rounds._address])
    assert one.rounds.closed(digest) == whole.rounds.closed(digest)
    assert one.rounds.status(digest)["state"] == "closed"


MERGES = {
    "a device in both": ("twice", (0, 1), (1, 2), 3, True),
    "a gateway that is not named": ("signature", (0, 1), (2, 3), 3, False),
    "too few in all": ("bounds", (0,), (1,), 3, True),
}


@pytest.mark.parametrize("case", MERGES)
def test_parts_that_do_not_fit_are_not_merged(tmp_path, case):
    reason, first, second, k_min, is_named = MERGES[case]
    made = []
    for name, numbers in (("one", first), ("two", second)):
        (tmp_path / name).mkdir()
        gateway, frame = Gateway(tmp_path / name, AGENTS), manifest(k_min=k_min)
        _, digest, enrolment = gateway.open(frame, is_part=True)
        for number in numbers:
            gateway.give(AGENTS[number], frame, enrolment, VALUES[number])
        gateway.rounds.close_round(digest)
        made.append(gateway)
    one, two = made
    before = one.state()
    with pytest.raises(Refused) as caught:
        one.rounds.merge(digest, [two.rounds.closed(digest)], [two.rounds._address] if is_named else [bytes(20)])
    assert caught.value.reason == reason and one.state() == before


ROUNDS = {
    "another's signature": ("signature", lambda: manifest()[:-1] + b"\x00"),
    "past its deadline": ("late", lambda: manifest(deadline_ms=NOW_MS)),
    "holders that nobody enrolled with": ("holders", lambda: manifest(holders=list(reversed(HOLDERS)))),
    "a holder that is not the data owner": ("holders", lambda: manifest(number=2, signer=HOLDERS[1])),
    "a number that was there": ("round", lambda: manifest(number=1, rows=15)),
    "sums that do not fit": ("malformed", lambda: manifest(number=2, rows=1023)),
}


@pytest.mark.parametrize("case", ROUNDS)
def test_a_bad_manifest_opens_no_round(gateway, case):
    reason, make = ROUNDS[case]
    _, digest, _ = gateway.open()
    before = gateway.state()
    with pytest.raises(Exception) as caught:
        gateway.rounds.open_round(make())
    assert caught.value.reason == reason and gateway.state() == before
    assert gateway.rounds.open_round(manifest()) == digest


@pytest.mark.parametrize("weight", [0, 5])
def test_weights_outside_their_range_open_no_round(gateway, weight):
    gateway.rounds.enrol(OWNER_ADDRESS, enrol_frame())
    with pytest.raises(Refused, match=f"got {weight}, wanted 1..4"):
        gateway.rounds.open_round(manifest(), {AGENTS[0].id: weight})
    assert gateway.rounds.rounds() == []

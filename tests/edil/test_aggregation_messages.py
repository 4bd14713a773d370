"""EDIL's messages between gateway, share-holders and data owner: round trips, tampering, and garbage."""

import hashlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import cbor, rounds
from device.agent.cose import sign1
from device.agent.errors import WireError
from device.native import edil
from gateway import curve
from gateway.aggregation import messages, rings
from gateway.aggregation.aggregate import Refused, open_part
from gateway.aggregation.messages import Head, Share
from tests.edil_rounds import (
    ADDRESSES,
    GATEWAY,
    HOLDERS,
    OWNER_ADDRESS,
    STRANGER,
    Agent,
    Gateway,
    enrol_frame,
    manifest,
    sign_with,
)

AGENTS = [Agent(1), Agent(2)]
GATEWAY_ADDRESS = curve.address_of(GATEWAY.secret)
SHARE = Share(bytes(32), bytes(range(32)), 1, bytes(12), bytes(4112))
HEAD = Head(bytes(32), ((1, -128), (127, 0), (5, 6)), (-(2**31), 0, 2**31 - 1))


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    gateway = Gateway(tmp_path_factory.mktemp("closed"), AGENTS)
    frame, digest, enrolment = gateway.open(weights={AGENTS[0].id: 2})
    for agent in AGENTS:
        gateway.give(agent, frame, enrolment, [1] * 16)
    gateway.rounds.close_round(digest)
    return gateway, digest


def test_a_share_and_a_head_come_back_as_they_were_signed():
    share = messages.open_share(messages.sign_share(SHARE, ADDRESSES[1], sign_with(HOLDERS[1])))
    assert share.body == SHARE and share.is_by(ADDRESSES[1]) and not share.is_by(ADDRESSES[0])
    head = messages.open_head(messages.sign_head(HEAD, ADDRESSES[0], sign_with(HOLDERS[0])))
    assert head.body == HEAD and head.is_by(ADDRESSES[0])


def test_a_closed_set_is_one_byte_string_and_any_changed_bit_shows(closed):
    gateway, digest = closed
    frame, aggregate = gateway.rounds.closed(digest)
    signed = messages.open_set(frame)
    assert messages.sign_set(signed.body, GATEWAY_ADDRESS, sign_with(GATEWAY)) == frame
    for place in range(0, len(frame), 7):
        changed = bytearray(frame)
        changed[place] ^= 1
        with pytest.raises((WireError, Refused)):
            open_part(bytes(changed), aggregate, [GATEWAY_ADDRESS])
    with pytest.raises(Refused, match="aggregate: got another"):
        open_part(frame, aggregate[:-1] + b"\0", [GATEWAY_ADDRESS])
    assert open_part(frame, aggregate, [GATEWAY_ADDRESS]).closed == signed.body


def weigh_too_much(body):
    """65 devices of weight 4, in their order."""
    agents = sorted((Agent(number) for number in range(1, 66)), key=lambda agent: agent.id)
    frames = [rounds.sign_update(agent.id, agent.sign, bytes(32), bytes(32), 0, 1, bytes(32)) for agent in agents]
    body[2] = [[4, 0, frame] for frame in frames]


SETS = {
    "weights above 256 in all": weigh_too_much,
    "devices that do not ascend": lambda body: body[2].reverse(),
    "a device twice": lambda body: body[2].append(body[2][-1]),
    "a weight of 0": lambda body: body[2][0].__setitem__(0, 0),
    "a weight of 5": lambda body: body[2][0].__setitem__(0, 5),
    "an enrolment that is not there": lambda body: body[2][0].__setitem__(1, 1),
    "no entry": lambda body: body[2].clear(),
    "an enrolment that is none": lambda body: body[1].__setitem__(0, b"\x80"),
}


@pytest.mark.parametrize("case", SETS)
def test_a_set_that_no_gateway_should_sign_is_refused(closed, case):
    gateway, digest = closed
    found = messages.open_set(gateway.rounds.closed(digest)[0]).body
    body = [found.manifest, list(found.enrolments), [list(entry) for entry in found.entries], found.aggregate]
    SETS[case](body)
    with pytest.raises(WireError):
        messages.open_set(sign1(cbor.encode({messages.CLOSED_SET: body}), GATEWAY_ADDRESS, sign_with(GATEWAY)))


def test_shares_are_taken_from_their_holder_for_the_closed_set_and_once(closed):
    gateway, digest = closed
    set_digest = hashlib.sha256(gateway.rounds.closed(digest)[0]).digest()

    def give(holder=1, about=set_digest, secret=HOLDERS[1], sealed=bytes(16), manifest_digest=digest):
        share = Share(manifest_digest, about, holder, bytes(12), sealed)
        gateway.rounds.give_share(messages.sign_share(share, curve.address_of(secret.secret), sign_with(secret)))

    for wanted, options in (
        ("wanted holder 1's", {"secret": STRANGER}),
        ("wanted holder 1's", {"secret": HOLDERS[0]}),
        ("wanted the closed set's", {"about": bytes(32)}),
        ("wanted 0..1", {"holder": 2}),
    ):
        with pytest.raises((Refused, WireError), match=wanted):
            give(**options)
    with pytest.raises(KeyError):
        give(manifest_digest=bytes(32))
    assert gateway.rounds.shares(digest) == []
    give()
    give()
    with pytest.raises(Refused, match="got another one of holder 1"):
        give(sealed=bytes(17))
    assert len(gateway.rounds.shares(digest)) == 1 and gateway.rounds.status(digest)["shares"] == [1]


def test_a_part_gets_no_share(tmp_path):
    gateway = Gateway(tmp_path, AGENTS)
    frame, digest, enrolment = gateway.open(is_part=True)
    gateway.give(AGENTS[0], frame, enrolment, [1] * 16)
    gateway.rounds.close_round(digest)
    share = SHARE._replace(manifest=digest, set_digest=hashlib.sha256(gateway.rounds.closed(digest)[0]).digest())
    with pytest.raises(Refused, match="wanted the closed set's"):
        gateway.rounds.give_share(messages.sign_share(share, ADDRESSES[1], sign_with(HOLDERS[1])))
    assert gateway.rounds.shares(digest) == []


DECODERS = (messages.open_set, messages.open_share, messages.open_head, messages.open_update, rounds.open_manifest)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(data=st.data())
def test_no_decoder_raises_anything_but_its_refusal(closed, data):
    gateway, digest = closed
    frames = [
        gateway.rounds.closed(digest)[0],
        messages.sign_share(SHARE._replace(sealed=bytes(20)), ADDRESSES[1], sign_with(HOLDERS[1])),
        messages.sign_head(HEAD, ADDRESSES[0], sign_with(HOLDERS[0])),
        manifest(),
    ]
    frame = bytearray(data.draw(st.sampled_from(frames)))
    for _ in range(data.draw(st.integers(0, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    kept = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    for decode in DECODERS:
        try:
            decode(kept)
        except WireError:
            continue
    try:
        messages.open_enrolment(kept, OWNER_ADDRESS)
    except WireError:
        pass


@pytest.mark.parametrize("place", range(6, 60, 9))
def test_a_changed_enrolment_is_not_its_owners(place):
    frame = bytearray(enrol_frame())
    frame[place] ^= 1
    with pytest.raises(WireError):
        messages.open_enrolment(bytes(frame), OWNER_ADDRESS)


NOISE = [
    (rings.noise_of_worst_sum(rings.RINGS[1024], 256, 1), True),
    (rings.noise_of_worst_sum(rings.RINGS[1024], 256, 4), True),
    (rings.noise_of_worst_sum(rings.RINGS[2048], 256, 4), True),
    (rings.noise_of_worst_sum(rings.RINGS[1024], 256, 12), False),
    (rings.noise_of_worst_sum(rings.RINGS[4096], 4096, 4), True),
    (rings.noise_of_head(rings.RINGS[1024], [[1] * 64] * 16), True),
    (rings.noise_of_head(rings.RINGS[1024], [[7] * 64] * 16), False),
    (rings.noise_of_head(rings.RINGS[4096], [[7] * 64] * 16), True),
    (rings.noise_of_head(rings.RINGS[4096], [[7] * 64] * 16, [1] * 256), False),
]


@pytest.mark.parametrize(("noise", "suffices"), NOISE)
def test_an_operation_suffices_or_is_refused_by_arithmetic(noise, suffices):
    assert noise.suffices == suffices
    assert (noise.failure <= 2 * noise.coefficients * math.exp(-18)) == suffices


@pytest.mark.parametrize("n", sorted(rings.RINGS))
def test_the_worst_sum_of_weights_fails_less_often_than_once_in_10_to_the_12(n):
    assert rings.noise_of_worst_sum(rings.RINGS[n], messages.WEIGHTS_MAX, messages.WEIGHT_MAX).failure < 1e-12


def test_the_noise_of_a_device_is_what_the_arithmetic_counts_with():
    """b + a s - round(q m / t) over many ciphertexts: mean 0, variance 10.5, never above 21."""
    ring, found = rings.RINGS[1024], []
    for number in range(64):
        seed, work = hashlib.sha256(bytes([number])).digest(), bytearray(4096)
        values = (5).to_bytes(4, "little") * 1022
        packed = bytes(work[: edil.encrypt(1024, seed, bytes(32), hashlib.sha256(seed).digest(), values, 1, 1, work)])
        b = memoryview(edil.unpack(1024, packed)).cast("I")
        product = memoryview(edil.product(1024, bytes(32), edil.secret(1024, seed))).cast("I")
        message = [5] * 1022 + [1, 1]
        for left, right, value in zip(b, product, message, strict=True):
            away = (left + right - ring.scale(value)) % ring.q
            found.append(away if away < ring.q // 2 else away - ring.q)
    mean = sum(found) / len(found)
    variance = sum((value - mean) ** 2 for value in found) / len(found)
    assert max(map(abs, found)) <= 21 and abs(mean) < 0.06
    assert math.isclose(variance, rings.VARIANCE, rel_tol=0.03)

"""Parts of several gateways: a gateway that is named may lie, so what devices and owners signed is checked again."""

import hashlib

import pytest

from device.agent import rounds
from gateway import curve
from gateway.aggregation import messages
from gateway.aggregation.aggregate import Refused
from gateway.aggregation.messages import Entry
from tests.edil_rounds import (
    GATEWAY,
    HOLDERS,
    OWNER_ADDRESS,
    STRANGER,
    Agent,
    Gateway,
    enrol_frame,
    key,
    manifest,
    sign_with,
)

AGENTS = [Agent(number) for number in range(1, 5)]
OTHER = key(77)
OTHER_ADDRESS = curve.address_of(OTHER.secret)


@pytest.fixture
def two(tmp_path):
    """Two gateways that closed their parts of one round, two devices each; the second's set and ciphertext."""
    made = []
    for name, agents, secret in (("one", AGENTS[:2], GATEWAY), ("two", AGENTS[2:], OTHER)):
        (tmp_path / name).mkdir()
        gateway = Gateway(tmp_path / name, AGENTS, secret)
        frame, digest, enrolment = gateway.open(is_part=True)
        for agent in agents:
            gateway.give(agent, frame, enrolment, [1] * 16)
        gateway.rounds.close_round(digest)
        made.append(gateway)
    set_frame, aggregate = made[1].rounds.closed(digest)
    return made[0], digest, enrolment, messages.open_set(set_frame).body, aggregate


def with_entry(closed, place=0, **changes):
    entries = list(closed.entries)
    entries[place] = entries[place]._replace(**changes)
    return closed._replace(entries=tuple(entries))


def signed_update(agent, digest, enrolment, sign=None):
    return rounds.sign_update(agent.id, sign or agent.sign, digest, enrolment, 0, 1, bytes(32))


def first_agent(closed):
    device = messages.open_update(closed.entries[0].frame).device
    return next(agent for agent in AGENTS if agent.id == device)


def forged_update(gateway, digest, enrolment, closed):
    return with_entry(closed, frame=signed_update(first_agent(closed), digest, enrolment, sign_with(STRANGER)))


def update_of_another_round(gateway, digest, enrolment, closed):
    return with_entry(closed, frame=signed_update(first_agent(closed), bytes(32), enrolment))


def other_enrolment(gateway, digest, enrolment, closed):
    other = enrol_frame(number=2, holders=[HOLDERS[0], key(9)])
    digest_of_it = messages.open_enrolment(other, OWNER_ADDRESS).digest
    frame = signed_update(first_agent(closed), digest, digest_of_it)
    changed = with_entry(closed, frame=frame, enrolment=1)
    return changed._replace(enrolments=(*closed.enrolments, other))


def owners_forged_enrolment(gateway, digest, enrolment, closed):
    return closed._replace(enrolments=(enrol_frame(STRANGER, named=OWNER_ADDRESS),))


def device_that_is_not_bound(gateway, digest, enrolment, closed):
    del gateway.owners[first_agent(closed).id]
    return closed


def too_many_weights(gateway, digest, enrolment, closed):
    agents = sorted((Agent(number) for number in range(100, 164)), key=lambda agent: agent.id)
    gateway.owners.update({agent.id: OWNER_ADDRESS for agent in agents})
    entries = tuple(Entry(4, 0, signed_update(agent, digest, enrolment)) for agent in agents)
    return closed._replace(entries=entries)


def another_round(gateway, digest, enrolment, closed):
    return closed._replace(manifest=bytes(32))


CASES = {
    "signature": forged_update,
    "round": update_of_another_round,
    "round of the set": another_round,
    "holders": other_enrolment,
    "stranger": owners_forged_enrolment,
    "unbound": device_that_is_not_bound,
    "space": too_many_weights,
}


def merge(gateway, digest, closed, aggregate):
    frame = messages.sign_set(closed, OTHER_ADDRESS, sign_with(OTHER))
    gateway.rounds.merge(digest, [(frame, aggregate)], [OTHER_ADDRESS])


@pytest.mark.parametrize("case", CASES)
def test_a_named_gateway_cannot_slip_in_what_was_not_signed(two, case):
    gateway, digest, enrolment, closed, aggregate = two
    before = gateway.state()
    with pytest.raises(Refused) as caught:
        merge(gateway, digest, CASES[case](gateway, digest, enrolment, closed), aggregate)
    assert caught.value.reason == case.split()[0] and gateway.state() == before


@pytest.mark.parametrize("length", [3456, 6912])
def test_an_aggregate_that_is_no_ciphertext_is_not_merged(two, length):
    gateway, digest, _, closed, _ = two
    aggregate = b"\xff" * length
    with pytest.raises(Refused, match="no ciphertext of the ring"):
        merge(gateway, digest, closed._replace(aggregate=hashlib.sha256(aggregate).digest()), aggregate)


def test_what_is_right_is_merged_once(two):
    gateway, digest, _, closed, aggregate = two
    merge(gateway, digest, closed, aggregate)
    assert gateway.rounds.status(digest)["state"] == "closed"
    with pytest.raises(Refused, match="got one that is closed, wanted a part"):
        merge(gateway, digest, closed, aggregate)


def test_a_round_that_is_no_part_is_not_merged(tmp_path, two):
    _, digest, _, closed, aggregate = two
    whole = Gateway(tmp_path, AGENTS)
    whole.open(manifest())
    with pytest.raises(Refused, match="got one that is open, wanted a part"):
        merge(whole, digest, closed, aggregate)

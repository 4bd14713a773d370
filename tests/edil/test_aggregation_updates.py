"""What a gateway takes from devices in a round: every refusal has its reason and leaves the round as it was."""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import rounds, wire
from device.native import edil
from gateway import curve
from gateway.aggregation import rings, updates
from gateway.aggregation.aggregate import Refused
from gateway.aggregation.messages import open_set
from tests.edil_rounds import (
    DEADLINE_MS,
    HOLDERS,
    OWNER,
    OWNER_ADDRESS,
    STRANGER,
    Agent,
    Gateway,
    enrol_frame,
    key,
    manifest,
    sign_with,
)

A, B, C = Agent(1), Agent(2), Agent(3)
VALUES = list(range(-8, 8))


@pytest.fixture
def gateway(tmp_path):
    made = Gateway(tmp_path, [A, B])
    made.frame, made.digest, made.enrolment = made.open()
    made.ciphertext = A.encrypt(made.frame, made.enrolment, VALUES)
    return made


def upload(gateway, agent=A, **options):
    """Messages of a device's upload; its ciphertext unless another is named."""
    ciphertext = options.pop("ciphertext", gateway.ciphertext)
    digest, enrolment = options.pop("digest", gateway.digest), options.pop("enrolment", gateway.enrolment)
    return agent.messages(digest, enrolment, ciphertext, **options)


def with_big_residue(ciphertext, place):
    """The ciphertext with one residue of q, the least that is not allowed."""
    residues = list(memoryview(edil.unpack(1024, ciphertext)).cast("I"))
    bits = sum(value << (27 * at) for at, value in enumerate(residues))
    bits += (rings.RINGS[1024].q - residues[place]) << (27 * place)
    return bits.to_bytes(3456, "little")


REFUSED = {
    "an unknown round": ("round", lambda g: upload(g, digest=bytes(32))),
    "an unknown enrolment": ("holders", lambda g: upload(g, enrolment=bytes(32))),
    "an index of another kind": ("bounds", lambda g: upload(g, index=1)),
    "more windows than the round's": ("bounds", lambda g: upload(g, count=9)),
    "another's signature": ("signature", lambda g: upload(g, sign=B.sign)),
    "a device that is not known": ("stranger", lambda g: upload(g, C)),
    "another device's topic": ("stranger", lambda g: [(B_TOPIC, payload) for _, payload in upload(g)[:1]]),
    "a residue of q in the first place": ("residue", lambda g: upload(g, ciphertext=with_big_residue(g.ciphertext, 0))),
    "a residue of q in the last place": (
        "residue",
        lambda g: upload(g, ciphertext=with_big_residue(g.ciphertext, 1023)),
    ),
    "bytes that were not signed": ("digest", lambda g: upload(g, named=hashlib.sha256(g.ciphertext[::-1]).digest())),
    "a longer ciphertext": ("digest", lambda g: upload(g, ciphertext=g.ciphertext + b"\0")),
}
B_TOPIC = wire.topic(B.id, "update")


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_upload_is_refused_with_its_reason_and_a_good_one_is_stored_afterwards(gateway, case):
    reason, make = REFUSED[case]
    before = gateway.state()
    assert gateway.send(make(gateway))[-1][3] == reason
    assert gateway.rounds.rejected[reason] == 1 and gateway.state() == before
    assert gateway.send(upload(gateway))[-1] == (A.id, gateway.digest, 0, "stored")


def test_a_device_that_is_not_bound_is_refused(gateway):
    del gateway.owners[A.id]
    assert gateway.send(upload(gateway))[-1][3] == "unbound"


def test_a_device_enrolled_with_another_owner_is_refused(gateway):
    gateway.owners[A.id] = curve.address_of(STRANGER.secret)
    assert gateway.send(upload(gateway))[-1][3] == "stranger"


def test_an_enrolment_with_other_holders_than_the_rounds_is_refused(gateway):
    other = gateway.rounds.enrol(OWNER_ADDRESS, enrol_frame(number=2, holders=[HOLDERS[0], key(9)]))
    assert gateway.send(upload(gateway, enrolment=other))[-1][3] == "holders"


def test_an_upload_too_short_never_completes(gateway):
    assert gateway.send(upload(gateway, ciphertext=gateway.ciphertext[:-1])) == []
    assert not gateway.rounds.status(gateway.digest)["devices"]


def test_the_same_bytes_again_are_stored_and_other_bytes_are_twice(gateway):
    assert gateway.send(upload(gateway))[-1][3] == "stored"
    before = gateway.state()
    assert [status for *_, status in gateway.send(upload(gateway))] == ["stored"]
    other = A.encrypt(gateway.frame, gateway.enrolment, VALUES, noise=bytes(32))
    assert [status for *_, status in gateway.send(upload(gateway, ciphertext=other))] == ["twice"]
    gateway.restart()
    assert [status for *_, status in gateway.send(upload(gateway))] == ["stored"]
    assert [status for *_, status in gateway.send(upload(gateway, ciphertext=other))] == ["twice"]
    assert gateway.state() == before


@pytest.mark.parametrize("cut", [0, 1, 5])
def test_an_upload_that_is_complete_after_the_deadline_is_late_and_one_at_the_deadline_is_not(gateway, cut):
    messages = upload(gateway)
    gateway.send(messages[:cut])
    gateway.now_ms = DEADLINE_MS
    assert gateway.send(upload(gateway, B, ciphertext=B.encrypt(gateway.frame, gateway.enrolment, VALUES)))
    gateway.now_ms = DEADLINE_MS + 1
    assert gateway.send(messages[cut:])[-1][3] == "late"
    assert gateway.rounds.status(gateway.digest)["devices"] == [B.id.hex()]


def test_nothing_is_taken_into_a_closed_round_and_what_it_has_is_still_acknowledged(gateway):
    gateway.send(upload(gateway))
    half = upload(gateway, B, ciphertext=B.encrypt(gateway.frame, gateway.enrolment, VALUES))
    gateway.send(half[:4])
    gateway.rounds.close_round(gateway.digest)
    before = gateway.state()
    assert gateway.send(half[4:]) == []
    assert [status for *_, status in gateway.send(half)] == ["closed"]
    assert [status for *_, status in gateway.send(upload(gateway))] == ["stored"]
    assert gateway.state() == before


def test_parts_that_come_twice_out_of_order_or_not_at_all_do_no_harm(gateway):
    header, *parts = upload(gateway)
    assert gateway.send([header, parts[0], parts[2], parts[0], parts[1], parts[1]]) == []
    assert gateway.rounds.rejected == {"gap": 1, "repeated": 2}
    assert gateway.send([header, *parts])[-1][3] == "stored"
    assert next(gateway.store.ciphertexts(gateway.digest)).content == gateway.ciphertext


def test_parts_without_a_header_are_counted_and_nothing_else(gateway):
    assert gateway.send(upload(gateway)[1:]) == []
    assert gateway.rounds.rejected == {"part": 8}


def test_one_upload_a_device_and_so_many_in_all_are_in_the_making(gateway, monkeypatch):
    monkeypatch.setattr(updates, "MAX_UPLOADS", 1)
    first, second = upload(gateway), upload(gateway, B, ciphertext=B.encrypt(gateway.frame, gateway.enrolment, VALUES))
    gateway.send(first[:3])
    assert gateway.send(second)[0][3] == "space"
    assert gateway.send(first[3:])[-1][3] == "stored"
    assert gateway.send(second)[-1][3] == "stored"


@pytest.mark.parametrize("is_one_batch", [False, True])
def test_weights_beyond_256_in_all_find_no_room(tmp_path, is_one_batch):
    agents = [Agent(number) for number in range(1, 66)]
    gateway = Gateway(tmp_path, agents)
    frame, digest, enrolment = gateway.open(weights={agent.id: 4 for agent in agents})
    uploads = [agent.messages(digest, enrolment, agent.encrypt(frame, enrolment, VALUES)) for agent in agents]
    batches = [sum(uploads, [])] if is_one_batch else uploads
    statuses = [status for batch in batches for *_, status in gateway.send(batch)]
    assert statuses == ["stored"] * 64 + ["space"]
    gateway.rounds.close_round(digest)
    entries = open_set(gateway.rounds.closed(digest)[0]).body.entries
    assert sum(entry.weight for entry in entries) == 256


def test_a_full_disk_is_told_and_nothing_is_acknowledged(gateway):
    gateway.give(B, gateway.frame, gateway.enrolment, VALUES)  # its first page is there from the start
    pages = gateway.store._database.execute("PRAGMA page_count").fetchone()[0]
    gateway.store._database.execute(f"PRAGMA max_page_count = {pages}")
    before = gateway.state()
    again = B.messages(gateway.digest, gateway.enrolment, next(gateway.store.ciphertexts(gateway.digest)).content)
    assert [status for *_, status in gateway.send(upload(gateway) + again)] == ["space", "stored"]
    with pytest.raises(Refused, match="no space left"):
        gateway.rounds.open_round(manifest(number=2), {bytes([number] * 20): 1 for number in range(200)})
    assert gateway.state() == before
    gateway.store._database.execute("PRAGMA max_page_count = 100000")
    assert gateway.send(upload(gateway))[-1][3] == "stored"


ENROLMENTS = {
    "another owner's signature": ("signature", lambda: enrol_frame(STRANGER, named=OWNER_ADDRESS)),
    "another chain": ("stranger", lambda: enrol_frame(domain=(1, bytes(20)))),
    "a lower number": ("number", lambda: enrol_frame(number=1, holders=[*HOLDERS, key(9)])),
}


@pytest.mark.parametrize("case", ENROLMENTS)
def test_a_bad_enrolment_is_refused(gateway, case):
    reason, make = ENROLMENTS[case]
    before = gateway.state()
    with pytest.raises(Exception) as caught:
        gateway.rounds.enrol(OWNER_ADDRESS, make())
    assert caught.value.reason == reason and gateway.state() == before


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.data())
def test_whatever_strangers_send_the_round_is_unharmed(tmp_path_factory, data):
    gateway = FUZZED.get("gateway") or Gateway(tmp_path_factory.mktemp("fuzz"), [A, B])
    if not FUZZED:
        FUZZED.update(gateway=gateway, round=gateway.open(), before=gateway.state())
    frame, digest, enrolment = FUZZED["round"]
    good = A.messages(digest, enrolment, bytes(3456), sign=sign_with(OWNER))
    topic, payload = data.draw(st.sampled_from(good))
    changed = bytearray(payload)
    for _ in range(data.draw(st.integers(0, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    kept = bytes(changed[: data.draw(st.integers(0, len(changed)))])
    name = data.draw(st.sampled_from(["update", "part", "edil", "other"]))
    gateway.send([(topic, kept), (wire.topic(A.id, name), data.draw(st.binary(max_size=80)))])
    assert gateway.state() == FUZZED["before"]


FUZZED = {}


def test_a_device_is_told_its_enrolment_and_round_until_it_says_what_it_did(gateway):
    def told(agent):
        heard = [(topic.split("/")[2], payload) for topic, payload in gateway.published if agent.id.hex() in topic]
        gateway.published.clear()
        return heard

    wanted = [("enrol", enrol_frame()), ("round", gateway.frame)]
    gateway.rounds.turn()
    assert told(A) == wanted
    gateway.send([(wire.topic(A.id, "edil"), rounds.encode_status(gateway.digest, "joined"))])
    gateway.now_ms += 15_000
    gateway.rounds.turn()
    heard_by_b = [payload for topic, payload in gateway.published if B.id.hex() in topic]
    assert heard_by_b == [payload for _, payload in wanted] and told(A) == []
    gateway.rounds.greet(A.id)
    assert told(A) == wanted
    assert gateway.rounds.status(gateway.digest)["joined"] == 1
    gateway.rounds.close_round(gateway.digest)
    gateway.rounds.greet(A.id)
    assert told(A) == wanted[:1]


def test_a_label_is_told(gateway):
    gateway.rounds.label(A.id, 3)
    gateway.rounds.label(A.id, None)
    assert [rounds.decode_label(payload) for _, payload in gateway.published[-2:]] == [3, None]


def test_garbage_of_the_right_length_is_refused_by_its_residues():
    garbage = random.Random(7).randbytes(3456)
    with pytest.raises(ValueError, match="residue"):
        edil.unpack(1024, garbage)

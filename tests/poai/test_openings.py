"""What both scorers, a gateway and an audit make of sealed answers and openings, cheat by cheat."""

from concurrent.futures import Future
from dataclasses import dataclass, replace

import cbor2
import pytest

from device.agent import seal, wire
from gateway.intake.evidence import heartbeats_path
from gateway.oracle.epoch import SignerKeys
from gateway.poai import dleq, private, readers
from gateway.poai.answers import read_answers
from gateway.poai.audit import audit
from gateway.poai.models import Models
from gateway.poai.readers import Readers, Refused
from gateway.poai.simulated import KEPT, MODEL, Device, Epoch, run
from gateway.verify import messages, openings
from gateway.verify.read import Refused as SecondRefused
from tests.agent.test_private import OTHER, READER
from tests.oracle.test_second_work import COUNT, second
from tests.poai.test_sealed import MODELS, SealedSite, opening, signed

SIMULATED = Models({MODEL: KEPT}, {MODEL: run})
is_signed = SignerKeys().is_signed


@dataclass
class Noisy(Device):
    """A device that seals what is no reveal."""

    def answer(self, boot, sequence, count, index):
        point, box = READER.public_key.format(), bytes(200)
        return signed(seal.encode_sealed(boot, sequence, count, index, point, point, box), self.key)


SEALING = {"reader": READER.public_key}
# kind of device, whether its answers are opened -> whether it is a fraud
CASES = {
    "right, not opened": (lambda: Device(1, **SEALING), False, False),
    "right, opened": (lambda: Device(1, **SEALING), True, False),
    "lies, not opened": (lambda: Device(1, share=0.5, is_liar=True, **SEALING), False, False),
    "lies, opened": (lambda: Device(1, share=0.5, is_liar=True, **SEALING), True, True),
    "noise, not opened": (lambda: Noisy(1), False, False),
    "noise, opened": (lambda: Noisy(1), True, True),
    "silent in half, not opened": (lambda: Device(1, share=0.5, **SEALING), False, False),
}


def sealed_among(items):
    return [private.read_sealed(at_ms, frame)[0] for at_ms, frame in items if len(frame) > wire.HEARTBEAT_MAX_BYTES]


@pytest.mark.parametrize("name", CASES)
def test_both_scorers_count_sealed_work_alike_and_find_a_fraud_where_it_was_opened(name, tmp_path):
    make, is_opened, is_fraud = CASES[name]
    epoch = Epoch([make()], COUNT).play()
    if is_opened:
        sealed = sealed_among(epoch.items)
        wrong = [replace(each, point=OTHER.public_key.format()) for each in sealed]  # what they prove hides no lie
        epoch.items += [(at_ms, opening(each)) for at_ms, each in enumerate([*wrong, *sealed])]
    work = epoch.work()[0][epoch.ids[0]]
    assert second(tmp_path, epoch) == (work.units, is_fraud) and bool(work.frauds) == is_fraud
    assert bool(work.units) != is_fraud


DEVICE = Device(7, **SEALING)
DEVICE.infer()
FRAME = DEVICE.answer(1, 1, KEPT, 2)
SEALED = private.read_sealed(0, FRAME)[0]
BODY = cbor2.loads(wire.open_sign1(FRAME, seal.SEALED_MAX_BYTES)[1])[seal.SEALED]
NO_POINT = b"\x02" + bytes(32)
LONG = READER.public_key.format(compressed=False)


def spread(payload):
    """The same map with an array whose length is not told: CBOR, but no deterministic one."""
    ((label, body),) = cbor2.loads(payload).items()
    return b"\xa1" + cbor2.dumps(label) + b"\x9f" + b"".join(map(cbor2.dumps, body)) + b"\xff"


def sealed_as(**changed):
    fields = dict(zip(("boot", "sequence", "count", "index", "reader", "point", "box"), BODY, strict=True)) | changed
    return cbor2.dumps({seal.SEALED: list(fields.values())})


ANSWERS = {
    "as it is": (sealed_as(), True),
    "reader is no point": (sealed_as(reader=NO_POINT), False),
    "reader in another form": (sealed_as(reader=LONG), False),
    "the device's point is none": (sealed_as(point=NO_POINT), False),
    "the device's point in another form": (sealed_as(point=LONG), False),
    "a box of nothing": (sealed_as(box=b""), False),
    "an inference behind its count": (sealed_as(index=KEPT + 1), False),
    "an array of no told length": (spread(sealed_as()), False),
    "a second label": (cbor2.dumps({seal.SEALED: BODY, 1: 2}), False),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_both_scorers_read_the_same_sealed_answers(name):
    payload, is_one = ANSWERS[name]
    frame = bytes(signed(payload, DEVICE.key))
    try:
        is_second = bool(messages.read_answer([0, frame]))
    except SecondRefused:
        is_second = False
    assert (bool(read_answers([(0, frame)], is_signed)), is_second) == (is_one, is_one)


def opening_as(key=READER, **changed):
    """The opening of SEALED with some of its fields changed, signed by a key."""
    body = cbor2.loads(wire.open_sign1(opening(SEALED), private.OPENING_MAX_BYTES)[1])[private.OPENING]
    fields = dict(zip(("digest", "shared", "proof"), body, strict=True))
    fields |= {name: change(fields[name]) for name, change in changed.items()}
    return signed(cbor2.dumps({private.OPENING: list(fields.values())}), key)


def uncompressed(shared):
    return private.PublicKey(shared).format(compressed=False)


def cancelling(proof):
    """e, and an s by which the first of the two sums is no point; only the reader can make one."""
    return proof[:32] + (int.from_bytes(proof[:32]) * READER.to_int() % dleq.ORDER).to_bytes(32)


OPENINGS = {
    "as it is": (opening_as(), True),
    "signed by another": (opening_as(OTHER), False),
    "shared point in another form": (opening_as(shared=uncompressed), False),
    "shared point is none": (opening_as(shared=lambda _: NO_POINT), False),
    "another point": (opening_as(shared=lambda _: OTHER.public_key.format()), False),
    "another frame": (opening_as(digest=lambda digest: digest[::-1]), False),
    "a digest cut short": (opening_as(digest=lambda digest: digest[:-1]), False),
    "a zero more in its proof": (opening_as(proof=lambda proof: proof[:32] + b"\0" + proof[32:]), False),
    "a proof of no points": (opening_as(proof=cancelling), False),
    "a proof of zeros": (opening_as(proof=lambda _: bytes(64)), False),
    "a proof of ones": (opening_as(proof=lambda _: b"\xff" * 64), False),
    "an array of no told length": (
        signed(spread(wire.open_sign1(opening(SEALED), private.OPENING_MAX_BYTES)[1]), READER),
        False,
    ),
}


@pytest.mark.parametrize("name", OPENINGS)
def test_both_scorers_open_by_the_same_openings(name):
    frame, opens = OPENINGS[name]
    sealed = messages.read_answer([0, bytes(FRAME)])
    try:
        is_second = openings.is_opened(sealed, messages.read_answer([0, bytes(frame)]))
    except SecondRefused:
        is_second = False
    (answer,) = read_answers([(0, FRAME), (0, frame)], is_signed)
    assert (answer.agreed is not None, is_second) == (opens, opens)


def test_a_proof_has_its_length_whatever_zeros_are_in_it():
    other = OTHER.public_key
    points = READER.public_key, other, other.multiply(READER.secret)
    entropies = (number.to_bytes(32) for number in range(10_000))
    proof = next(each for entropy in entropies if not (each := dleq.prove(READER, other, entropy, bytes(32)))[32])
    assert dleq.is_proven(*points, proof, bytes(32))
    for other_length in (proof[:32] + proof[33:], proof + b"\0"):
        assert not dleq.is_proven(*points, other_length, bytes(32))


def test_an_audit_passes_over_what_is_sealed_to_others_though_they_opened_it():
    device = Device(1, reader=OTHER.public_key)
    device.infer()
    items = [(0, device.heartbeat(wire.make_beacon(1, 0, bytes(32)))), (0, device.answer(1, 1, KEPT, 1))]
    items.append((0, opening(sealed_among(items)[0], OTHER)))
    assert len(audit(items, is_signed, SIMULATED)) == 1 and audit(items, is_signed, SIMULATED, READER) == []


def test_a_proof_holds_the_heartbeat_before_only_where_the_claim_follows_from_it():
    device = Device(1, **SEALING)
    items = []
    for boot, sequence in ((1, 0), (1, 1), (2, 0)):
        device.boot, device.sequence = boot, sequence
        device.infer()
        items.append((0, device.heartbeat(wire.make_beacon(1, len(items), bytes(32)))))
        items.append((0, device.answer(boot, sequence + 1, len(device.history), len(device.history))))
    assert [len(found.signed) for found in audit(items, is_signed, SIMULATED, READER)] == [2, 3, 2]


def test_an_opening_that_shows_nothing_is_refused_also_where_another_showed_a_lie(tmp_path):
    site = SealedSite(tmp_path, is_liar=True).play(4)
    first, other = (found.sealed for found in site.audited()[:2])
    site.readers.take(opening(first))
    before = site.items()
    with pytest.raises(Refused) as refused:
        site.readers.take(opening(other, OTHER))
    assert refused.value.reason == "sound" and site.items() == before


def test_before_the_first_epoch_nothing_is_open(tmp_path):
    with pytest.raises(Refused, match="no epoch is open"):
        Readers(tmp_path, lambda: MODELS, lambda frame: Future()).take(opening(SEALED))


def test_an_opening_that_a_slow_disk_has_not_stored_is_not_acknowledged(tmp_path, monkeypatch):
    site = SealedSite(tmp_path, is_liar=True).play(3)
    monkeypatch.setattr(readers, "STORE_S", 0)
    slow = Readers(tmp_path / "evidence", lambda: MODELS, lambda frame: Future())
    with pytest.raises(Refused) as refused:
        slow.take(opening(site.audited()[0].sealed))
    assert refused.value.reason == "not stored"


def test_a_reader_is_lent_what_is_whole_while_evidence_is_being_written(tmp_path):
    site = SealedSite(tmp_path).play(3)
    whole = site.readers.sealed_to(READER.public_key.format())
    with heartbeats_path(tmp_path / "evidence", 1).open("ab") as file:
        file.write(b"\x82\x1b")
    assert site.readers.sealed_to(READER.public_key.format()) == whole and whole[1]

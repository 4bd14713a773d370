"""Work that one buyer alone can look at: counted as sealed, audited by the buyer, and a fraud once it was opened."""

import json
import os
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import wire
from gateway import curve
from gateway.intake.evidence import EvidenceFull, heartbeats_path, read
from gateway.oracle.epoch import SignerKeys
from gateway.poai import dleq, private
from gateway.poai.audit import audit
from gateway.poai.models import Models
from gateway.poai.private import sealed_model
from gateway.poai.readers import Readers, Refused
from gateway.poai.simulated import KEPT, MODEL, Device, run
from gateway.poai.verdict import FRAUD, SEALED
from gateway.verify import messages, openings
from tests.agent.test_private import KEY, OTHER, READER, Sealing
from tests.poai.test_challenger import MODELS, Challenged

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "private.json").read_text())
HALF = dleq.ORDER // 2


class Liar:
    """In the place of an encoder: its outputs are made up."""

    def __init__(self, model):
        self.input_bytes, self.output_bytes, self.runs = model.input_bytes, model.output_bytes, 0

    def run(self, window, out):
        self.runs += 1
        out[:] = self.runs.to_bytes(len(out), "big")


class SealedSite(Challenged):
    """A site whose one device seals to READER, and what the gateway does for readers."""

    def __init__(self, folder, is_liar=False, count=6):
        super().__init__(folder, count, Sealing())
        sampler = self.bench.agent._sampler
        if is_liar:
            sampler._model = Liar(sampler._model)
        self.readers = Readers(folder / "evidence", lambda: MODELS, self.keep)

    def keep(self, frame):
        kept = self.site.intake.keep(frame, self.site.now_ms)
        self.site.intake.take(self.site.line, self.site.epochs)
        return kept

    def play(self, windows):
        for _ in range(windows):
            self.window()
        return self

    def items(self):
        return list(read(heartbeats_path(self.site.folder / "evidence", 1)))

    def audited(self, reader=READER):
        return audit(self.items(), SignerKeys().is_signed, MODELS, reader)


@pytest.fixture
def honest(tmp_path):
    return SealedSite(tmp_path).play(4)


@pytest.fixture
def lying(tmp_path):
    return SealedSite(tmp_path, is_liar=True).play(4)


def opening(sealed, key=READER):
    return private.sign_opening(sealed, key, os.urandom(32))


def test_sealed_work_counts_for_its_reader_alone_and_the_reader_finds_it_right(honest):
    honest.play(2)
    work, checked = honest.check()
    (model,) = work.models
    assert {found.outcome for found in checked} == {SEALED} and {found.reader for found in checked} == {KEY}
    assert work.counted() == {sealed_model(model, KEY): work.claimed} and work.units == work.claimed == 15
    assert [found.fault for found in honest.audited()] == [""] * len(checked)
    assert honest.audited(OTHER) == honest.audited(None) == []


def test_what_a_gateway_gives_a_reader_is_what_its_audit_needs(honest):
    epoch, items = honest.readers.sealed_to(KEY)
    assert epoch == 1 and items == honest.items() and honest.readers.sealed_to(OTHER.public_key.format()) == (1, [])
    with pytest.raises(ValueError, match="public key"):
        honest.readers.sealed_to(b"\x02" + bytes(32))


def test_a_right_answer_cannot_be_shown_to_be_a_fraud(honest):
    before = honest.items()
    for found in honest.audited():
        with pytest.raises(Refused) as refused:
            honest.readers.take(opening(found.sealed))
        assert refused.value.reason == "sound"
    assert honest.items() == before


def test_a_lie_that_its_reader_opens_is_a_fraud_for_every_oracle_and_told_once(lying):
    found = lying.audited()
    assert found and {each.fault for each in found} == {"the model gives another output for its window"}
    before = lying.items()
    assert lying.readers.take(opening(found[0].sealed)) == lying.id and len(lying.items()) == len(before) + 1
    assert lying.readers.take(opening(found[0].sealed)) == lying.id and len(lying.items()) == len(before) + 1
    lying.play(2)
    work, checked = lying.check()
    assert work.frauds == 1 and work.units == 0
    assert [each.outcome for each in checked].count(FRAUD) == 1 and {each.outcome for each in checked} == {
        FRAUD,
        SEALED,
    }


@pytest.mark.parametrize("why", ["no space", "between epochs"])
def test_an_opening_that_cannot_be_stored_is_not_acknowledged(lying, why, monkeypatch):
    (found, *_), before = lying.audited(), lying.items()
    if why == "no space":
        full = EvidenceFull()
        monkeypatch.setattr(lying.site.epochs.evidence, "append", lambda items: (_ for _ in ()).throw(full))
    else:
        lying.site.epochs.ingest.close_windows()
    with pytest.raises(Refused) as refused:
        lying.readers.take(opening(found.sealed))
    assert refused.value.reason == "not stored" and lying.items() == before


def test_without_an_opening_nobody_but_the_reader_knows_of_the_lie(lying):
    work, _ = lying.play(2).check()
    assert work.frauds == 0 and work.units == 15 and all(each.fault for each in lying.audited())


def test_a_proof_needs_no_more_than_its_frames_and_shows_no_other_window(lying):
    found = lying.audited()[1]
    proof = [*found.signed, (0, opening(found.sealed))]
    (alone,) = audit(proof, SignerKeys().is_signed, MODELS)
    assert (alone.fault, alone.sealed.place) == (found.fault, found.sealed.place) and len(proof) == 4
    for missing in range(4):
        assert not audit(proof[:missing] + proof[missing + 1 :], SignerKeys().is_signed, MODELS)


def signed(payload, key):
    """Any payload, signed by a key."""
    return wire.sign1(payload, curve.address_of(key.secret), lambda digest: key.sign_recoverable(digest, hasher=None))


def forged(sealed):
    """Openings that prove nothing, by why."""
    other = replace(sealed, point=OTHER.public_key.format())
    right = opening(sealed)
    return {
        "of another's key": opening(sealed, OTHER),
        "of another point": opening(other),
        "of another frame": opening(replace(sealed, digest=bytes(32))),
        "signed by another": signed(wire.open_sign1(right, private.OPENING_MAX_BYTES)[1], OTHER),
        "cut": right[:-1],
        "damaged": right[:-70] + bytes([right[-70] ^ 1]) + right[-69:],
        "none": b"",
    }


@pytest.mark.parametrize("why", forged(private.read_sealed(0, bytes.fromhex(VECTORS["sealed"][0]["frame"]))[0]))
def test_an_opening_that_proves_nothing_is_refused_and_changes_nothing(lying, why):
    before = lying.items()
    with pytest.raises(Refused):
        lying.readers.take(forged(lying.audited()[0].sealed)[why])
    assert lying.items() == before
    lying.site.evidence.append([(lying.site.now_ms, forged(lying.audited()[0].sealed)[why])])
    assert lying.play(2).check()[0].frauds == 0


def test_after_its_epoch_an_opening_is_refused(tmp_path):
    site = SealedSite(tmp_path, is_liar=True, count=3).play(3)
    (found, *_), before = site.audited(), site.items()
    for reason in ("unknown", "closed"):
        with pytest.raises(Refused) as refused:
            site.readers.take(opening(found.sealed))
        assert refused.value.reason == reason and site.items() == before
        for path in (tmp_path / "evidence").glob("epoch-2.*"):  # the one that is open meanwhile
            path.unlink()


def test_a_proof_on_a_heartbeat_that_the_device_did_not_sign_is_none(honest):
    found = honest.audited()[1]
    payload = wire.open_sign1(found.signed[-2][1])[1]
    beacon, boot, sequence, model, count, *_ = wire.decode_heartbeat(payload)
    other = wire.encode_heartbeat(beacon, boot, sequence, model, count, bytes(16), 0)
    forged_ = wire.sign1(other, honest.id, lambda digest: OTHER.sign_recoverable(digest, hasher=None))
    proof = [found.signed[0], (0, forged_), found.signed[-1], (0, opening(found.sealed))]
    assert not audit(proof, SignerKeys().is_signed, MODELS)


def test_an_inference_that_was_not_claimed_is_no_part_of_an_audit():
    device = Device(1, per_window=6, reader=READER.public_key)
    device.infer()
    beat = device.heartbeat(wire.make_beacon(1, 0, bytes(32)))
    models = Models({MODEL: KEPT}, {MODEL: run})
    for index in range(1, 7):
        items = [(0, beat), (0, device.answer(1, 1, 6, index))]
        assert len(audit(items, SignerKeys().is_signed, models, READER)) == (index > 6 - KEPT)


@pytest.mark.parametrize("change", ["another inference", "noise", "no reveal"])
def test_whatever_a_device_sealed_its_reader_can_show_that_it_is_no_answer(change, honest):
    sealed = honest.audited()[0].sealed
    agreed = READER.ecdh(sealed.point)
    box = {"another inference": replace(sealed, place=(*sealed.place[:4], sealed.place[4] + 1)),
           "noise": replace(sealed, box=os.urandom(len(sealed.box))),
           "no reveal": replace(sealed, box=b"\0")}[change]  # fmt: skip
    assert private.uncover(sealed, agreed) and private.uncover(box, agreed) is None


def test_the_vectors_openings_are_what_their_reader_signs():
    for vector in VECTORS["sealed"]:
        sealed, _, _ = private.read_sealed(0, bytes.fromhex(vector["frame"]))
        signed = private.sign_opening(sealed, READER, bytes.fromhex(vector["entropy"]))
        assert (sealed.digest.hex(), signed.hex()) == (vector["digest"], vector["opening"])
        assert private.agreed_of(sealed, private.read_opening(signed)).hex() == vector["agreed"]


def test_the_second_scorer_uncovers_the_same_of_the_vectors():
    for vector in VECTORS["sealed"]:
        sealed, shown = (messages.read_answer([0, bytes.fromhex(vector[name])]) for name in ("frame", "opening"))
        assert openings.is_opened(sealed, shown)
        assert openings.uncovered(sealed, shown.shared) == messages.reveal_of(
            0, sealed.place[0], bytes.fromhex(vector["reveal"])
        )


@pytest.mark.parametrize("name", ["reveal", "heartbeat"])
def test_a_sealed_answer_that_nobody_asked_for_is_refused_and_changes_nothing(name, honest):
    before, rejected = honest.items(), dict(honest.site.registry.rejected)
    body = cbor2.loads(wire.open_sign1(honest.audited()[0].signed[-1][1], 800)[1])[-65551]
    again = signed(cbor2.dumps({-65551: [*body[:3], body[3] + 1, *body[4:]]}, canonical=True), OTHER)
    honest.site.send((wire.topic(honest.id, name), again))
    assert honest.items() == before and dict(honest.site.registry.rejected) != rejected


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_changed_opening_opens_nothing(at, bit):
    sealed, _, _ = private.read_sealed(0, bytes.fromhex(VECTORS["sealed"][0]["frame"]))
    changed = bytearray.fromhex(VECTORS["sealed"][0]["opening"])
    changed[at % len(changed)] ^= 1 << bit
    try:
        assert private.agreed_of(sealed, private.read_opening(bytes(changed))) is None
    except wire.WireError as error:
        assert error.reason in wire.REASONS


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.binary(max_size=300))
def test_foreign_bytes_are_no_opening_and_no_sealed_answer(frame):
    for read_one in (private.read_opening, lambda frame: private.read_sealed(0, frame)):
        with pytest.raises(wire.WireError):
            read_one(frame)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.integers(2, HALF), st.integers(HALF + 1, dleq.ORDER - 2), st.binary(min_size=64, max_size=64))
def test_a_proof_holds_for_its_points_and_its_message_and_for_nothing_else(one, two, noise):
    """Keys that are not each other's, nor 1 or -1."""
    key, other = PrivateKey.from_int(one), PrivateKey.from_int(two).public_key
    shared, message = other.multiply(key.secret), noise[:32]
    proof = dleq.prove(key, other, noise[32:], message)
    assert dleq.is_proven(key.public_key, other, shared, proof, message)
    wrong = [
        (key.public_key, other, shared, proof, noise[:31] + bytes([noise[31] ^ 1])),
        (key.public_key, shared, other, proof, message),
        (key.public_key, other, shared.multiply((2).to_bytes(32)), proof, message),
        (other, other, shared, proof, message),
        (key.public_key, other, shared, noise, message),
        (key.public_key, other, shared, bytes(64), message),
        (key.public_key, other, shared, b"\xff" * 64, message),
        (key.public_key, other, shared, proof[:63], message),
    ]
    assert [dleq.is_proven(*each) for each in wrong] == [False] * len(wrong)

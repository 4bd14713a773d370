"""Challenge and reveal on the device: one inference a heartbeat, only what is kept, and nothing of foreign bytes."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import reveal, wire
from device.agent.errors import LocalError
from device.agent.sampling import SAMPLE_MS
from device.native.shared import Model
from gateway import curve
from gateway.poai import verdict
from gateway.poai.answers import Reveal
from gateway.poai.claims import Counts
from tests.agent_bench import ARTIFACT, Bench, heartbeat

INFERENCE_MS = 32 * SAMPLE_MS
MODEL = Model(ARTIFACT)


def run(window):
    output = bytearray(MODEL.output_bytes)
    MODEL.run(window, output)
    return bytes(output)


def beating(*inferences):
    """A bench whose device did so many inferences before each heartbeat, and these heartbeats' fields."""
    bench, beats = Bench().connect(), []
    bench.published()
    for window, count in enumerate(inferences):
        bench.pass_ms(count * INFERENCE_MS)
        bench.give_beacon(1, window)
        beats += [heartbeat(frame) for name, frame in bench.published() if name == "heartbeat"]
    return bench, beats


def challenge(bench, sequence, count, index, boot=1):
    """The reveals that follow a challenge."""
    bench.receive("challenge", reveal.encode_challenge(boot, sequence, count, index))
    return [frame for name, frame in bench.published() if name == "reveal"]


def opened(frame):
    device, payload, signature, digest = wire.open_sign1(frame, reveal.REVEAL_MAX_BYTES)
    assert curve.recover(signature, digest, device)
    return reveal.decode_reveal(payload)


@pytest.mark.parametrize("back", range(4))
def test_a_challenged_inference_is_revealed_after_the_next_heartbeat_and_a_verifier_finds_it_sound(back):
    bench, beats = beating(5, 6)
    bench.pass_ms(3 * INFERENCE_MS)
    _, boot, sequence, model, count, chain, *_ = beats[0]
    (frame,) = challenge(bench, sequence, count, count - back)
    place, (window, outputs, before) = opened(frame)[:4], opened(frame)[4:]

    counts = Counts({model: bench.agent._sampler.kept})
    claim = counts.take(
        bench.agent.identity.id, wire.encode_heartbeat(bytes(14), boot, sequence, model, count, chain, 0), 0
    )
    assert place == (boot, sequence, count, count - back) and len(outputs) == 16 * (back + 1)
    found = Reveal(0, (claim.device, *place), window, outputs, before)
    assert claim.first <= count - back and verdict.fault_of(claim, found, run) == ""
    assert verdict.fault_of(claim, found, lambda window: bytes(16))
    assert len(frame) < reveal.REVEAL_MAX_BYTES


@pytest.mark.parametrize(
    "sequence, count, index, boot",
    [(1, 5, 1, 1), (2, 11, 6, 1), (3, 11, 11, 1), (1, 5, 5, 2), (1, 12, 5, 1), (2, 40, 40, 1)],
    ids=["no longer kept", "never kept", "not sent yet", "another boot", "more than were done", "to come"],
)
def test_what_was_not_claimed_or_is_not_kept_is_refused_and_nothing_changes(sequence, count, index, boot):
    bench, _ = beating(5, 6)
    assert not challenge(bench, sequence, count, index, boot) and bench.agent.counts["refused"] == 1
    assert bench.agent._revealer.answered == [0, 0, 0] and len(challenge(bench, 2, 11, 10)) == 1


def test_of_a_heartbeat_one_inference_is_revealed_and_none_of_an_older_one():
    bench, _ = beating(5, 6)
    first = challenge(bench, 1, 5, 4)
    assert len(first) == 1 and challenge(bench, 1, 5, 4) == first
    assert not challenge(bench, 1, 5, 5) and not challenge(bench, 1, 4, 4)
    assert len(challenge(bench, 2, 11, 8)) == 1 and not challenge(bench, 1, 5, 4)
    assert bench.agent.counts["refused"] == 3


def test_a_reveal_commits_to_the_chain_of_the_heartbeat():
    bench, beats = beating(3)
    _, _, _, _, window, outputs, before = opened(challenge(bench, 1, 3, 1)[0])
    chain = before
    for at in range(0, 48, 16):
        chain = hashlib.sha256(chain + outputs[at : at + 16]).digest()[:16]
    assert (before, chain) == (bytes(16), beats[0][5]) and len(window) == 128


@pytest.mark.parametrize(
    "fields",
    [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 0), (1, 1, 3, 4), (1, 1, 3, 0), (1, 1, 1 << 32, 1), ("1", 1, 1, 1)],
)
def test_a_challenge_outside_its_ranges_cannot_be_made(fields):
    with pytest.raises(LocalError):
        reveal.encode_challenge(*fields)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=40))
def test_foreign_bytes_change_nothing_but_a_count(frame):
    before = FUZZED.agent.counts["refused"]
    FUZZED.receive("challenge", frame)
    assert not FUZZED.published() and FUZZED.agent.counts["refused"] == before + 1


FUZZED, _ = beating(5)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_payload_is_refused_or_says_something_else(at, value):
    payload = reveal.encode_reveal(1, 2, 9, 8, bytes(128), bytes(32), bytes(16))
    changed = bytearray(payload)
    changed[at % len(payload)] = value
    try:
        fields = reveal.decode_reveal(bytes(changed))
    except wire.WireError as error:
        assert error.reason in wire.REASONS
    else:
        assert reveal.encode_reveal(*fields) == changed

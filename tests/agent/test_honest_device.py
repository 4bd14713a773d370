"""An honest device is no fraud, whatever is lost, repeated, late or reset, or asked of it by a lying gateway."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import reveal, wire
from device.agent.errors import AgentError
from device.agent.sampling import SAMPLE_MS
from gateway.poai.check import check_epoch
from gateway.poai.verdict import MISSED, SOUND, Work
from tests.agent_bench import Bench
from tests.ingest_site import WINDOW_MS
from tests.poai.test_challenger import INFERENCES, MODELS, Challenged

EVENTS = [
    "the heartbeat is lost",
    "the heartbeat is late",
    "the heartbeat comes twice",
    "the challenge is lost",
    "the challenge comes twice",
    "no acknowledgement",
    "a reset",
    "no inference",
    "asked for all",
]
WINDOWS = 6


def play(folder, windows):
    """An epoch in which so much happens in each window; (work, challenges) as anyone computes them."""
    site, held = Challenged(folder, len(windows)), []
    for events in windows:
        site.challenger.turn()
        told, site.line.published = site.line.published, []
        for _, payload in told if "the challenge is lost" not in events else ():
            for _ in range(1 + ("the challenge comes twice" in events)):
                ask(site, payload)
        if "asked for all" in events:
            ask_for_all(site)
        site.forward()
        site.site.send(*held)
        if "a reset" in events:
            site.bench = Bench(site.bench.port.now_ms, site.bench.memory).connect()
        held = beat(site, events)
        site.site.wait(WINDOW_MS)
    works, checked = check_epoch(folder / "evidence", 1, site.later, {site.id}, MODELS)
    return works.get(site.id, Work()), checked


def beat(site, events):
    """Inferences, the beacon, and what comes of it; what is only received in the next window."""
    if "no inference" not in events:
        site.bench.pass_ms(INFERENCES * 32 * SAMPLE_MS, acknowledge=False)
    site.bench.receive("beacon", wire.encode_beacon(site.site.beacon, WINDOW_MS))
    frames = [(wire.topic(site.id, name), frame) for name, frame in site.bench.published() if name != "announce"]
    if "the heartbeat is late" in events:
        return frames
    if "the heartbeat is lost" not in events:
        for _ in range(1 + ("the heartbeat comes twice" in events)):
            site.site.send(*frames)
    if "no acknowledgement" not in events:
        for payload in site.site.acks():
            site.bench.receive("ack", payload)
    return []


def ask(site, payload):
    with contextlib.suppress(AgentError):
        site.bench.receive("challenge", payload)


def ask_for_all(site):
    """Ask for what nobody drew, and put each answer into the evidence, as a lying gateway would."""
    sequence, count = site.bench.agent.sequence, site.bench.agent._sampler.count
    for number in range(max(1, sequence - 1), sequence + 1):
        for said in range(max(1, count - 6), count + 1):
            for index in range(max(1, said - 3), said + 1):
                ask(site, reveal.encode_challenge(site.bench.agent.boot, number, said, index))
    frames = [frame for name, frame in site.bench.published() if name == "reveal"]
    site.site.evidence.append([(site.site.now_ms, frame) for frame in frames])


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.lists(st.sets(st.sampled_from(EVENTS), max_size=3), min_size=WINDOWS, max_size=WINDOWS))
def test_no_schedule_makes_an_honest_device_a_fraud(tmp_path_factory, windows):
    work, checked = play(tmp_path_factory.mktemp("site"), windows)
    assert work.frauds == 0 and {found.outcome for found in checked} <= {SOUND, MISSED}
    assert [found.reason for found in checked] == [""] * len(checked)


def test_without_any_of_it_everything_is_sound(tmp_path):
    work, checked = play(tmp_path, [set()] * WINDOWS)
    assert work.units == work.claimed == 15 and {found.outcome for found in checked} == {SOUND}

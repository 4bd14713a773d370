"""Samples on their way into windows, and the clock that wraps."""

import hashlib
import json
from array import array
from pathlib import Path

import pytest

from device.agent import ticks
from device.agent.sampling import SAMPLE_MS, LinkSource, Sampler
from device.native.shared import Model
from tests.agent_bench import ARTIFACT, OFFSETS, SHIFTS, WRAP, Counting


def sampled(source, now_ms=0):
    return Sampler(source, Model(ARTIFACT), OFFSETS, SHIFTS, now_ms)


def test_samples_that_are_missing_are_counted_and_do_not_enter_a_window():
    source = Counting()
    sampler = sampled(source)
    for step, says in enumerate((False, OSError("no answer"), True)):
        source.says = says
        sampler.tick(step * SAMPLE_MS)

    assert sampler.counts == {"late": 0, "missing": 1, "source": 1}
    for step in range(3, 33):
        sampler.tick(step * SAMPLE_MS)
    assert sampler.count == 0
    sampler.tick(33 * SAMPLE_MS)
    assert sampler.count == 1 and sampler.ms_left(33 * SAMPLE_MS) == SAMPLE_MS


def test_after_a_long_stop_the_samples_that_were_missed_are_counted_and_not_invented():
    sampler = sampled(Counting())
    sampler.tick(0)

    sampler.tick(60_000)

    assert sampler.counts["late"] == 1199 and sampler.source.given == 2


MOTION = Path(__file__).parents[2] / "models" / "motion"


def test_a_model_of_three_channels_each_100_ms_takes_x_y_z_and_its_windows_can_be_revealed():
    facts, model = json.loads((MOTION / "motion.json").read_text()), Model((MOTION / "encoder.ren").read_bytes())
    sampler = Sampler(Counting(), model, facts["offsets"], facts["shifts"], 0, facts["sample_ms"])
    for now_ms in range(0, 2 * 3200, 10):
        sampler.tick(now_ms)

    assert sampler.source.given == 64 and sampler.count == 2 and sampler.ms_left(2 * 3200 - 10) == 10
    output, chain = bytearray(model.output_bytes), bytes(16)
    for count in (1, 2):
        rows = [(-n, 2 * n, 32767) for n in range(32 * count - 31, 32 * count + 1)]
        window = bytes(max(-128, min(127, value >> 5)) & 0xFF for row in rows for value in row)
        model.run(window, output)
        assert sampler.reveal(count)[1:] == (window, bytes(output))
        chain = hashlib.sha256(chain + output).digest()[:16]
    assert sampler.chain == chain

    sampler.tick(2 * 3200 - 100 + 33 * 100)
    assert sampler.counts["late"] == 0 and sampler.source.given == 97
    sampler.tick(20_000)
    assert sampler.counts["late"] > 32


@pytest.mark.parametrize(
    "offsets, shifts", [((), ()), ((0,) * 5, (0,) * 5), ((0,) * 4, (0,) * 3), ((0,) * 3, (0,) * 3)]
)
def test_a_sampler_refuses_a_model_whose_input_is_no_whole_samples(offsets, shifts):
    with pytest.raises(ValueError, match="offsets, shifts: wanted|model: wanted an input of whole samples"):
        Sampler(Counting(), Model(ARTIFACT), offsets, shifts, 0)


def test_a_link_source_gives_what_came_in_order_and_counts_what_does_not_fit():
    source, out = LinkSource(), array("h", (0, 0, 0, 0))
    samples = b"".join(array("h", (n, -n, 0, 1)).tobytes() for n in range(70))

    assert not source.read(out)
    source.push("office.csv", samples[: 40 * 8])
    assert [source.read(out) and out[1] for _ in range(10)] == [-n for n in range(10)]
    source.push("office.csv", samples)

    assert source.dropped == 36 and source.name == "office.csv"
    assert [source.read(out) and out[0] for _ in range(64)] == [*range(10, 40), *range(34)]
    assert not source.read(out)


@pytest.mark.parametrize(
    "start_, ms, end",
    [(0, 5, 5), (WRAP - 1, 1, 0), (WRAP - 10, 25, 15), (5, -10, WRAP - 5), (0, WRAP // 2 - 1, 2**29 - 1)],
)
def test_ticks_add_and_subtract_across_the_wrap(start_, ms, end):
    assert ticks.add(start_, ms) == end
    assert ticks.diff(end, start_) == ms and ticks.diff(start_, end) == -ms

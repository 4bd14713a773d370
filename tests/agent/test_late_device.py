"""The device's side of late records: when one is made, when they are sent, foreign acks, bad clocks and memories."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import reports, wire
from device.agent.late import RESEND_MOST_MS, RESEND_MS, WINDOW_MS
from device.agent.ring import PAGE_RECORDS
from tests.agent.test_ring import PAGE_BYTES, Chip
from tests.agent_bench import WRAP, Bench
from tests.late_scene import Still

MINUTE_MS = 60_000


def bench_of(now_ms=0, memory=None, ring=None):
    return Bench(now_ms, memory, Still(), ring or Chip(0, 8 * PAGE_BYTES))


def kept(bench):
    return bench.agent.late.counts["kept"]


def give(bench, window, window_ms=MINUTE_MS):
    bench.receive("beacon", wire.encode_beacon(wire.make_beacon(1, window, bytes(32)), window_ms))


def acknowledge(bench):
    bench.receive("ack", wire.encode_ack(bench.agent.boot, bench.agent.sequence))


def batches(bench):
    """Fields of the batches that were published."""
    frames = [frame for name, frame in bench.sent if name == "late"]
    return [reports.decode_late(wire.open_sign1(frame, reports.LATE_MAX_BYTES)[1]) for frame in frames]


@pytest.mark.parametrize("start_ms", [0, WRAP - 90_000], ids=["", "as the clock wraps"])
def test_a_record_is_made_for_each_window_without_a_beacon_by_the_last_beacons_length(start_ms):
    bench = bench_of(start_ms)

    bench.pass_ms(WINDOW_MS - 500, 500)
    assert kept(bench) == 0
    bench.pass_ms(WINDOW_MS * 2, 500)
    assert kept(bench) == 2

    bench.connect()
    give(bench, 1, 5_000)
    bench.published()
    acknowledge(bench)
    before = kept(bench)
    bench.pass_ms(9_500, 500)
    assert kept(bench) == before
    bench.pass_ms(10_500, 500)
    assert kept(bench) == before + 3 and bench.agent.sequence == before + 4


@pytest.mark.parametrize(("window_ms", "made"), [(1, 600), (999, 600), (4_000_000_000, 0)])
def test_a_window_of_any_length_makes_no_flood_and_does_not_silence_for_ever(window_ms, made):
    bench = bench_of(ring=Chip(0, 40 * PAGE_BYTES))
    give(bench, 1, window_ms)

    bench.pass_ms(600_000, 500)
    assert made - 3 <= kept(bench) <= made + 1
    bench.pass_ms(8 * 3_600_000, 60_000)
    assert kept(bench) > made


def test_nothing_is_sent_before_a_beacon_nor_while_a_heartbeat_waits():
    bench = bench_of()
    bench.pass_ms(10 * MINUTE_MS, 500)
    bench.connect()
    bench.pass_ms(30_000)
    assert not batches(bench)

    give(bench, 1)
    bench.pass_ms(10_000)
    assert not batches(bench)
    acknowledge(bench)
    bench.pass_ms(100)

    ((boot, beacon, dropped, records),) = batches(bench)
    assert (boot, beacon, dropped) == (1, bytes(14), 0)
    assert [record[0] for record in records] == list(range(1, 11))
    assert [record[1] for record in records] == [60 * minute for minute in range(1, 11)]


def ready(records=30):
    """A bench that is online, with records to send, of which the first batch is on its way."""
    bench = bench_of()
    bench.pass_ms(records * MINUTE_MS, 500)
    bench.connect()
    give(bench, 1, 3_600_000)
    bench.published()
    acknowledge(bench)
    bench.pass_ms(100)
    assert len(batches(bench)) == 1
    return bench


def test_a_batch_without_an_ack_is_sent_again_less_and_less_often():
    bench = ready()
    frames = {frame for name, frame in bench.sent if name == "late"}

    bench.pass_ms(RESEND_MS + 2 * RESEND_MS + 4 * RESEND_MS, 500)
    assert len(batches(bench)) == 4
    bench.pass_ms(10 * RESEND_MOST_MS, 500)

    assert 12 <= len(batches(bench)) <= 15 and {frame for name, frame in bench.sent if name == "late"} == frames


@pytest.mark.parametrize("place", [(1, 11), (1, 13), (2, 12), (1, 30)])
def test_an_ack_of_another_place_frees_nothing(place):
    bench = ready()
    before, held = bytes(bench.agent.late.ring._memory.bytes), bench.agent.late.ring.held

    bench.receive("late_ack", wire.encode_ack(*place))

    assert bench.agent.late.ring.held == held and bytes(bench.agent.late.ring._memory.bytes) == before
    bench.receive("late_ack", wire.encode_ack(1, 12))
    assert bench.agent.late.ring.held == held - 12


def test_an_ack_twice_frees_once():
    bench = ready()
    held = bench.agent.late.ring.held
    for _ in range(2):
        bench.receive("late_ack", wire.encode_ack(1, 12))
    assert bench.agent.late.ring.held == held - 12


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.binary(max_size=100))
def test_foreign_bytes_as_an_ack_change_nothing(data):
    if data == wire.encode_ack(1, 12):
        return
    bench = bench_of()
    bench.pass_ms(3 * MINUTE_MS, 1000)
    before = bytes(bench.agent.late.ring._memory.bytes), bench.agent.late.ring.held

    bench.receive("late_ack", data)

    assert (bytes(bench.agent.late.ring._memory.bytes), bench.agent.late.ring.held) == before


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000, -500, 400_000_000])
def test_a_clock_that_jumps_makes_one_record_at_most_and_the_device_goes_on(jump_ms):
    bench = bench_of()
    bench.connect()
    give(bench, 1)
    bench.published()
    acknowledge(bench)
    bench.pass_ms(MINUTE_MS, 500)
    uptime_s = bench.agent._uptime.s

    bench.port.now_ms = (bench.port.now_ms + jump_ms) % WRAP
    bench.pass_ms(1000)
    assert kept(bench) <= 1 and bench.agent._uptime.s >= uptime_s
    bench.pass_ms(5 * MINUTE_MS, 500)

    assert 3 <= kept(bench) <= 6


@pytest.mark.parametrize("fault", [OSError("no answer"), None], ids=["an error", "nothing is written"])
def test_a_memory_that_fails_costs_records_which_are_counted_and_nothing_else(fault):
    ring = Chip(0, 8 * PAGE_BYTES)
    bench = bench_of(ring=ring)

    def fail(addr, data):
        if fault:
            raise fault

    ring.write = fail
    bench.pass_ms(5 * MINUTE_MS, 500)
    bench.connect()
    give(bench, 1)
    assert [name for name, _ in bench.published()] == ["announce", "heartbeat"]
    acknowledge(bench)
    del ring.write
    bench.pass_ms(4 * MINUTE_MS, 500)
    give(bench, 2)
    bench.published()
    acknowledge(bench)
    bench.pass_ms(100)

    assert bench.agent.late.counts["store"] == 5
    assert [(fields[2], [record[0] for record in fields[3]]) for fields in batches(bench)] == [(5, [7, 8, 9])]


def test_a_memory_that_cannot_be_read_is_tried_again_after_the_next_beacon():
    bench = ready()
    ring = bench.agent.late.ring._memory

    def fail(addr, buffer):
        raise OSError("no answer")

    ring.read = fail
    bench.receive("late_ack", wire.encode_ack(1, 12))
    bench.pass_ms(10_000)
    assert len(batches(bench)) == 1
    del ring.read
    give(bench, 2)
    bench.published()
    acknowledge(bench)
    bench.pass_ms(100)

    assert [record[0] for record in batches(bench)[-1][3]] == list(range(13, 25))


def test_a_flood_of_beacons_costs_a_slot_or_two_each_and_drops_the_oldest():
    bench = bench_of().connect()
    for window in range(1, 800):
        give(bench, window)

    late = bench.agent.late
    assert late.ring.held + late.ring.dropped == kept(bench) == 798
    assert 6 * PAGE_RECORDS / 2 <= late.ring.held


def test_a_device_without_a_ring_makes_no_record_and_says_a_budget_of_0():
    bench = Bench(source=Still())
    bench.pass_ms(10 * MINUTE_MS, 500)
    bench.connect()
    give(bench, 1)

    frame = dict(bench.published())["heartbeat"]
    assert wire.decode_heartbeat(wire.open_sign1(frame)[1])[2::4] == (1, 0)
    assert "late_ack" not in str(bench.client._topics)

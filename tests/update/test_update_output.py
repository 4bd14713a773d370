"""Outputs that a model's manifest asks for, on the real agent and encoder."""

import pytest

from device.agent import loop, run, suit
from device.agent.banks import Banks
from device.agent.boot import Boot
from device.native.shared import Model
from tests.agent_bench import ARTIFACT, Bench, Counting, Ram, VirtualPort
from tests.update_bench import OWNER, Eeprom, Power, manifest, trust

WINDOWS = 12


class Reporting(Bench):
    """A bench whose model's manifest asks for a report."""

    def __init__(self, report, sample_ms=50):
        memories = [Eeprom(Power(), size) for size in (4096, 8192, 8192, 8192, 8192)]
        self.parameters = suit.encode_parameters((12800, 1024, 1024, 1024), (6, 3, 3, 3), sample_ms, report)
        frame = manifest(ARTIFACT, 1, parameters=self.parameters)
        banks = Banks(memories[0], memories[1:3], memories[3:])
        banks.bank(1, 1).begin(frame, False)
        banks.bank(1, 1).write(0, ARTIFACT)
        banks.units[1].bank = banks.units[1].sequence = 1
        banks.keep()
        self.boot = Boot(banks, "board_a", "power", 0)
        self.memory, self.port, self.source, self.sent = Ram(), VirtualPort(0), Counting(), []
        model = Model(ARTIFACT)
        self.agent = run.start(self.port, self.memory, self.source, model, *self.boot.wants, None, boot=self.boot)
        self.client = self.agent.client
        self.agent._sampler.listeners.append(lambda window, output: self.outputs.append(bytes(output)))
        self.outputs = []

    def reports(self):
        self.connect()
        while len(self.outputs) < WINDOWS:
            self.pass_ms(50)
        return [suit.decode_output(payload) for name, payload in self.sent if name == "output"]


def signed(byte):
    return byte - 256 if byte > 127 else byte


@pytest.mark.parametrize(
    "every, index, least", [(1, 255, 0), (3, 255, -128), (1000, 0, -5), (5, 2, 3), (0, 255, 0), (0, 0, -128)]
)
def test_what_is_reported_is_each_nth_output_and_those_that_reach_the_threshold(every, index, least):
    bench = Reporting((every, index, least))

    reports = bench.reports()

    wanted = [
        (count, output) for count, output in enumerate(bench.outputs, 1)
        if every and (count % every == 0 or (index != 255 and signed(output[index]) >= least))
    ]  # fmt: skip
    assert reports == wanted


def test_a_report_that_would_wait_behind_others_is_left_out_and_counted():
    bench = Reporting((1, 255, 0))
    bench.connect()

    bench.pass_ms(50 * 32 * WINDOWS, acknowledge=False)

    assert bench.client.queued <= 3 and bench.agent.output.left_out >= WINDOWS - 3
    assert bench.client.counts["dropped"] == 0


def test_samples_are_taken_as_the_manifest_says():
    bench = Reporting((0, 255, 0), sample_ms=200)
    bench.connect()
    before = bench.source.given

    bench.pass_ms(4000)

    assert bench.source.given - before == 20


def test_a_report_that_the_model_cannot_give_is_refused_before_the_agent_runs():
    with pytest.raises(ValueError, match="report: got outputs of 16 bytes, wanted .* index 16"):
        Reporting((1, 16, 0))


def test_an_agent_that_a_core_drives_asks_for_updates_and_tells_the_core_of_its_first_ack():
    bench = Reporting((0, 255, 0))
    bench.agent._store.owner = OWNER.address
    bench.connect()
    bench.receive("trust", trust())
    bench.receive("manifest", manifest(b"x" * 700, 2))
    bench.pass_ms(50)
    assert [suit.decode_want(payload)[1:] for name, payload in bench.sent if name == "want"] == [(0, 2)]

    assert not bench.boot.is_accepted
    bench.give_beacon(1, 0)
    bench.receive("ack", b"\x82\x01\x02")
    assert not bench.boot.is_accepted
    bench.receive("ack", b"\x82\x01\x01")
    assert bench.boot.is_accepted and bench.boot.banks.is_open == 0


def test_the_loop_ends_when_a_reset_is_wanted_and_never_sleeps_longer_than_a_watchdog_waits():
    bench, slept, fed = Reporting((0, 255, 0), sample_ms=60_000), [], []

    def idle(ms):
        slept.append(ms)
        bench.port.now_ms += max(1, ms)
        bench.boot.wants_reset = len(slept) == 50

    bench.port.idle, bench.port.link_read, bench.port.link_write = idle, lambda buffer: 0, lambda data: 0
    loop.run(bench.agent, bench.port, run.step, bench.boot, lambda: fed.append(None))

    assert len(slept) == len(fed) == 50 and max(slept) <= 5000

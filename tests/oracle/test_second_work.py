"""The second scorer's check of work, on epochs that are played by hand: as the first finds, cheat by cheat."""

from dataclasses import replace

import pytest

from device.agent import reveal, wire
from gateway.poai.simulated import OPENED_MS, WINDOW_MS, Device, Epoch, block_hash
from gateway.verify.report import report
from gateway.verify.verify import verify_epoch
from tests.scorer_epochs import write
from tests.verify_site import OWNER, FixedChain

COUNT = 20


class SimulatedChain(FixedChain):
    """The chain of a played epoch; its devices are bound to deed 1."""

    def __init__(self, epoch):
        super().__init__()
        self.seed, self.bound = epoch.seed, {1: (OWNER, 4, epoch.ids)}

    def block_hash(self, number):
        return block_hash(number, self.seed)


def windows_of(epoch, block=None):
    """The items of its windows file; block: where it closed."""
    opened = [[each.window, each.opened_ms, each.block, each.block_hash, each.beacon] for each in epoch.windows.opened]
    header = {"epoch": 1, "windows": COUNT, "window_ms": WINDOW_MS, "opened_ms": OPENED_MS}
    return [header, *opened, {"closed_ms": OPENED_MS + COUNT * WINDOW_MS, "block": block or epoch.windows.block}]


def second(folder, epoch, block=None):
    """(units of the first device, whether it is a fraud) by the second scorer."""
    write(folder, 1, windows_of(epoch, block), epoch.items)
    result = verify_epoch(folder, 1, SimulatedChain(epoch))
    return sum(result.units.values()), len(result.frauds)


class Rebased(Device):
    """A device that begins another chain in the middle of the epoch, so that what it did before cannot be told."""

    def infer(self):
        if self.sequence == COUNT // 2:
            self.chain = bytes(15) + b"\1"
        super().infer()


DEVICES = {
    "honest": lambda: Device(1),
    "one inference a window": lambda: Device(1, per_window=1),
    "more than is kept": lambda: Device(1, per_window=6),
    "half, silent": lambda: Device(1, share=0.5),
    "half, lies": lambda: Device(1, share=0.5, is_liar=True),
    "answers challenges only": lambda: Device(1, share=0, is_late=True),
    "another chain": lambda: Rebased(1, per_window=1),
}


@pytest.mark.parametrize("name", DEVICES)
def test_the_second_scorer_finds_what_the_first_does(name, tmp_path):
    units, frauds = 0, 0
    for seed in range(4):
        epoch = Epoch([DEVICES[name]()], COUNT, seed).play()
        work = epoch.work()[0][epoch.ids[0]]
        assert second(tmp_path / str(seed), epoch) == (work.units, bool(work.frauds))
        units, frauds = units + work.units, frauds + work.frauds
    assert bool(frauds) == (name in ("half, lies", "answers challenges only", "another chain"))
    assert units or frauds


def test_what_would_be_drawn_after_the_close_has_no_turn(tmp_path):
    epoch = Epoch([Device(1)], COUNT).play()
    last = epoch.windows.opened[-1].block
    assert second(tmp_path, epoch)[0] - second(tmp_path, epoch, last)[0] == 4


@pytest.mark.parametrize("place", [0, 1], ids=["before", "behind"])
def test_a_false_answer_beside_a_good_one_is_a_fraud(place, tmp_path):
    epoch = Epoch([Device(1)], COUNT).play()
    device = epoch.devices[0]
    number, (at_ms, frame) = next(found for found in enumerate(epoch.items) if len(found[1][1]) > 192)
    *asked, window, outputs, before = reveal.decode_reveal(wire.open_sign1(frame, reveal.REVEAL_MAX_BYTES)[1])
    false = reveal.sign_reveal(device.id, device.sign, *asked, bytes(len(window)), outputs, before)
    epoch.items.insert(number + place, (at_ms, false))
    assert epoch.work()[0][device.id].frauds == 1 and second(tmp_path, epoch) == (0, 1)


def test_an_answer_that_comes_twice_or_again_later_changes_nothing(tmp_path):
    epoch = Epoch([Device(1)], COUNT).play()
    before = second(tmp_path, epoch)
    answers = [item for item in epoch.items if len(item[1]) > 192]
    epoch.items += [(at_ms + COUNT * WINDOW_MS, frame) for at_ms, frame in answers]
    assert second(tmp_path, epoch) == before
    epoch.items = [item for item in epoch.items if item[0] > OPENED_MS + COUNT * WINDOW_MS or len(item[1]) <= 192]
    assert second(tmp_path, epoch) == (0, 0)


def test_a_report_tells_each_fraud_and_each_finding(tmp_path):
    epoch = Epoch([Device(1, share=0.5, is_liar=True)], COUNT).play()
    write(tmp_path, 1, windows_of(epoch), epoch.items)
    result = verify_epoch(tmp_path, 1, SimulatedChain(epoch))
    told = report(replace(result, findings=("one thing", "another"), findings_left_off=0))
    assert f"FRAUD {result.frauds[0]} signed what is not so" in told
    assert "findings: 2\n- one thing\n- another\n" in told

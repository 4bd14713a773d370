"""The windows that the agent keeps, so that a challenged one can be revealed; on this machine and on a board."""

import hashlib
import json
from pathlib import Path

import pytest

from boards.board import load_board
from boards.build import build
from boards.emulator import Emulator
from device.agent.sampling import SAMPLE_MS, Sampler
from device.native.shared import Model
from tests.agent_bench import ARTIFACT, OFFSETS, SHIFTS, Counting

WINDOW_SAMPLES = 32


class Large:
    """An encoder whose output alone is larger than the ring's budget."""

    input_bytes, output_bytes = 128, 3000

    def run(self, window, out):
        out[:] = bytes([window[0]]) * len(out)


def read(name):
    """A shipped model's artifact, and what it wants of a sampler."""
    folder = Path(__file__).parents[2] / "models" / name
    facts = json.loads((folder / f"{name}.json").read_text())
    return (folder / "encoder.ren").read_bytes(), {key: facts[key] for key in ("offsets", "shifts", "sample_ms")}


def encoded(windows, model=None, offsets=OFFSETS, shifts=SHIFTS, sample_ms=SAMPLE_MS, pins=()):
    """A sampler that has encoded so many windows, with a heartbeat after those of `pins`."""
    sampler = Sampler(Counting(), model or Model(ARTIFACT), offsets, shifts, 0, sample_ms)
    for step in range(windows * WINDOW_SAMPLES):
        sampler.tick(step * sample_ms)
        if (step + 1) % WINDOW_SAMPLES == 0 and sampler.count in pins:
            sampler.pin()
    assert sampler.count == windows
    return sampler


def test_revealed_windows_and_outputs_are_those_that_made_the_chain():
    chain, model, out = bytes(16), Model(ARTIFACT), bytearray(16)
    for count in range(1, 20):
        sampler = encoded(count)
        before, window, output = sampler.reveal(count)
        model.run(window, out)
        assert (before, output) == (chain, out)
        chain = hashlib.sha256(chain + output).digest()[:16]
        assert sampler.chain == chain


def test_exactly_the_last_four_of_each_of_the_last_two_heartbeats_and_since_can_be_revealed():
    sampler = encoded(21, pins=(5, 10, 16, 18))
    kept = {count: sampler.reveal(count) for count in range(-30, 60)}

    assert [count for count, receipt in kept.items() if receipt] == [13, 14, 15, 16, 17, 18, 19, 20, 21]
    assert all(kept[count] == encoded(count).reveal(count) for count in range(13, 22))
    assert all([len(part) for part in receipt] == [16, 128, 16] for receipt in filter(None, kept.values()))


def test_what_a_heartbeat_counted_is_kept_however_much_follows_until_the_second_after_it():
    sampler = encoded(100, pins=(50, 60))

    assert [count for count in range(102) if sampler.reveal(count)] == [*range(47, 51), *range(57, 61), *range(97, 101)]
    sampler.pin()
    assert [count for count in range(102) if sampler.reveal(count)] == [*range(57, 61), *range(97, 101)]


def test_before_the_first_inference_nothing_can_be_revealed_and_half_a_window_is_not():
    sampler = encoded(0)
    for step in range(WINDOW_SAMPLES - 1):
        sampler.tick(step * SAMPLE_MS)

    assert [sampler.reveal(count) for count in (0, 1, 2)] == [None] * 3


def test_a_revealed_window_is_a_copy():
    sampler = encoded(1)
    before = sampler.reveal(1)
    for step in range(WINDOW_SAMPLES, 10 * WINDOW_SAMPLES):
        sampler.tick(step * SAMPLE_MS)

    assert sampler.reveal(1) is None and before == encoded(1).reveal(1)


def test_a_model_whose_windows_are_too_large_counts_and_keeps_nothing():
    sampler = encoded(3, Large())

    assert (sampler.count, sampler.kept) == (3, 0) and sampler.chain != bytes(16)
    assert [sampler.reveal(count) for count in range(5)] == [None] * 5


def test_an_unattested_model_counts_nothing_and_keeps_nothing():
    model = Large()
    model.is_attested = False
    sampler = Sampler(Counting(), model, OFFSETS, SHIFTS, 0)
    for step in range(3 * WINDOW_SAMPLES):
        sampler.tick(step * SAMPLE_MS)

    assert (sampler.count, sampler.chain) == (0, bytes(16))
    assert [sampler.reveal(count) for count in range(4)] == [None] * 4


# As `Counting` of agent_bench, on the board; the ring does not grow, and revealing does not disturb it.
ON_BOARD = """
import gc, _tinyren
from binascii import hexlify
from agent.sampling import Sampler
class Counting:
    name, given = "counting", 0
    def read(self, out):
        n = self.given = self.given + 1
        out[0], out[1], out[2], out[3] = n, -n, 2 * n, 32767
        return True
before = grown = 0
sampler = Sampler(Counting(), _tinyren.Model({artifact}), {offsets}, {shifts}, 0, {sample_ms})
for step in range({steps}):
    sampler.tick(step * {sample_ms})
sampler.pin()
gc.collect()
before = gc.mem_alloc()
for step in range({steps}, 2 * {steps}):
    sampler.tick(step * {sample_ms})
gc.collect()
grown = gc.mem_alloc() - before
for count in range(sampler.count + 2):
    receipt = sampler.reveal(count)
    print("none" if receipt is None else hexlify(b"".join(receipt)).decode())
print(grown < 64)
"""


@pytest.mark.parametrize("model, kept", [("host", 8), ("motion", 10)])
@pytest.mark.parametrize("name", ["qemu_mps2_an385", "qemu_virt_rv32"])
def test_a_board_reveals_the_bytes_that_this_machine_reveals(name, model, kept, tmp_path):
    artifact, facts = read(model)
    board = load_board(name)
    firmware = build(board, lambda *_: None)
    program = ON_BOARD.format(artifact=artifact, steps=6 * WINDOW_SAMPLES, **facts)
    with Emulator(board, firmware.elf, tmp_path) as emulator:
        *lines, is_flat = emulator.exec(program).split()

    here = encoded(12, Model(artifact), pins=(6,), **facts)
    receipts = [here.reveal(count) for count in range(14)]
    assert lines == ["none" if receipt is None else b"".join(receipt).hex() for receipt in receipts]
    assert len(receipts) - receipts.count(None) == kept and is_flat == "True"

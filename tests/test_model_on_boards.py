"""The shipped encoder on every emulated board: 1,000 windows, every byte of every embedding as on this machine.

The windows are made where they are used, by one generator in one source (SOURCE), so only embeddings travel.
"""

from pathlib import Path

import pytest

from boards.board import board_names, load_board
from boards.build import build
from boards.emulator import Emulator
from device.native.shared import Model

WINDOWS = 1000
WINDOW_BYTES = 128
ARTIFACT = (Path(__file__).resolve().parents[1] / "models" / "host" / "encoder.ren").read_bytes()

# Marsaglia's xorshift32; the same text runs on CPython and on the boards.
SOURCE = """
def fill(window, x):
    for i in range(0, len(window), 4):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        window[i : i + 4] = x.to_bytes(4, "little")
    return x
"""
ON_BOARD = """
from _tinyren import Model
from binascii import hexlify
from host_model import ARTIFACT
model = Model(ARTIFACT)
window, out, x = bytearray(model.input_bytes), bytearray(model.output_bytes), 1
print(hexlify(model.cid).decode())
for _ in range({windows}):
    x = fill(window, x)
    model.run(window, out)
    print(hexlify(out).decode())
"""


def windows():
    """The 1,000 windows, each WINDOW_BYTES of int8."""
    names, x, window = {}, 1, bytearray(WINDOW_BYTES)
    exec(SOURCE, names)
    for _ in range(WINDOWS):
        x = names["fill"](window, x)
        yield bytes(window)


def embeddings():
    model = Model(ARTIFACT)
    out = bytearray(model.output_bytes)
    yield model.cid.hex()
    for window in windows():
        model.run(window, out)
        yield out.hex()


@pytest.mark.parametrize("name", board_names())
def test_1000_embeddings_on_the_board_are_those_of_this_machine(name, tmp_path):
    board = load_board(name)
    firmware = build(board, lambda *_: None)
    with Emulator(board, firmware.elf, tmp_path) as emulator:
        printed = emulator.exec(SOURCE + ON_BOARD.format(windows=WINDOWS), timeout_s=60)

    assert printed.split() == list(embeddings())

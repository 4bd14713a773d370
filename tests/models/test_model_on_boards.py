"""The kernels on every emulated board: 1,000 embeddings of the shipped encoder, and random models of each operator.

Every byte is compared with this machine's. The windows are made where they are used, by one generator in one source
(SOURCE), so only embeddings travel.
"""

import random
from pathlib import Path

import pytest

from boards.board import board_names, load_board
from boards.build import build
from boards.emulator import Emulator, EmulatorError
from device.native.shared import Model
from models.artifact import compile_model
from models.export import write_chain
from tests.int8_operators import OPERATORS

WINDOWS, OPERATOR_WINDOWS = 1000, 8
WINDOW_BYTES = 128
SMALL_HEAP_BYTES = 16384  # boards of this class cannot hold every model
ARTIFACT = (Path(__file__).parents[2] / "models" / "host" / "encoder.ren").read_bytes()

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
model = Model(ARTIFACT)
window, out, x = bytearray((model.input_bytes + 3) // 4 * 4), bytearray(model.output_bytes), 1
print(hexlify(model.cid).decode())
for _ in range({count}):
    x = fill(window, x)
    model.run(memoryview(window)[: model.input_bytes], out)
    for at in range(0, len(out), 64):
        print(hexlify(memoryview(out)[at : at + 64]).decode(), end="")
    print()
"""


def windows(length=WINDOW_BYTES, count=WINDOWS):
    """count windows, each length bytes of int8."""
    names, x, window = {}, 1, bytearray((length + 3) // 4 * 4)
    exec(SOURCE, names)
    for _ in range(count):
        x = names["fill"](window, x)
        yield bytes(window[:length])


def expected(artifact, count):
    """What ON_BOARD is to print, word by word."""
    model = Model(artifact)
    out = bytearray(model.output_bytes)
    yield model.cid.hex()
    for window in windows(model.input_bytes, count):
        model.run(window, out)
        yield out.hex()


@pytest.fixture(scope="module", params=board_names())
def emulator(request, tmp_path_factory):
    board = load_board(request.param)
    firmware = build(board, lambda *_: None)
    with Emulator(board, firmware.elf, tmp_path_factory.mktemp(board.name)) as emulator:
        yield emulator


def test_1000_embeddings_of_the_frozen_encoder_are_those_of_this_machine(emulator):
    program = "from host_model import ARTIFACT\n" + SOURCE + ON_BOARD.format(count=WINDOWS)

    assert emulator.exec(program, timeout_s=60).split() == list(expected(ARTIFACT, WINDOWS))


@pytest.mark.parametrize("name", OPERATORS)
def test_random_models_of_each_operator_give_the_bytes_of_this_machine(emulator, name):
    artifact = compile_model(write_chain(*OPERATORS[name](random.Random(f"boards {name}"))))
    program = f"ARTIFACT = {artifact!r}\n" + SOURCE + ON_BOARD.format(count=OPERATOR_WINDOWS)

    try:
        printed = emulator.exec(program, timeout_s=60)
    except EmulatorError as error:
        if "MemoryError" not in str(error) or emulator.board.heap_bytes > SMALL_HEAP_BYTES:
            raise
        pytest.skip(f"does not fit: {error}")
    assert printed.split() == list(expected(artifact, OPERATOR_WINDOWS))

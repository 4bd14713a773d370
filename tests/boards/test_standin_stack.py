"""The stand-in's stack is the board's own: as large, painted, and who goes below it faults, for nobody checks C."""

import pytest

from boards.board import load_board
from boards.emulator import Emulator, EmulatorError
from boards.hardware import load_hardware
from boards.natmod import CURVE_MODULE, build_native_module, import_program
from boards.standin import CORES, build_standin
from tests.standin_stack import stack_left

HEAP_BYTES = 190 * 1024
ANSWER_S = 10.0  # a board that faulted never answers
# C, Python, and what Python may use of it: calls until there are `left` bytes, then one of the curve's, in C.
DEEP = """
import gc, micropython
from tinyren_curve import blind, recover, sign
blind(bytes(32))
signed = sign(b"1" * 32, b"2" * 32)
def sink(left):
    if {size} - micropython.stack_use() > left:
        return sink(left)
    return recover(b"2" * 32, signed)[0]
"""
FAULTS = {"rpi_pico_w": b"HardFault exception caught", "esp32_c3": b"MCAUSE="}


@pytest.fixture(scope="module", params=sorted(FAULTS))
def board(request, tmp_path_factory):
    """(name, emulator) of a stand-in on which the curve is imported."""
    hardware = load_hardware(request.param)
    core = load_board(CORES[hardware.native])
    module = build_native_module(hardware.native, lambda *_: None, CURVE_MODULE).read_bytes()
    elf = build_standin(hardware, core, HEAP_BYTES, lambda *_: None)
    folder = tmp_path_factory.mktemp(request.param)
    with Emulator(core, elf, folder) as emulator, emulator.open_repl(ANSWER_S) as repl:
        repl.exec(import_program(repr(module), CURVE_MODULE))
        repl.exec(DEEP.format(size=hardware.stack.bytes))
        yield request.param, emulator, repl


def test_what_was_used_is_seen_from_outside(board):
    name, emulator, repl = board
    before = stack_left(emulator, name)
    assert repl.exec("print(sink(4000))") == "4\n"
    assert 0 < stack_left(emulator, name) < min(before, 4000 - 2000)


def test_python_is_stopped_where_the_boards_firmware_stops_it(board):
    name, emulator, repl = board
    with pytest.raises(EmulatorError, match="RuntimeError: maximum recursion depth exceeded"):
        repl.exec("sink(0)")
    assert stack_left(emulator, name) < load_hardware(name).stack.margin_bytes
    assert repl.exec("print(sink(4000))") == "4\n"


def test_c_that_goes_below_the_stack_faults_and_writes_nothing_there(board):
    name, emulator, repl = board
    with pytest.raises(EmulatorError):
        repl.exec("sink(1500)")
    assert FAULTS[name] in (emulator.folder / "logs" / "repl.log").read_bytes()
    stack_left(emulator, name)

"""The watchdog of the emulated boards, what a reset keeps, and why it happened; an hour without a broker is no reason."""

import contextlib
import os
import signal
from dataclasses import replace

import pytest

from boards.board import DEFAULT_BOARDS, load_board
from boards.build import build
from boards.emulator import Emulator, EmulatorError

HOUR_MS = 3_600_000
MARK = b"kept"
SAY = "import _tinyren as t\nprint(t.reset_reason(), bytes(t.retained()[:4]))"
BOOTED = b"device "


@pytest.fixture(params=DEFAULT_BOARDS)
def emulator(request, tmp_path):
    board = load_board(request.param)
    with Emulator(board, build(board, lambda *_: None).elf, tmp_path) as emulator:
        emulator.exec(f"import _tinyren as t\nt.retained()[:4] = {MARK}")
        yield emulator


def run_until_reset(emulator, code):
    """Run code that ends in a reset; what the board says after it."""
    log = emulator.folder / "logs" / "repl.log"
    with emulator.open_repl() as repl:
        boots = log.read_bytes().count(BOOTED)
        repl.start("import _tinyren as t, machine\n" + code)
        while log.read_bytes().count(BOOTED) == boots:
            assert emulator.wait(0.05) is None, "QEMU ended, wanted a reset that keeps RAM"
    return emulator.exec(SAY)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("t.reset('asked')", "asked"),
        ("t.reset('error')", "error"),
        ("machine.reset()", "asked"),
        ("t.watchdog(300)\nwhile True: pass", "watchdog"),
        ("t.watchdog(300)\nt.idle(60000)", "watchdog"),
        ("t.watchdog(300)\nt.watchdog(0)\nt.idle(900)\nt.reset('asked')", "asked"),
        ("t.watchdog(900)\nfor _ in range(12):\n    t.idle(100)\n    t.watchdog(900)\nt.reset('asked')", "asked"),
    ],
)
def test_a_reset_keeps_ram_and_says_why_it_happened(emulator, code, reason):
    assert run_until_reset(emulator, code) == f"{reason} {MARK}\n"


def test_the_watchdog_ends_a_fault_that_hangs_the_core(emulator):
    code = "t.watchdog(1000)\nmachine.mem32[0xfffffff0] = 1"
    assert run_until_reset(emulator, code).split()[0] in ("watchdog", "error")


def test_a_power_cut_clears_what_a_reset_keeps_and_says_power(emulator):
    os.kill(emulator._process.pid, signal.SIGKILL)
    emulator.wait()
    emulator.restart()
    assert emulator.exec(SAY) == f"power {bytes(4)}\n"


def test_a_reset_that_nobody_announced_is_the_watchdogs_only_while_it_runs(emulator):
    def press_reset(code):
        log = emulator.folder / "logs" / "repl.log"
        with contextlib.suppress(EmulatorError):
            emulator.exec("import _tinyren as t\n" + code)
        boots = log.read_bytes().count(BOOTED)
        emulator.qmp("system_reset")
        while log.read_bytes().count(BOOTED) == boots:
            assert emulator.wait(0.05) is None
        return emulator.exec(SAY)

    assert press_reset("t.watchdog(0)") == f"power {MARK}\n"
    assert press_reset("t.watchdog(60000)") == f"watchdog {MARK}\n"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("t.watchdog(-1)", "ValueError: ms: got -1, wanted 0..60000"),
        ("t.watchdog(60001)", "ValueError: ms: got 60001, wanted 0..60000"),
        ("t.reset('power')", "ValueError: reason: got another, wanted asked or error"),
        ("t.reset()", "TypeError"),
    ],
)
def test_a_wrong_argument_resets_nothing(emulator, call, message):
    with pytest.raises(EmulatorError, match=message):
        emulator.exec("import _tinyren as t\n" + call)
    assert emulator.exec(SAY) == f"power {MARK}\n"


HOUR = f"""
def step(agent, port, buffer):
    if port.ticks_ms() > {HOUR_MS}:
        raise SystemExit
    return firmware.step(agent, port, buffer)

try:
    firmware.run(agent, _tinyren, boot, step, core.feed)
except SystemExit:
    print(_tinyren.reset_reason(), agent.is_online, agent.client.counts["connect"] > 100, boot.wants_reset)
"""


@pytest.mark.parametrize("name", DEFAULT_BOARDS)
def test_an_hour_without_a_broker_of_virtual_time_resets_nothing(name, tmp_path):
    board = load_board(name)
    # Time is instructions, and time asleep passes at once.
    arguments = [*board.emulator["arguments"], "-icount", "shift=4,sleep=off"]
    board = replace(board, emulator={**board.emulator, "arguments": arguments})
    with Emulator(board, build(board, lambda *_: None).elf, tmp_path) as emulator:
        assert emulator.exec(HOUR, timeout_s=120) == "power False True False\n"

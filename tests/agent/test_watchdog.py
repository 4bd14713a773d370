"""The watchdog of the emulated boards, what a reset keeps and why it happened; a broker that is away causes none."""

import contextlib
import os
import signal
import socket
from dataclasses import replace

import pytest

from boards.board import DEFAULT_BOARDS, load_board
from boards.build import build
from boards.emulator import Emulator, EmulatorError

AWAY_MS = 600_000
AWAY_CONNECTS = 50
MARK = b"kept"
SAY = "import _tinyren as t\nprint(t.reset_reason(), bytes(t.retained()[4000:4004]))"
BOOTED = b"device "


@pytest.fixture(scope="module", params=DEFAULT_BOARDS)
def running(request, tmp_path_factory):
    board = load_board(request.param)
    with Emulator(board, build(board, lambda *_: None).elf, tmp_path_factory.mktemp(board.name)) as emulator:
        yield emulator


@pytest.fixture
def emulator(running):
    """A board whose retained RAM holds MARK; the journal is before it."""
    running.exec(f"import _tinyren as t\nt.watchdog(0)\nt.retained()[4000:4004] = {MARK}")
    return running


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
    before = emulator.exec(SAY)
    with pytest.raises(EmulatorError, match=message):
        emulator.exec("import _tinyren as t\n" + call)
    assert emulator.exec(SAY) == before


@pytest.mark.parametrize("name", ["qemu_mps2_an385", "qemu_virt_rv32"])
def test_ten_minutes_of_virtual_time_without_a_broker_reset_nothing(name, tmp_path):
    """Time is instructions, and time asleep passes at once. A CONNECT is 13 s after the last at least (mqtt.py)."""
    board = load_board(name)
    arguments = [*board.emulator["arguments"], "-icount", "shift=4,sleep=off"]
    board = replace(board, emulator={**board.emulator, "arguments": arguments})
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = server.getsockname()
        server.settimeout(30)
        with Emulator(board, build(board, lambda *_: None).elf, tmp_path, link) as emulator:
            silent, _ = server.accept()
            with silent:
                silent.settimeout(60)
                connects = 0
                while connects < AWAY_CONNECTS:
                    connects += silent.recv(4096).count(b"MQTT")
                said = emulator.exec("print(_tinyren.reset_reason(), _tinyren.ticks_ms())").split()
    assert said[0] == "power" and int(said[1]) >= AWAY_MS

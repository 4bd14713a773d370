"""An emulated board as a process: what it starts with, what it leaves, and that it ends when it must."""

import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from boards.board import load_board
from boards.build import build
from boards.emulator import LOG_BYTES, Emulator, EmulatorError

ROOT = Path(__file__).parents[2]
BOARDS = ("qemu_mps2_an385", "qemu_mps2_an500", "qemu_virt_rv32")


def firmware(name):
    return build(load_board(name), lambda *progress: None).elf


@pytest.fixture
def emulate(tmp_path):
    """Makes emulators in tmp_path, and stops them."""
    emulators = []

    def make(name="qemu_mps2_an385", **arguments):
        emulators.append(Emulator(load_board(name), firmware(name), tmp_path / name, **arguments))
        return emulators[-1]

    yield make
    for emulator in emulators:
        emulator.stop()


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_answers_on_its_repl_and_leaves_image_and_logs_only(emulate, name):
    emulator = emulate(name)
    emulator.start()
    process = psutil.Process(emulator._process.pid)
    assert emulator.exec("import _tinyren\nprint(_tinyren.BOARD)") == f"{name}\n"
    assert emulator.alive() and emulator.poll() is None
    emulator.stop()
    assert not process.is_running()
    assert not emulator.alive() and emulator.pty is None
    images = {image["file"] for image in emulator.board.emulator["images"]}
    assert {path.name for path in emulator.folder.iterdir()} == {"logs", *images}
    emulator.stop()


@pytest.mark.parametrize("name", ("qemu_mps2_an385", "qemu_virt_rv32"))
def test_the_link_is_a_byte_stream_that_comes_back(emulate, name):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        emulator = emulate(name, link=server.getsockname())
        emulator.start()
        with emulator.open_repl() as repl:  # which ends the agent, so that it does not read the link itself
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(20)
                    connection.sendall(b"ping")
                    repl.exec(ECHO)
                    received = b""
                    while not received.endswith(b"PING"):  # after what the agent had sent before
                        received += connection.recv(4096) or pytest.fail(f"got {received}, wanted PING")


ECHO = """
import _tinyren
data = bytearray(4)
count = 0
while count < 4:
    _tinyren.idle(100)
    count += _tinyren.link_read(memoryview(data)[count:])
sent = 0
data = bytes(data).upper()
while sent < 4:
    sent += _tinyren.link_write(data[sent:])
"""


def test_a_guests_reset_leaves_it_running_and_sensors_are_set_again(emulate):
    emulator, sample = emulate(), (25 * 256 + 128, 100, 200, 300)
    emulator.start()
    read = "from drivers.lsm303dlhc import Lsm303dlhc\nfrom array import array\nimport _tinyren\n"
    read += "out = array('h', 3 * [0])\nLsm303dlhc(_tinyren.I2C(3)).read(out)\nprint(list(out), "
    read += "_tinyren.reset_reason())"
    emulator.set_sample(sample)
    assert emulator.exec(read) == "[100, 200, 300] power\n"
    pid = emulator._process.pid
    with pytest.raises(EmulatorError, match="REPL"):
        emulator.exec("import machine\nmachine.reset()", 5)
    assert emulator.alive() and emulator._process.pid == pid
    assert emulator.exec(read) == "[0, 0, 0] asked\n"
    emulator.set_sample(sample)
    assert emulator.exec(read) == "[100, 200, 300] asked\n"


def test_an_end_is_a_power_cut_and_restart_brings_it_back(emulate):
    emulator = emulate()
    emulator.start()
    emulator.qmp("quit")
    assert emulator.wait(20) == 0
    assert emulator.poll() == 0 and not emulator.alive()
    emulator.restart()
    assert emulator.alive() and emulator.exec("import _tinyren\nprint(_tinyren.reset_reason())") == "power\n"


def test_code_that_raises_or_never_ends_is_an_error_and_the_board_goes_on(emulate):
    emulator = emulate()
    emulator.start()
    with pytest.raises(EmulatorError, match="qemu_mps2_an385: ZeroDivisionError: divide by zero"):
        emulator.exec("print(1)\n1 / 0")
    with pytest.raises(EmulatorError, match="REPL: timeout"):
        emulator.exec("while True: pass", 1.5)
    assert emulator.exec("print(3)") == "3\n"


def test_a_folder_is_one_emulators_and_the_second_says_so(emulate):
    first, second = emulate(), emulate()
    first.start()
    with pytest.raises(EmulatorError, match="already running"):
        first.start()
    with pytest.raises(EmulatorError, match="another emulator runs in"):
        second.start()
    assert not second.alive() and first.alive()


def test_instructions_are_counted_alike_each_time(emulate):
    emulator = emulate("qemu_virt_rv32", icount=True)
    emulator.start()
    setup = "def spin(count):\n    for _ in range(count):\n        pass"
    with emulator.open_repl() as repl:
        counter = emulator.board.emulator["counter"]["address"]
        once, again, more = (repl.count(counter, f"spin({count})", setup) for count in (10_000, 10_000, 20_000))
    assert once > 1_000
    assert abs(once - again) <= once / 100
    assert abs(more - 2 * once) <= once / 100
    assert emulator.count_instructions("spin(10_000)", setup) == pytest.approx(100 * once, rel=0.01)


def test_counting_without_icount_is_refused(emulate):
    emulator = emulate()
    emulator.start()
    with pytest.raises(EmulatorError, match="needs icount=True"):
        emulator.count_instructions("None")


def test_logs_are_bounded_and_go_on(emulate):
    emulator = emulate()
    emulator.start()
    log = emulator.folder / "logs" / "repl.log"
    with log.open("ab") as file:
        file.write(b"x" * LOG_BYTES + b"\n")
    with emulator.open_repl() as repl:
        repl.exec("print('at the end')")
        assert emulator.alive()
        repl.exec("print('later')")
    assert b"later" in log.read_bytes() and log.stat().st_size < 1000
    kept = log.with_suffix(".log.1").read_bytes()
    assert len(kept) > LOG_BYTES and b"at the end" in kept[LOG_BYTES:]


def test_what_is_missing_is_said_in_one_line(tmp_path):
    board = load_board("qemu_virt_rv32")
    nowhere = replace(board, emulator={**board.emulator, "program": "qemu-system-none"})
    arguments = [*board.emulator["arguments"], "-device", "none-such"]
    broken = replace(board, emulator={**board.emulator, "arguments": arguments})
    for bad, elf, message in (
        (nowhere, __file__, "qemu-system-none is not installed: apt-get install qemu-system-misc"),
        (board, tmp_path / "none.elf", "build it first"),
        (broken, __file__, "'none-such' is not a valid device model name"),
    ):
        emulator = Emulator(bad, elf, tmp_path / "board")
        with pytest.raises(EmulatorError, match=message) as caught:
            emulator.start()
        assert "\n" not in str(caught.value)
        assert not emulator.alive() and emulator.poll() is None
        with pytest.raises(EmulatorError, match="not running"):
            emulator.qmp("query-status")


def test_it_outlives_the_thread_that_started_it(emulate):
    emulator = emulate()
    thread = threading.Thread(target=emulator.start)
    thread.start()
    thread.join()
    assert emulator.qmp("query-status")["running"]
    assert emulator.wait(0.5) is None


def test_it_dies_with_a_parent_that_is_killed(tmp_path):
    code = f"""
from boards.board import load_board
from boards.emulator import Emulator
emulator = Emulator(load_board("qemu_mps2_an385"), {str(firmware("qemu_mps2_an385"))!r}, {str(tmp_path)!r})
emulator.start()
print(emulator._process.pid, flush=True)
input()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as parent:
        process = psutil.Process(int(parent.stdout.readline()))
        assert process.name().startswith("qemu-system")
        os.kill(parent.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs([process], timeout=20)
    assert not alive

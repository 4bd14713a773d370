"""A factory's boards on stock MicroPython, each as its stand-in at a pty: brought the agent, set, tested and labelled.

What stands for them is boards/standin.py's; radio, USB and the chips' speed are not here.
"""

import csv
import json
import signal
import subprocess
import time

import pytest

from boards.agent_files import agent_files
from boards.board import load_board
from boards.console import copy_files, open_console
from boards.emulator import Emulator
from boards.hardware import load_hardware
from boards.settings import read_settings
from boards.standin import CORES, build_standin
from gateway.errors import CommandError, Exit
from gateway.labels import codes
from gateway.provisioning import manifest
from gateway.provisioning.at_port import Wanted, bring
from gateway.provisioning.journal import NAME
from gateway.provisioning.shown import Dead
from tests.up_site import COMMAND, ROOT, WAIT_S

pytest.importorskip("serial", reason="boards are asked by the extra `flash`")
HEAP_BYTES = 190 * 1024  # a Pico W's
SECRET = "only-for-the-boards"
FORGET = b"import os\nos.remove('tinyren.key')\n"
SET = {"gateways": "gw.local:8883", "password": SECRET}
MIDWAY_BYTES = 2000  # that a board has answered, while it is brought its files


def standin(name, folder):
    hardware = load_hardware(name)
    core = load_board(CORES[hardware.native])
    return Emulator(core, build_standin(hardware, core, HEAP_BYTES, lambda *_: None), folder)


@pytest.fixture
def one(tmp_path):
    with standin("rpi_pico_w", tmp_path / "P1") as emulator:
        yield emulator


@pytest.fixture
def two(tmp_path):
    with standin("rpi_pico_w", tmp_path / "P2") as emulator:
        yield emulator


@pytest.fixture
def c3(tmp_path):
    with standin("esp32_c3", tmp_path / "C1") as emulator:
        yield emulator


def said(emulator):
    return (emulator.folder / "logs" / "repl.log").read_bytes()


def wait_said(emulator, what):
    end_s = time.monotonic() + WAIT_S
    while what not in said(emulator):
        assert time.monotonic() < end_s, said(emulator)[-300:]
        time.sleep(0.05)


def arguments_of(folder):
    settings = [word for name, value in SET.items() if name != "password" for word in ("--set", f"{name}={value}")]
    places = ["--out", folder / "out", "--site", folder / "site", "--jobs", 5]
    return list(map(str, ["provision", "--batch", folder / "list.csv", *places, *settings, "--set", "password=-"]))


def provision(folder):
    command = [*COMMAND, *arguments_of(folder), "--json"]
    return subprocess.run(command, cwd=ROOT, input=f"{SECRET}\n", capture_output=True, text=True, timeout=3 * WAIT_S)


def kill_midway(folder, emulator):
    """Start a batch, and kill it while a board is brought its files."""
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    process = subprocess.Popen([*COMMAND, *arguments_of(folder)], cwd=ROOT, stdin=pipe, stdout=null, stderr=null)
    process.stdin.write(f"{SECRET}\n".encode())
    process.stdin.close()
    while len(said(emulator)) < MIDWAY_BYTES and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait(WAIT_S) == -signal.SIGKILL


def test_a_batch_of_stock_boards_is_brought_set_tested_and_labelled_and_survives_kill_9(one, two, c3, tmp_path):
    (tmp_path / "link").symlink_to(one.pty)
    rows = [
        ["P1", "rpi_pico_w", one.pty, "hall 1", "workshop", "tmp105+lsm303dlhc"],
        ["P2", "rpi_pico_w", two.pty, "hall 2", "store", ""],
        ["C1", "esp32_c3", c3.pty, "hall 3", "", ""],
        ["P4", "rpi_pico_w", str(tmp_path / "link"), "", "", ""],
        ["D1", "rpi_pico_w", "/dev/ttyNOT", "", "", ""],
    ]
    with (tmp_path / "list.csv").open("w") as file:
        csv.writer(file).writerows([["serial", "board", "port", "name", "ssid", "sensors"], *rows])
    one.set_sample((6400, 110, 220, 330))
    kill_midway(tmp_path, one)
    ended = provision(tmp_path)

    assert ended.returncode == Exit.PARTLY, ended.stderr
    result = json.loads(ended.stdout)
    assert [row["row"] for row in result["refused"]] == [5] and "that of row 2 too" in result["refused"][0]["result"]
    failed = {row["serial"]: row["result"] for row in result["failed"]}
    assert set(failed) == {"D1"} and "got no such port; run: tinyren devices" in failed["D1"], failed
    done = {row["serial"]: row for row in result["done"]}
    assert set(done) == {"P1", "P2", "C1"} and len({row["device"] for row in done.values()}) == 3

    _, entries = manifest.verify((tmp_path / "out" / "manifest.cose").read_bytes())
    assert {f"0x{entry.device.hex()}" for entry in entries if entry.device} == {row["device"] for row in done.values()}
    labels = codes.Codes(tmp_path / "site")
    assert len(labels.devices()) == 3
    labels.close()
    for serial, emulator, ssid in (("P1", one, "workshop"), ("P2", two, "store"), ("C1", c3, None)):
        begins = b"device " + done[serial]["device"][2:].lower().encode()
        wait_said(emulator, begins)
        with open_console(emulator.pty) as repl:
            kept = read_settings(repl)
        assert {**SET, **({"ssid": ssid} if ssid else {})}.items() <= kept.items()
    for path in (path for folder in ("out", "site") for path in (tmp_path / folder).rglob("*") if path.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in ended.stdout + ended.stderr and (tmp_path / "out" / NAME).exists()
    refuse_without_sensors_and_without_memory(two)


def refuse_without_sensors_and_without_memory(emulator):
    """A board that was brought the agent: what of it does not work then is told."""
    with pytest.raises(Dead, match="sensors: wanted nosuch, but sensors: no module named .*; see how they are wired"):
        bring(emulator.pty, Wanted("rpi_pico_w", settings={"sensors": "nosuch"}), lambda *_: None)
    with open_console(emulator.pty) as repl:
        copy_files(repl, {"boot.py": FORGET}, lambda *_: None)
    with pytest.raises(Dead, match="key: got another one after a restart"):
        bring(emulator.pty, Wanted("rpi_pico_w"), lambda *_: None)


def test_a_board_that_vanishes_while_it_is_brought_the_agent_is_told_with_what_to_do(one):
    def pull(_stage, fraction):
        if fraction > 0:
            one.stop()

    wanted = Wanted("rpi_pico_w", agent_files(load_hardware("rpi_pico_w"), lambda *_: None), SET)
    with pytest.raises(CommandError, match="plug the board in again|run the same command again"):
        bring(one.pty, wanted, pull)


def test_another_board_than_was_asked_for_and_a_path_that_is_none_leave_the_board_as_it_is(one):
    with pytest.raises(CommandError, match="got rpi_pico_w, wanted esp32_c3; nothing was copied") as caught:
        bring(one.pty, Wanted("esp32_c3", {"main.py": b"new"}, SET), lambda *_: None)
    assert caught.value.code == Exit.REFUSED
    with pytest.raises(CommandError, match="--files: path: got '../main.py'"):
        bring(one.pty, Wanted("rpi_pico_w", {"../main.py": b"new"}, SET), lambda *_: None)
    with open_console(one.pty) as repl:
        assert repl.exec("import os\nprint(os.listdir())") == "[]\n"

"""Boards of silicon, each as its stand-in on an emulated core: what `tinyren flash` brings boots, is bound and paid.

The heap is a Pico W's, the smallest, the stack the board's own; the link is the console, through the site's serial
bridge. Radio, USB and speed of the chips are not here.
"""

import io
import json
import os
import re
import subprocess
import time

import pytest

from boards.agent_files import agent_files
from boards.board import load_board
from boards.console import open_console
from boards.emulator import Emulator
from boards.hardware import load_hardware
from boards.standin import CORES, build_standin
from gateway.errors import Exit
from gateway.flashing.flash import Request
from gateway.flashing.flash import flash as flash_board
from gateway.progress import Progress
from gateway.provisioning.at_port import Wanted, bring
from tests.standin_stack import SPARE_BYTES, stack_left
from tests.up_site import COMMAND, ROOT, WAIT_S, Up, tinyren

pytest.importorskip("serial", reason="boards are asked by the extra `flash`")
HEAP_BYTES = 190 * 1024
FREE_BYTES = 12 * 1024
CONFIG = '[site]\nboards = []\nepoch_seconds = 10\nwindow_seconds = 2\n[serial]\nports = ["{}"]\n'
ASK = """
import gc, os, stock.main
gc.collect()
print(gc.mem_free(), stock.main.agent.boot, sorted(os.listdir()), sep="|")
"""


def standin(name, folder):
    hardware = load_hardware(name)
    core = load_board(CORES[hardware.native])
    return Emulator(core, build_standin(hardware, core, HEAP_BYTES, lambda *_: None), folder)


@pytest.fixture(params=["rpi_pico_w", "esp32_c3"])
def board(request, tmp_path):
    """(name, emulator) of a stand-in that has nothing but MicroPython."""
    with standin(request.param, tmp_path / "board") as emulator:
        yield request.param, emulator


def flash(emulator, files=None):
    """As the command does, but without its limit of time in tests."""
    return flash_board(Request(emulator.pty, files=files), Progress(io.StringIO()), look=list)


def said(emulator):
    """Device ids that it printed, one a boot."""
    return re.findall(rb"device ([0-9a-f]{40})", (emulator.folder / "logs" / "repl.log").read_bytes())


def wait_said(emulator, boots):
    """Wait until it has begun so often."""
    end_s = time.monotonic() + WAIT_S
    while len(said(emulator)) < boots:
        assert time.monotonic() < end_s, said(emulator)
        time.sleep(0.1)


def test_one_command_brings_a_bare_board_the_agent_has_it_bound_and_it_earns(board, tmp_path):
    name, emulator = board
    wanted = agent_files(load_hardware(name), lambda *_: None)
    site, cable = tmp_path / "site", tmp_path / "cable"  # which is in the site's port once the board was flashed
    site.mkdir()
    (site / "config.toml").write_text(CONFIG.format(cable))
    up = Up(site)
    try:
        up.wait_line("waiting for devices")
        command = [*COMMAND, "run", "--board", name, "--port", emulator.pty, "--site", str(site), "--json"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
            lines = []
            for line in run.stderr:
                lines.append(line)
                if "flash: agent" in line:
                    cable.symlink_to(emulator.pty)
            output = run.stdout.read()
        assert run.returncode == 0, (lines, up.lines)
        done = json.loads(output)
        (row,) = up.state()["devices"]
        refused = tinyren("run", "--board", name, "--port", emulator.pty, "--site", str(site))
    finally:
        code, _ = up.end()
    assert code == 0 and int(done["claimed_wei"]) > 0
    assert re.fullmatch(rf"agent \S+, {len(wanted)} files brought", done["stages"][0]["said"])
    assert refused.returncode == Exit.PORT and "leave --port out" in refused.stderr
    assert (row["board"], row["source"], row["heartbeats"] > 0) == (name, "waves, computed", True)
    assert {device.decode() for device in said(emulator)} == {done["id"][2:].lower()}
    assert stack_left(emulator, name) >= SPARE_BYTES

    with open_console(emulator.pty) as repl:
        free, boot, there = repl.exec(ASK).strip().split("|")
    assert int(free) >= FREE_BYTES and int(boot) >= 2
    assert {"main.py", "lib", "tinyren.flashed", "tinyren.key", "tinyren.state"} <= set(eval(there))

    again = bring(emulator.pty, Wanted(name, wanted), lambda *_: None)  # the agent that runs rests, what is there stays
    assert (again.sent, again.has_settings, again.had_agent) == ([], False, True)
    assert f"0x{again.shown.device.hex()}" == done["id"].lower() and again.shown.owner


@pytest.fixture
def pico(tmp_path):
    with standin("rpi_pico_w", tmp_path / "board") as emulator:
        yield emulator


def test_wrong_settings_are_said_and_the_board_runs_and_keeps_its_key_when_it_is_flashed_again(pico, tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "settings.json").write_text('{"sensors": "nosuch", "ssid": "", "colour": "blue"}')
    assert flash(pico, tmp_path / "files").files_sent == ["settings.json"]
    flash(pico)
    wait_said(pico, 1)
    log = pico.folder / "logs" / "repl.log"
    told = json.loads(tinyren("settings", pico.pty, "--set", "sensors=tmp105+lsm303dlhc", "--json").stdout or "{}")
    assert told == {}  # what the board holds is no settings; that is refused, and said
    with open_console(pico.pty) as repl:
        repl.exec("import os\nos.remove('settings.json')")
    told = json.loads(tinyren("settings", pico.pty, "--set", "sensors=tmp105+lsm303dlhc", "--json").stdout)
    assert (told["settings"], told["owner"], told["board"]) == ({"sensors": "tmp105+lsm303dlhc"}, None, "rpi_pico_w")
    wait_said(pico, 2)
    with open_console(pico.pty) as repl:
        assert repl.exec("import core\nprint(core.open_source().name)") == "tmp105+lsm303dlhc\n"
    text = log.read_bytes()
    assert b"colour: got a setting that this version does not know" in text and b"ssid: got 0 bytes" in text
    assert b"sensors: no module named 'drivers.nosuch'; samples are computed instead" in text
    assert len(set(said(pico))) == 1 < len(said(pico))


def test_an_emulated_board_of_ours_and_a_board_without_an_agent_are_refused_with_what_to_do(pico, tmp_path):
    refused = tinyren("flash", "esp32_s3", "--port", pico.pty)
    assert refused.returncode == Exit.USAGE and "esp32_s3: no agent runs there; name a file" in refused.stderr
    wrong = tmp_path / "ca.pem"
    wrong.write_text("nothing")
    refused = tinyren("flash", pico.pty, "--ca", wrong)
    assert refused.returncode == Exit.USAGE and "--ca: got" in refused.stderr and os.path.exists(pico.pty)
    with open_console(pico.pty) as repl:
        assert repl.exec("import os\nprint(os.listdir())") == "[]\n"

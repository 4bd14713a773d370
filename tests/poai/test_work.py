"""`tinyren work` on a real site: a board and an honest process have units, one that makes its outputs up is caught.

The board is alone in the first epoch; in the second the two processes, bound meanwhile, are there too.
"""

import json
import signal
import subprocess
import sys

import pytest

from gateway.errors import Exit
from gateway.poai import check, models
from gateway.poai.verdict import FRAUD, MISSED, SOUND
from gateway.site import site_file
from tests.bound_devices import IDS, bind
from tests.site.test_up import on_chain
from tests.up_site import ROOT, Up, tinyren

BOARD = "qemu_virt_rv32"
WINDOWS = 5
KINDS = ("honest", "lying")
HONEST, LYING, _ = IDS
DEVICE = """
import sys
from device.agent import __main__ as program
class Lying(program.Model):
    runs = 0
    def run(self, window, out):
        self.runs += 1
        out[:] = bytes(range(self.runs % 200, self.runs % 200 + len(out)))
if sys.argv[1] == "lying":
    program.Model = Lying
sys.exit(program.main(sys.argv[2:]))
"""


class Process:
    """An agent on this computer, joined to a site's broker."""

    def __init__(self, site, kind):
        broker = f"127.0.0.1:{site_file.read(site.folder).broker_port}"
        command = [sys.executable, "-c", DEVICE, kind, "--broker", broker, "--store", store_of(site.folder, kind)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert json.loads(self.process.stdout.readline())["id"]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)


def store_of(folder, kind):
    return folder / f"{kind}.store"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A site's folder after an epoch of its board."""
    folder = tmp_path_factory.mktemp("work") / "site"
    seconds = ["--epoch-seconds", str(3 * WINDOWS), "--window-seconds", "3"]
    site = Up(folder, "--boards", BOARD, "--epochs", "1", *seconds)
    code, _ = site.finish()
    assert code == 0, site.lines
    return folder


@pytest.fixture(scope="module")
def played(alone):
    """(site's folder, lines of its second run, the board's id) after an epoch of all three."""
    bind(alone, [store_of(alone, kind) for kind in KINDS])
    site = Up(alone, "--epochs", "1")
    site.wait_line("boards start")
    devices = [Process(site, kind) for kind in KINDS]
    try:
        code, result = site.finish()
    finally:
        for device in devices:
            device.end()
    assert code == 0, site.lines
    board = next(device["id"] for device in result["devices"] if device["board"] == BOARD)
    return alone, site.lines, bytes.fromhex(board[2:])


def test_the_command_counts_those_that_are_bound_and_says_how_it_ended(alone):
    ended = tinyren("work", "--site", alone, "--epoch", 1, "--json")
    told = json.loads(ended.stdout)
    assert ended.returncode == 0 and len(told["devices"]) == 1 and told["kind"] == "verified"
    assert {row["outcome"] for row in told["challenges"]} <= {"sound", "missed"}
    (row,) = told["devices"].values()
    assert sum(row["models"].values()) == row["claimed"] >= row["units"] > 0 == row["frauds"]
    assert "RESULT: OK epoch=1" in tinyren("work", "--site", alone, "--epoch", 1).stdout


def test_the_board_is_paid_the_liar_is_caught_and_the_proof_is_in_the_evidence(played):
    folder, lines, board = played
    contracts, chain = on_chain(folder)
    try:
        works, checked = check.check_epoch(
            folder / "evidence", 2, contracts.chain.block_hash, {HONEST, LYING, board}, models.load()
        )
    finally:
        chain.close()
    for device in (HONEST, board):
        outcomes = {(found.outcome, found.reason) for found in checked if found.claim.device == device}
        assert (SOUND, "") in outcomes and outcomes <= {(SOUND, ""), (MISSED, "")} and works[device].units > 0
    frauds = [found.reason for found in checked if found.outcome == FRAUD]
    assert works[LYING].frauds == len(frauds) > 0 and works[LYING].units == 0
    assert set(frauds) == {"the model gives another output for its window"}
    ended = tinyren("work", "--site", folder, "--epoch", 2)
    assert ended.returncode == Exit.TRUST and "RESULT: TRUST" in ended.stdout
    assert [line for line in lines if "FRAUD" in line and LYING.hex() in line.lower()]


@pytest.mark.parametrize("arguments, code", [(("--epoch", 9), 2), (("--epoch", 1, "--artifact", "nowhere.ren"), 2)])
def test_what_is_not_there_is_named(alone, arguments, code):
    ended = tinyren("work", "--site", alone, *arguments)
    assert ended.returncode == code and "wanted" in ended.stderr and not ended.stdout

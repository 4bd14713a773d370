"""`tinyren work` on a real site: a board and an honest process have units, one that makes its outputs up is caught."""

import json
import signal
import subprocess
import sys

import pytest

from gateway.poai import check, models
from gateway.poai.verdict import FRAUD, MISSED, SOUND
from gateway.site import site_file
from tests.test_up import on_chain
from tests.up_site import ROOT, Up, tinyren

BOARD = "qemu_virt_rv32"
WINDOWS = 5
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
        store = site.folder / f"{kind}.store"
        command = [sys.executable, "-c", DEVICE, kind, "--broker", broker, "--store", store]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.id = bytes.fromhex(json.loads(self.process.stdout.readline())["id"][2:])

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=20)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """(site's folder, an honest process' id, a lying one's, the board's) after one epoch."""
    folder = tmp_path_factory.mktemp("work") / "site"
    seconds = ["--epoch-seconds", str(4 * WINDOWS), "--window-seconds", "4"]
    site = Up(folder, "--boards", BOARD, "--epochs", "1", *seconds)
    site.wait_line("broker on")
    site.wait_line("boards start")
    devices = [Process(site, kind) for kind in ("honest", "lying")]
    try:
        code, result = site.finish()
    finally:
        for device in devices:
            device.end()
    assert code == 0, site.lines
    board = next(device["id"] for device in result["devices"] if device["board"] == BOARD)
    return folder, *(device.id for device in devices), bytes.fromhex(board[2:])


def test_the_board_is_paid_the_liar_is_caught_and_the_proof_is_in_the_evidence(played):
    folder, honest, lying, board = played
    contracts, chain = on_chain(folder)
    try:
        works, checked = check.check_epoch(
            folder / "evidence", 1, contracts.chain.block_hash, {honest, lying, board}, models.load()
        )
    finally:
        chain.close()
    for device in (honest, board):
        outcomes = {(found.outcome, found.reason) for found in checked if found.claim.device == device}
        assert (SOUND, "") in outcomes and outcomes <= {(SOUND, ""), (MISSED, "")} and works[device].units > 0
    frauds = [found.reason for found in checked if found.outcome == FRAUD]
    assert works[lying].frauds == len(frauds) > 0 and works[lying].units == 0
    assert set(frauds) == {"the model gives another output for its window"}


def test_the_command_counts_those_that_are_bound_and_says_how_it_ended(played):
    folder = played[0]
    ended = tinyren("work", "--site", folder, "--epoch", 1, "--json")
    told = json.loads(ended.stdout)
    assert ended.returncode == 0 and len(told["devices"]) == 1 and told["kind"] == "verified"
    assert {row["outcome"] for row in told["challenges"]} <= {"sound", "missed"}
    (row,) = told["devices"].values()
    assert sum(row["models"].values()) == row["claimed"] >= row["units"] > 0 == row["frauds"]
    assert "RESULT: OK epoch=1" in tinyren("work", "--site", folder, "--epoch", 1).stdout


@pytest.mark.parametrize("arguments, code", [(("--epoch", 9), 2), (("--epoch", 1, "--artifact", "nowhere.ren"), 2)])
def test_what_is_not_there_is_named(played, arguments, code):
    ended = tinyren("work", "--site", played[0], *arguments)
    assert ended.returncode == code and "wanted" in ended.stderr and not ended.stdout

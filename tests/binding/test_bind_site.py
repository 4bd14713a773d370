"""A whole site: an agent that nobody listed is labelled and bound by `tinyren label` and `tinyren bind`, and earns."""

import json
import re
import subprocess
import sys

import pytest

from gateway.site import site_file
from tests.up_site import ROOT, SHORT, Up, tinyren

pytest.importorskip("segno", reason="labels are drawn by the extra `labels`")


@pytest.fixture
def up(tmp_path):
    made = Up(tmp_path / "site", "--boards", "qemu_virt_rv32", *SHORT)
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture
def agent(up, tmp_path):
    """The id of a device that is none of the site's boards, which runs as a process."""
    up.wait_line("devices are ready")
    broker = f"127.0.0.1:{site_file.read(up.folder).broker_port}"
    command = [sys.executable, "-m", "device.agent", "--broker", broker, "--store", str(tmp_path / "store")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    yield json.loads(process.stdout.readline())["id"]
    process.kill()
    process.wait()


def test_a_device_that_is_no_board_of_the_site_is_bound_by_its_label_and_earns(up, agent):
    def heard(state):
        return any(device["id"] == agent for device in state["devices"])

    up.wait_state(heard)
    printed = tinyren("label", agent, "--site", up.folder)
    assert printed.returncode == 0, printed.stderr
    manual = printed.stdout.splitlines()[-1]
    assert re.fullmatch(r"(\w{4}-){2}\w{4}", manual)
    words = ["bind", "--site", up.folder, "--deed", "1", "--key", up.folder / "keys" / "owner-1.key", "--label", "-"]
    done = tinyren(*words, "--json", input=manual)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["device"] == agent
    again = tinyren(*words, input=manual)
    assert again.returncode == 3 and "was used" in again.stderr

    def earns(state):
        device = next(device for device in state["devices"] if device["id"] == agent)
        return device["deed"] == 1 and int(device["earned_wei"]) > 0

    up.wait_state(earns)
    assert up.end()[0] == 0

"""A site with a further gateway, all processes real: who roams is paid in full, who is killed loses only its own."""

import contextlib
import json
import signal
import socket
import subprocess
import sys

import pytest

from gateway.settlement import agreed, ledger
from gateway.site import joining, site_file
from tests.bound_devices import IDS, bind
from tests.up_site import COMMAND, ROOT, WAIT_S, Up, tinyren

SECONDS = ["--epoch-seconds", "5", "--window-seconds", "1", "--boards", "qemu_mps2_an385"]
WINDOWS = 5


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Agent:
    """A device of this computer, at one gateway's broker."""

    def __init__(self, port, store):
        command = [sys.executable, "-m", "device.agent", "--broker", f"127.0.0.1:{port}", "--store", str(store)]
        self.child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert json.loads(self.child.stdout.readline())

    def end(self):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


class Further:
    """The further gateway's process."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "gateway.log"
        with self.log.open("ab") as log:
            command = [*COMMAND, "gateway", "up", str(folder)]
            self.child = subprocess.Popen(command, cwd=ROOT, stderr=log)

    def wait_ready(self):
        for _ in range(100 * WAIT_S):
            if "ready" in self.log.read_text():
                return site_file.read(self.folder).broker_port
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(0.01)
        raise AssertionError(self.log.read_text())


def wait_window(site, epoch, least):
    """Wait until so many windows of an epoch were opened."""
    site.wait_state(lambda now: any(row["epoch"] == epoch and row["windows_open"] >= least for row in now["epochs"]
                                    if row.get("state") == "open"))  # fmt: skip


def scores(folder, epoch):
    found = ledger.read(folder / "settlement", epoch).availability
    return [found.get(device, 0) for device in IDS]


@pytest.fixture
def processes():
    with contextlib.ExitStack() as ends:
        yield ends


def test_a_further_gateway_counts_until_it_is_killed_and_its_evidence_is_audited(tmp_path, processes):
    folder, second, stores = tmp_path / "site", tmp_path / "second", [tmp_path / f"device-{n}" for n in range(3)]
    first = Up(folder, *SECONDS)
    first.wait_line("page http")
    assert first.end()[0] == 0
    roaming = bind(folder, stores)
    port = free_port()
    invitation = joining.admit(folder, joining.prepare(second), f"http://127.0.0.1:{port}")
    joining.accept(second, invitation, port)
    site = Up(folder, *SECONDS)
    processes.callback(site.process.kill)
    site.wait_line("page http")
    further = Further(second)
    processes.callback(further.child.kill)
    there, here = further.wait_ready(), site_file.read(folder).broker_port
    agents = [Agent(port, store) for port, store in zip((here, there, here), stores, strict=True)]
    for agent in agents:
        processes.callback(agent.end)
    site.wait_line("epoch 1 is settled")
    wait_window(site, 2, 2)
    agents[2].end()
    agents[2] = Agent(there, stores[2])
    processes.callback(agents[2].end)
    site.wait_line("epoch 2 is settled")
    in_two = scores(folder, 2)
    wait_window(site, 3, 2)
    further.child.send_signal(signal.SIGKILL)
    further.child.wait()
    assert min(in_two) >= 255 * (WINDOWS - 2) // WINDOWS
    check_again(folder, site.wait_line("page http").split()[-1])
    told = json.loads(tinyren("earnings", "explain", roaming, "--epoch", 2, "--site", folder, "--json").stdout)
    assert [row["availability"] for row in told["devices"]] == in_two[2:] and int(told["earned_wei"])
    site.wait_line("epoch 3 is settled")
    only_here = scores(folder, 3)
    assert only_here[0] >= 255 * (WINDOWS - 1) // WINDOWS and only_here[1:] == [0, 0]


def check_again(folder, page):
    """The second scorer, from the site's folder and from the chain and R1FS alone."""
    verified = tinyren("verify", folder, "--epoch", 2, "--json")
    assert verified.returncode == 0 and json.loads(verified.stdout)["findings"] == [], verified.stdout
    attested = json.loads(verified.stdout)["evidence"]
    assert attested == "0x" + agreed.attested(folder / "evidence", 2).hex()
    contracts = site_file.read(folder).contracts
    where = ["--rpc", page + "rpc", "--r1fs", page, "--settlement", contracts["settlement"]]
    if "escrow" in contracts:
        where += ["--escrow", contracts["escrow"]]
    audited = tinyren("audit", "--epoch", 2, *where, "--devices", contracts["devices"], "--json")
    assert audited.returncode == 0 and json.loads(audited.stdout)["evidence"] == attested, audited.stderr

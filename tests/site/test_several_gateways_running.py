"""A site that takes a further gateway while it runs, all processes real.

Who roams is paid in full, what the further gateway alone heard is challenged there, and killed it loses only its own.
"""

import contextlib
import json
import signal
import subprocess
import sys

import pytest

from gateway.intake import evidence
from gateway.settlement import agreed, ledger
from gateway.site import joining, site_file
from tests.bound_devices import IDS, bind
from tests.ports import free_port
from tests.up_site import COMMAND, ROOT, WAIT_S, Up, heartbeats, tinyren

SECONDS = ["--epoch-seconds", "5", "--window-seconds", "1", "--boards", "qemu_mps2_an385"]
WINDOWS = 5


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


def wait_open(site):
    """Wait until a window is open."""
    site.wait_state(lambda now: any(row.get("state") == "open" and row["windows_open"] for row in now["epochs"]))


def answered(folder, epoch):
    """{device: windows that it answered} at one gateway, of those that are bound here."""
    found = {device: set() for device in IDS}
    for _, device, beacon, *_ in heartbeats(folder, epoch):
        found.get(device, set()).add(beacon[4:6])
    return found


def wait_heard(site, folder, device):
    """Wait until a gateway hears a device; the epoch in which it does."""

    place = folder / "evidence"

    def is_heard(_):
        number = evidence.last_epoch(place) if place.is_dir() else 0  # ready comes before the first epoch does
        return number and answered(folder, number)[device]

    site.wait_state(is_heard)
    return evidence.last_epoch(place)


def ledger_of(site, epoch):
    """What an epoch came to, once it is settled."""
    site.wait_line(f"epoch {epoch} is settled")
    return ledger.read(site.folder / "settlement", epoch)


@pytest.fixture
def processes():
    with contextlib.ExitStack() as ends:
        yield ends


def test_a_further_gateway_counts_until_it_is_killed_and_its_evidence_is_audited(tmp_path, processes):
    folder, second, stores = tmp_path / "site", tmp_path / "second", [tmp_path / f"device-{n}" for n in range(3)]
    page = ["--port", str(free_port())]  # where the further gateway finds the chain
    first = Up(folder, *SECONDS, *page)
    first.wait_line("page http")
    assert first.end()[0] == 0
    roaming = bind(folder, stores)
    port = free_port()
    site = Up(folder, *SECONDS, *page)
    processes.callback(site.process.kill)
    site.wait_line("page http")
    wait_open(site)
    address = joining.prepare(second)
    invitation = joining.admit(folder, address, f"http://127.0.0.1:{port}")
    site.wait_line(f"{address} is a further gateway of this site now")
    joining.accept(second, invitation, port)
    further = Further(second)
    processes.callback(further.child.kill)
    there, here = further.wait_ready(), site_file.read(folder).broker_port
    agents = [Agent(port, store) for port, store in zip((here, there, here), stores, strict=True)]
    for agent in agents:
        processes.callback(agent.end)
    for device, gateway in zip(IDS, (folder, second, folder), strict=True):
        wait_heard(site, gateway, device)
    agents[2].end()
    agents[2] = Agent(there, stores[2])
    processes.callback(agents[2].end)
    roamed = wait_heard(site, second, IDS[2])
    found = ledger_of(site, roamed).availability
    at_home, at_second = answered(folder, roamed), answered(second, roamed)
    assert at_home[IDS[0]] and at_second[IDS[1]] and at_second[IDS[2]]
    assert {device: found[device] for device in IDS} == {
        device: 255 * len(at_home[device] | at_second[device]) // WINDOWS for device in IDS
    }
    check_again(folder, roamed, site.wait_line("page http").split()[-1])
    told = json.loads(tinyren("earnings", "explain", roaming, "--epoch", roamed, "--site", folder, "--json").stdout)
    assert [row["availability"] for row in told["devices"]] == [found[IDS[2]]] and int(told["earned_wei"])
    while not ledger_of(site, roamed).units.get(IDS[1]):  # heard there alone, and challenged there
        roamed += 1
    wait_heard(site, second, IDS[1])
    further.child.send_signal(signal.SIGKILL)
    further.child.wait()
    lost = evidence.last_closed(second / "evidence") + 1
    left = ledger_of(site, lost).availability
    assert left[IDS[0]] and left.get(IDS[1], 0) == left.get(IDS[2], 0) == 0


def check_again(folder, epoch, page):
    """The second scorer, from the site's folder and from the chain and R1FS alone."""
    verified = tinyren("verify", folder, "--epoch", epoch, "--json")
    found = json.loads(verified.stdout)
    assert verified.returncode == 0 and found["findings"] == [], verified.stdout
    assert found["evidence"] == "0x" + agreed.attested(folder / "evidence", epoch).hex()
    units = ledger.read(folder / "settlement", epoch).units
    assert {bytes.fromhex(device[2:]): count for device, count in found["units"].items()} == units
    contracts = site_file.read(folder).contracts
    where = ["--rpc", page + "rpc", "--r1fs", page, "--settlement", contracts["settlement"]]
    if "escrow" in contracts:
        where += ["--escrow", contracts["escrow"]]
    audited = tinyren("audit", "--epoch", epoch, *where, "--devices", contracts["devices"], "--json")
    assert audited.returncode == 0 and json.loads(audited.stdout)["evidence"] == found["evidence"], audited.stderr

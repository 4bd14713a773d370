"""A gateway that is killed, and podman that is: the job that was running goes on, one container, the same process."""

import os
import random
import signal
import subprocess
import sys
import tempfile

import pytest

from gateway.workloads import canary
from gateway.workloads.canary import Finding
from gateway.workloads.errors import Unavailable
from gateway.workloads.limits import PROVEN
from tests.workload_site import Site, image, needs_podman, shell, tar_of, until

pytestmark = needs_podman
GATEWAY = """
import sys, time
from tests.deeploy.test_workload_kill import without_canary
from tests.workload_site import Site, shell
without_canary()
site = Site(sys.argv[1])
workloads = site.start()
workloads.apply("job", shell(sys.argv[2], "echo began; trap exit TERM; sleep 600 & wait"))
print("up", flush=True)
while True:
    print(*[row.state for row in workloads.observed()], flush=True)
    time.sleep(0.05)
"""
KILLS = 6
WAITS = "trap exit TERM; sleep 600 & wait"


def without_canary():
    """Let every limit count as tried, so that a start takes no seconds."""
    found = Finding(True, "not tried in this test")
    canary.try_containers = lambda podman, engine, folder: dict.fromkeys(PROVEN["container"], found)
    canary.try_wasm = lambda engine, folder: dict.fromkeys(PROVEN["wasm"], found)


@pytest.fixture
def site(monkeypatch):
    for name in ("try_containers", "try_wasm"):
        monkeypatch.setattr(canary, name, getattr(canary, name))  # as it was, after the test
    without_canary()
    site = Site(tempfile.mkdtemp(prefix="tw-"))
    yield site
    if site.workloads is None or site.workloads._ending.is_set():
        site.start()
    site.end()


@pytest.fixture
def busybox(site):
    return site.r1fs.add([tar_of(image()[0])]).cid


def gateway(site, cid):
    command = [sys.executable, "-c", GATEWAY, str(site.folder), cid]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_kill_9_at_any_point_leads_to_one_container_that_then_goes_on(site, busybox):
    chance = random.Random(5)
    for number in range(KILLS):
        process = gateway(site, busybox)
        try:
            assert process.stdout.readline() == "up\n"
            for _ in range(chance.randrange(1 + 2 * number)):  # ever later in what it does
                process.stdout.readline()
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
    site.start()
    pid = site.pid("job")
    assert (site.row("job").run, site.results("job")) == (1, [])
    assert len(site.workloads._containers.runs()) == 1
    until(lambda: "began" in "".join(site.workloads.logs("job")))
    assert sum("began" in line for line in site.workloads.logs("job")) == 1
    site.stop()
    site.start()
    assert site.pid("job") == pid and site.row("job").run == 1


def test_podman_that_is_killed_is_started_again_and_jobs_go_on(site, busybox):
    site.start()
    site.workloads.apply("job", shell(busybox, WAITS))
    pid = site.pid("job")
    served = site.workloads._podman._child._process.pid
    os.kill(served, signal.SIGKILL)
    until(lambda: any("podman ended" in text for text in site.said))
    until(lambda: site.workloads._podman._child._process.pid != served)
    site.workloads.apply("second", shell(busybox, "exit 0", restart={"policy": "never"}))
    assert site.until_result("second")[0].ok
    assert site.pid("job") == pid and site.results("job") == []


def test_another_workload_takes_the_place_of_the_first_when_that_has_ended(site, busybox):
    site.start()
    site.workloads.apply("job", shell(busybox, WAITS))
    site.pid("job")
    site.workloads.apply("job", shell(busybox, WAITS))  # the same: nothing happens
    site.workloads.apply("job", shell(busybox, f"echo second; {WAITS}"))
    site.pid("job", 2)
    (result,) = site.results("job")
    assert (result.run, result.reason, result.ok) == (1, "replaced", False)
    assert len(site.workloads._containers.runs()) == 1


def test_a_full_disk_keeps_what_was_acknowledged(site, busybox):
    site.start()
    site.workloads.apply("job", shell(busybox, WAITS))
    pid = site.pid("job")
    database = site.workloads._keep._database
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="no space left, nothing was kept"):
        for number in range(1000):
            site.workloads.apply(f"more-{number}", shell(busybox, "x" * 4000, environment={"A": "b" * 4000}))
    rows = {row.job for row in site.workloads.observed()}
    database.execute("PRAGMA max_page_count = 1000000")
    site.stop()
    site.start()
    assert {row.job for row in site.workloads.observed()} == rows and site.pid("job") == pid

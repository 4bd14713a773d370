"""A running site of three emulated boards: agents that cannot run, each rolled back with its reason; a gateway killed
in the middle of a rollout."""

import shutil
import signal

import pytest

from gateway.errors import Exit
from tests.deeploy_boards import apply, apply_and_wait, beats_on, show, start_site
from tests.up_site import ROOT

JOB = """
name = "{name}"
[agent]
folder = "{folder}"
[rollout]
steps = ["100%"]
halt_percent = 100
"""
CRASH = "from . import nothing_of_this_name\n"
HANG = "while True:\n    pass\n"


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """The site that runs, in a list: a test may replace it."""
    running = [start_site(tmp_path_factory.mktemp("deeploy") / "site")]
    yield running
    running[0].end()


@pytest.mark.parametrize("name, source, reason", [("crash", CRASH, "ImportError"), ("hang", HANG, "watchdog")])
def test_an_agent_that_cannot_run_is_rolled_back_on_every_board_with_the_reason(sites, name, source, reason):
    site = sites[0]
    folder = site.folder.parent / name
    folder.mkdir()
    (folder / "run.py").write_text(source)
    code, status, said = apply_and_wait(site, JOB.format(name=name, folder=folder))
    assert (code, status["state"]) == (Exit.ROLLED_BACK, "halted"), said
    for row in status["devices"]:
        assert row["phase"] == "failed" and reason in row["reason"], row
        assert row["running"] == {"agent": 0, "model": 0}
    beats_on(site)


def test_a_gateway_that_is_killed_in_the_middle_of_a_rollout_goes_on_with_it(sites):
    site = sites[0]
    folder = site.folder.parent / "agent"
    shutil.copytree(ROOT / "device" / "agent", folder, ignore=shutil.ignore_patterns("__pycache__", "sources"))
    version = folder / "version.py"
    version.write_text(version.read_text().replace('VERSION = "', 'VERSION = "9.'))
    code, _, said = apply(site, JOB.format(name="later", folder=folder))
    assert code == Exit.OK, said
    site.wait_state(lambda _: show(site, "later")["counts"].get("fetching"))
    site.end(signal.SIGKILL)
    sites[0] = site = start_site(site.folder)
    site.wait_state(lambda _: show(site, "later")["counts"] == {"done": 3})
    site.wait_state(lambda state: all(device["firmware"].startswith("9.") for device in state["devices"]))
    status = show(site, "later")
    assert {row["running"]["agent"] for row in status["devices"]} == {status["sequences"][0]["sequence"]}

"""A running site of three emulated boards, and `tinyren job` on it."""

import json

from gateway.deeploy.client import SiteClient
from tests.up_site import Up, tinyren

JOB_S = 55


def start_site(folder):
    up = Up(folder, "--epoch-seconds", "30", "--window-seconds", "2")
    up.wait_line("3 of 3 devices are ready")
    up.wait_state(lambda state: all(device["heartbeats"] for device in state["devices"]))
    return up


def job(site, *arguments):
    """`tinyren job` on the site: (exit code, JSON, stderr)."""
    done = tinyren("job", *arguments, "--site", site.folder, "--json")
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def apply(site, text, *options):
    path = site.folder.parent / "job.toml"
    path.write_text(text)
    return job(site, "apply", path, *options)


def apply_and_wait(site, text):
    return apply(site, text, "--wait", "--timeout", str(JOB_S))


def show(site, name):
    """The status of a job by the page's own route, without a process of its own."""
    return SiteClient(site.folder).job(name)


def beats_on(site):
    """Wait for a further heartbeat of each board."""
    before = {device["id"]: device["heartbeats"] for device in site.state()["devices"]}
    site.wait_state(lambda state: all(device["heartbeats"] > before[device["id"]] for device in state["devices"]))

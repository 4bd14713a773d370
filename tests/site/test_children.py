"""Helper processes: started again with growing pauses, ended with their parent, and never left behind."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gateway.site import children
from gateway.site.children import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, Backoff, Child, end

ROOT = Path(__file__).parents[2]
SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


class Time:
    """A clock that is a number."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


def restarts(backoff, time, until_s):
    """When it is started again, if it ends at once each time; looked at each tenth of a second."""
    found = []
    for tenth in range(int(10 * time.now_s), int(10 * until_s)):
        time.now_s = tenth / 10
        if backoff.ended():
            found.append(time.now_s)
    return found


def test_pauses_double_up_to_the_longest():
    time = Time()
    at_s = [0.0, *restarts(Backoff(time), time, 200)]
    pauses = [late - early for early, late in zip(at_s, at_s[1:], strict=False)]
    for count, pause in enumerate(pauses):
        wanted = min(FIRST_PAUSE_S * 2**count, LONGEST_PAUSE_S)
        assert wanted <= pause <= wanted + 0.3


def test_the_pause_begins_anew_after_a_steady_run():
    time = Time()
    backoff = Backoff(time)
    last_s = restarts(backoff, time, 60)[-1]
    time.now_s = last_s + STEADY_S
    assert restarts(backoff, time, time.now_s + 1)[0] - (last_s + STEADY_S) <= FIRST_PAUSE_S + 0.2


def test_a_child_that_ended_is_started_again_and_that_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "FIRST_PAUSE_S", 0.0)
    child = Child("helper", SLEEPER, tmp_path / "logs" / "helper.log")
    child.start()
    try:
        assert child.watch() is None
        child._process.kill()
        child._process.wait()
        assert child.watch() == "helper ended (code -9) and was started again"
        assert child.watch() is None
    finally:
        child.stop()
    assert child.watch() is None


def test_a_child_that_was_never_started_can_be_stopped(tmp_path):
    Child("helper", SLEEPER, tmp_path / "log").stop()
    assert list(tmp_path.iterdir()) == []


def test_a_log_is_begun_anew_when_it_is_long_and_one_before_is_kept(tmp_path):
    log = tmp_path / "helper.log"
    log.write_bytes(b"x" * (children.LOG_BYTES + 1))
    child = Child("helper", [sys.executable, "-c", "print('new')"], log)
    child.start()
    child._process.wait()
    assert log.read_text() == "new\n" and log.with_suffix(".log.1").stat().st_size == children.LOG_BYTES + 1


def test_a_child_that_does_not_listen_is_killed(monkeypatch):
    monkeypatch.setattr(children, "STOP_S", 0.1)
    process = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    end(process)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_when_its_parent_is_gone(tmp_path, number):
    log = tmp_path / "log"
    script = (
        "import pathlib, sys; from gateway.site.children import Child\n"
        f"child = Child('helper', {SLEEPER!r}, pathlib.Path({str(log)!r})); child.start()\n"
        "print(child._process.pid, flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, **pipes)
    helper = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(number)
    parent.wait()
    assert psutil.wait_procs([helper], timeout=10)[1] == []
    parent.stdin.close()
    parent.stdout.close()

"""What `tinyren job` prints for a person: a job's devices with why and what they run, or its workload."""

import pytest

from gateway.commands import job_lines
from gateway.errors import Exit

DEVICE = {
    "id": "0x12", "board": "qemu_virt_rv32", "phase": "refused", "reason": "model: \x1b[2Jbroken",
    "model": "bafkmodel", "output": {"count": 4, "bytes": "0aff", "at_ms": 1},
}  # fmt: skip
JOB = {
    "name": "quiet", "state": "running", "why": "", "step": 1, "steps": [1, "100%"], "counts": {"refused": 1},
    "finished": False, "workload": None, "devices": [DEVICE],
}  # fmt: skip
WORKLOAD = {"kind": "container", "state": "failed", "health": "", "reason": "run 1: exit code 3\ndone", "cpu_s": 0.0}


def test_a_device_is_told_with_its_reason_its_model_and_its_output():
    head, device = job_lines.job(JOB)
    assert head == "quiet  running, step 1 of 2: 1 refused"
    assert device.split(maxsplit=2)[2] == (
        "refused: model: ?[2Jbroken, its heartbeats sign model bafkmodel, output 0aff"
    )


def test_a_device_that_said_nothing_yet_has_no_model_and_no_output():
    bare = {**DEVICE, "phase": "done", "reason": "", "model": None, "output": None}
    assert job_lines.job({**JOB, "devices": [bare]})[1].split() == ["0x12", "qemu_virt_rv32", "done"]


def test_a_job_of_the_gateway_is_told_with_its_state_and_reason_and_without_steps():
    (line,) = job_lines.job({**JOB, "finished": True, "workload": WORKLOAD, "devices": []})
    assert line == "quiet  container failed, run 1: exit code 3?done"
    (line,) = job_lines.job({**JOB, "state": "paused", "workload": WORKLOAD, "devices": []})
    assert line.startswith("quiet  paused: container failed")
    (line,) = job_lines.job({**JOB, "finished": True, "workload": {**WORKLOAD, "cpu_s": 1.25}, "devices": []})
    assert line.endswith("done; 1.2 CPU seconds, measured by the gateway, not verified")


def test_a_halted_job_says_why():
    line = job_lines.head({**JOB, "state": "halted", "why": "1 of 1 failed", "finished": True})
    assert line.startswith("quiet  halted (1 of 1 failed), step 1 of 2")


def test_a_plan_of_a_workload_names_no_devices():
    plan = {"name": "hello", "devices": [], "steps": [1, "100%"], "manifests": [], "workload": {"wasm": {}}}
    assert job_lines.planned(plan) == ["job hello: wasm on this gateway"]


DEVICES = {**JOB, "failed": 0, "finished": True, "counts": {"done": 3}}
HERE = {**DEVICES, "counts": {}}
WELL = {**WORKLOAD, "state": "ended"}
HELD = {**WORKLOAD, "state": "held"}
OUTCOMES = {
    "all well": (DEVICES, Exit.OK, ""),
    "some went back": ({**DEVICES, "failed": 1}, Exit.PARTLY, "`tinyren job rollback quiet`"),
    "all went back": ({**DEVICES, "failed": 3, "counts": {"failed": 3}}, Exit.ROLLED_BACK, "3 devices went back"),
    "paused by somebody": ({**DEVICES, "state": "paused", "finished": False}, Exit.PARTLY, "paused before it ended"),
    "paused at its start": ({**HERE, "state": "paused", "finished": False}, Exit.FAILED, "`tinyren job resume quiet`"),
    "paused when all had ended": ({**DEVICES, "state": "paused"}, Exit.OK, ""),
    "a container that ended well": ({**HERE, "workload": WELL}, Exit.OK, ""),
    "a container that failed": ({**HERE, "workload": WORKLOAD}, Exit.FAILED, "`tinyren job logs quiet`"),
    "a container that is held": ({**HERE, "workload": HELD}, Exit.REFUSED, "begins by itself"),
    "no podman": ({**HERE, "state": "halted", "why": "no podman", "workload": WELL}, Exit.REFUSED, "no podman; then"),
}  # fmt: skip


@pytest.mark.parametrize("status, code, why", OUTCOMES.values(), ids=OUTCOMES)
def test_how_a_job_went_is_an_exit_code_a_reason_and_a_next_step(status, code, why):
    found, said = job_lines.outcome(status)
    assert found == code and why in said and bool(said) is bool(code) and "\n" not in said

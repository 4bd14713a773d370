"""What `tinyren job` prints for a person: a job's devices with why and what they run, or its workload."""

from gateway.commands import job_lines

DEVICE = {
    "id": "0x12", "board": "qemu_virt_rv32", "phase": "refused", "reason": "model: \x1b[2Jbroken",
    "model": "bafkmodel", "output": {"count": 4, "bytes": "0aff", "at_ms": 1},
}  # fmt: skip
JOB = {
    "name": "quiet", "state": "running", "why": "", "step": 1, "steps": [1, "100%"], "counts": {"refused": 1},
    "finished": False, "workload": None, "devices": [DEVICE],
}  # fmt: skip
WORKLOAD = {"kind": "container", "state": "ended", "health": "", "reason": "run 1: exit code 3\ndone", "cpu_s": 0.0}


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
    assert line == "quiet  finished: container ended, run 1: exit code 3?done"
    (line,) = job_lines.job({**JOB, "finished": True, "workload": {**WORKLOAD, "cpu_s": 1.25}, "devices": []})
    assert line.endswith("done; 1.2 CPU seconds, measured by the gateway, not verified")


def test_a_halted_job_says_why():
    line = job_lines.head({**JOB, "state": "halted", "why": "1 of 1 failed", "finished": True})
    assert line.startswith("quiet  halted (1 of 1 failed), step 1 of 2")


def test_a_plan_of_a_workload_names_no_devices():
    plan = {"name": "hello", "devices": [], "steps": [1, "100%"], "manifests": [], "workload": {"wasm": {}}}
    assert job_lines.planned(plan) == ["job hello: wasm on this gateway"]

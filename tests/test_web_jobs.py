"""The page's section of jobs and rollouts: state, steps, why it halted; foreign text is escaped."""

import re

from jinja2 import Environment, FileSystemLoader

from gateway.web import view
from gateway.web.app import HERE
from tests.web_demo import NOW_MS, settled_snapshot

JOB = {
    "name": "quiet", "state": "running", "why": "", "document": "bafy" + "a" * 55, "step": 1, "steps": [1, "100%"],
    "counts": {"done": 1, "waiting": 2}, "failed": 0, "finished": False,
    "sequences": [{"board": "qemu_virt_rv32", "kind": "model", "sequence": 7}],
}  # fmt: skip
HALTED = {**JOB, "state": "halted", "why": "1 of 3 devices failed, wanted less than 5 %", "counts": {"failed": 1}}


def render(*jobs):
    """The text of the page's live part, and its HTML."""
    templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True)
    templates.filters |= {name: getattr(view, name) for name in ("r1", "short", "text", "number")}
    page = templates.get_template("live.html").render(view.view({**settled_snapshot(), "jobs": list(jobs)}, NOW_MS))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page)), page


def test_a_job_shows_its_step_its_devices_and_its_sequence():
    shown, _ = render(JOB)
    for text in ("Jobs and rollouts", "Job quiet", "running", "1 done 2 waiting", "1/2 1 device", "model 7"):
        assert text in shown.replace("1/21", "1/2 1")
    assert "tinyren job show quiet" in shown


def test_a_job_whose_devices_all_ended_is_finished_and_a_halted_one_says_why():
    assert "finished" in render({**JOB, "finished": True})[0]
    shown, _ = render({**HALTED, "finished": True})
    assert "halted" in shown and "1 of 3 devices failed, wanted less than 5 %" in shown and "finished" not in shown


def test_a_site_without_jobs_has_no_such_section():
    assert "Jobs and rollouts" not in render()[0]


def test_foreign_text_is_escaped():
    assert "<script>" not in render({**JOB, "name": "<script>", "why": "<script>"})[1]


def test_a_job_of_the_gateway_shows_how_its_workload_is_and_no_devices():
    workload = {"kind": "container", "state": "running", "health": "healthy", "reason": "run 2: <b>exit code 3"}
    shown, page = render({**JOB, "counts": {}, "sequences": [], "workload": workload})
    assert "container healthy" in shown and "none" not in shown.split("Jobs and rollouts")[1].split("A device runs")[0]
    assert "<b>exit" not in page

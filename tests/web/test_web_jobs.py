"""The pages of jobs and rollouts: state, steps, why it halted; foreign text is escaped."""

from tests.web_demo import JOB, settled_snapshot, shown, words

HALTED = {**JOB, "state": "halted", "why": "1 of 3 devices failed, wanted less than 5 %", "counts": {"failed": 1}}


def page(*jobs):
    return shown("/rollouts", {**settled_snapshot(), "jobs": list(jobs)})


def test_a_job_shows_its_step_its_devices_and_its_sequence():
    text = words(page(JOB))
    for part in ("Jobs and rollouts", "quiet", "running", "1 done, 2 waiting", "1/2 1 device", "model 7"):
        assert part in text


def test_a_job_whose_devices_all_ended_is_finished_and_a_halted_one_says_why():
    assert "finished" in page({**JOB, "finished": True})
    text = words(page({**HALTED, "finished": True}))
    assert "halted" in text and "1 of 3 devices failed, wanted less than 5 %" in text and "finished" not in text


def test_a_job_without_devices_says_so():
    assert "no device follows it" in words(page({**JOB, "counts": {}}))


def test_a_device_that_did_not_answer_is_shown_as_bad():
    assert 'class="bad"' in page({**JOB, "counts": {"no answer": 1}})


def test_foreign_text_is_escaped():
    assert "<script>" not in page({**JOB, "name": "<script>", "why": "<script>"})


def test_a_job_of_the_gateway_shows_how_its_workload_is_and_no_devices():
    workload = {"kind": "container", "state": "running", "health": "healthy", "reason": "run 2: <b>exit code 3"}
    html = page({**JOB, "counts": {}, "sequences": [], "workload": workload})
    assert "container healthy" in words(html) and "no device" not in html and "<b>exit" not in html
    failed = page({**JOB, "finished": True, "workload": {**workload, "health": "", "state": "failed"}})
    assert 'class="state failed"' in failed and "finished" not in failed

"""`tinyren job` against the service's real routes: what it prints, its exit codes; a refused one changes nothing."""

import argparse
import json
import re

import pytest

from gateway import cli
from gateway.deeploy.client import SiteClient
from gateway.errors import CommandError, Exit
from gateway.site import site_file
from gateway.site.site_file import Site
from tests.deeploy_site import FAILED, ROOT, FakeDevice, open_gateway, serving, turning


@pytest.fixture
def gateway(tmp_path):
    with open_gateway(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def job(gateway, capsys):
    """job(arguments...) -> (exit code, JSON or None, stderr), while a thread has gateway and devices talk."""
    with serving(gateway) as run, turning(gateway):

        def job(*arguments):
            capsys.readouterr()
            code = run(*arguments, "--json")
            said = capsys.readouterr()
            return code, json.loads(said.out) if said.out else None, said.err

        yield job


def fail_all(gateway, count):
    for device in list(gateway.devices.values())[:count]:
        device.end = FAILED, "import: NameError: x"


def test_apply_waits_until_every_device_runs_it_and_show_and_ls_tell_it(gateway, job):
    code, status, _ = job("apply", gateway.job_file(), "--wait", "--timeout", 30)
    assert code == Exit.OK and status["counts"] == {"done": 3} and status["finished"]
    assert job("show", "quiet")[1]["devices"] == status["devices"]
    _, rows, _ = job("ls")
    assert [(row["name"], row["state"], row["finished"]) for row in rows] == [("quiet", "running", True)]
    assert {device["phase"] for device in status["devices"]} == {"done"}


@pytest.mark.parametrize("failing, code", [(3, Exit.ROLLED_BACK), (1, Exit.PARTLY)])
def test_the_exit_code_says_whether_all_or_some_went_back(gateway, job, failing, code):
    fail_all(gateway, failing)
    path = gateway.job_file(more="[rollout]\nsteps = ['100%']\nhalt_percent = 100")
    found, status, _ = job("apply", path, "--wait", "--timeout", 30)
    assert (found, status["failed"]) == (code, failing)
    reasons = {device["reason"] for device in status["devices"] if device["phase"] == "failed"}
    assert reasons == {"model: import: NameError: x"}


def test_a_dry_run_says_what_would_be_sent_and_changes_nothing(gateway, job):
    before = gateway.kept()
    pins = gateway.r1fs.pins()
    code, plan, _ = job("apply", gateway.job_file(), "--dry-run")
    assert code == Exit.OK and len(plan["devices"]) == 3
    assert [(item["board"], item["sequence"], item["size"]) for item in plan["manifests"]] == [("m", 1, 3428)]
    assert gateway.kept() == before and gateway.r1fs.pins() == pins


def test_pause_resume_and_rollback_follow_each_other(gateway, job):
    for device in gateway.devices.values():
        device.silent = True
    assert job("apply", gateway.job_file())[0] == Exit.OK
    assert job("pause", "quiet")[1]["state"] == "paused"
    assert job("resume", "quiet")[1]["state"] == "running"
    for device in gateway.devices.values():
        device.silent = False
    gateway.now_ms += 20_000
    assert job("resume", "quiet", "--wait", "--timeout", 30)[1]["counts"] == {"done": 3}
    code, status, _ = job("rollback", "quiet", "--wait", "--timeout", 30)
    assert code == Exit.OK and status["sequences"] == [{"board": "m", "kind": "model", "sequence": 2}]
    assert {device.manifest.size for device in gateway.devices.values()} == {0}


def test_labels_are_set_listed_and_taken_away(gateway, job):
    device = f"0x{next(iter(gateway.devices)).hex()}"
    assert job("label", device, "room=lab", "floor=2")[1]["labels"] == {"room": "lab", "floor": "2"}
    assert job("label", device, "floor=")[1]["labels"] == {"room": "lab"}
    _, rows, _ = job("ls", "--devices")
    assert {row["id"]: row["labels"] for row in rows}[device] == {"room": "lab"}
    code, status, _ = job("apply", gateway.job_file(target="labels = {room = 'lab'}"), "--wait", "--timeout", 30)
    assert code == Exit.OK and [row["id"] for row in status["devices"]] == [device]


def test_a_job_that_does_not_end_in_time_says_where_to_look(gateway, job):
    for device in gateway.devices.values():
        device.silent = True
    with pytest.raises(SystemExit):
        job("apply", gateway.job_file(), "--wait", "--timeout", "0")
    code, _, said = job("apply", gateway.job_file(), "--wait", "--timeout", 1)
    assert code == Exit.TIMEOUT and "`tinyren job show quiet` says why" in said


REFUSED = {
    "no such job": (("pause", "none"), Exit.USAGE, "got 'none', wanted one of none yet"),
    "no such job to show": (("show", "none"), Exit.REFUSED, "no such job; see `tinyren job ls`"),
    "a key that the site does not take": (("apply", "FILE", "--key", "stranger.key"), Exit.TRUST, "stranger"),
    "no file": (("apply", "none.toml"), Exit.USAGE, "none.toml: No such file or directory"),
    "no key": (("apply", "FILE", "--key", "none.key"), Exit.USAGE, "there is no key"),
    "a device that is none": (("label", "0xzz", "a=b"), Exit.USAGE, "wanted its id"),
    "a label without a value": (("label", "0x00", "a"), Exit.USAGE, "wanted NAME=VALUE"),
    "a stranger's device": (("label", "0x" + "11" * 20, "a=b"), Exit.REFUSED, "wanted one of this site"),
    "nobody meant": (("apply", "OTHER"), Exit.NOTHING_TO_DO, "none of 3 devices has all that it asks for"),
}


@pytest.mark.parametrize("arguments, code, message", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_in_one_line_and_changes_nothing(gateway, job, arguments, code, message):
    path = gateway.job_file(target='boards = ["qemu_virt_rv32"]' if "OTHER" in arguments else "")
    words = [path if word in ("FILE", "OTHER") else word for word in arguments]
    words = [gateway.folder / "keys" / word if str(word).endswith(".key") else word for word in words]
    before, pins = gateway.kept(), gateway.r1fs.pins()
    found, result, said = job(*words)
    assert found == code and result is None and message in said and len(said.splitlines()) == 1
    assert gateway.kept() == before and gateway.r1fs.pins() == pins


def test_a_json_beside_a_model_that_is_none_is_told_by_name(gateway, job):
    folder = gateway.folder / "mine"
    folder.mkdir()
    (folder / "encoder.ren").write_bytes((ROOT / "models/host/encoder.ren").read_bytes())
    (folder / "mine.json").write_text('{"sample_ms":')
    before = gateway.kept()
    code, _, said = job("apply", gateway.job_file(file=folder / "encoder.ren"))
    assert code == Exit.USAGE and "mine.json" in said and "wanted JSON" in said and gateway.kept() == before


def test_a_document_whose_answer_is_lost_stays_pinned(gateway, job, monkeypatch):
    ask = SiteClient.ask

    def lose(*given):
        ask(*given)
        raise CommandError("the answer is lost")

    monkeypatch.setattr(SiteClient, "ask", lose)
    assert job("apply", gateway.job_file())[0] == Exit.FAILED
    document = job("show", "quiet")[1]["document"]
    assert document in [pin.cid for pin in gateway.r1fs.pins()]


def test_a_site_that_does_not_run_is_told_with_what_to_do(tmp_path, capsys):
    assert cli.main(["job", "ls", "--site", str(tmp_path)]) == Exit.USAGE
    assert "`tinyren up --site" in capsys.readouterr().err
    site_file.write(tmp_path, Site(boards=["m"], page_port=1))
    assert cli.main(["job", "ls", "--site", str(tmp_path)]) == Exit.FAILED
    assert "is it running? start it by `tinyren up --site" in capsys.readouterr().err


def test_a_device_of_another_board_has_no_manifest(tmp_path):
    with open_gateway(tmp_path, FakeDevice(1), FakeDevice(2, board="other")) as gateway:
        gateway.apply(target='boards = ["m"]')
        gateway.turn()
        assert gateway.phases() == [("done", ""), None]


def verbs():
    job = next(action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction)).choices[
        "job"
    ]
    return next(action for action in job._actions if isinstance(action, argparse._SubParsersAction)).choices


@pytest.mark.parametrize("name", ["apply", "ls", "show", "pause", "resume", "rollback", "logs", "label"])
def test_each_verb_and_option_is_documented_and_helps_within_80_columns(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert len(verbs()) == 8
    document, parser = (ROOT / "docs" / "jobs.md").read_text(), verbs()[name]
    options = [word for action in parser._actions for word in action.option_strings[-1:]]
    assert not [option for option in options if option != "--help" and not re.search(rf"[` ]{option}[` ]", document)]
    assert f"`tinyren job {name}" in document or f"`{name} " in document
    assert max(map(len, parser.format_help().splitlines())) <= 80

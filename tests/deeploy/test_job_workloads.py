"""Jobs that the gateway itself runs, from job.toml through a signed request to a WebAssembly module and back."""

import json

import pytest

from gateway.deeploy import compose
from gateway.deeploy.requests import Refused
from gateway.errors import Exit
from tests.deeploy_site import UPDATE, address, open_gateway, serving, turning

pytest.importorskip("wasmtime", reason="wasmtime is not installed")

from tests.workload_site import module, until

JOB = """
name = "{name}"
[wasm]
module = "{cid}"
[wasm.restart]
policy = "never"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """Every limit is tried once, when the first job comes."""
    with open_gateway(tmp_path_factory.mktemp("site")) as gateway:
        yield gateway
        gateway.deeploy.stop()


def job_file(gateway, data, name):
    path = gateway.folder / f"{name}.toml"
    path.write_text(JOB.format(name=name, cid=gateway.r1fs.add([data]).cid))
    return path


def apply(gateway, data, name):
    cid = gateway.compose(job_file(gateway, data, name)).cid
    gateway.deeploy.request(gateway.request(cid))
    gateway.deeploy.turn()
    return cid


def ended(gateway, name):
    """The job's status once its module has ended."""
    until(lambda: gateway.deeploy.job(name)["workload"]["state"] == "ended")
    return gateway.deeploy.job(name)


def test_a_module_runs_and_its_lines_are_told(gateway):
    apply(gateway, module("well"), "hello")
    status = ended(gateway, "hello")
    assert status["finished"] and status["workload"]["kind"] == "wasm" and not status["devices"]
    assert gateway.deeploy.logs("hello", 5) == ["hello from a module"]


def test_a_rollback_runs_the_module_before_and_a_pause_ends_it(gateway):
    apply(gateway, module("well"), "back")
    ended(gateway, "back")
    second = apply(gateway, module("loop"), "back")
    until(lambda: gateway.deeploy.job("back")["workload"]["state"] == "running")
    composed = compose.roll_back("back", gateway.deeploy.about(address(UPDATE)), gateway.r1fs, UPDATE)
    compose.store(composed, gateway.r1fs)
    gateway.deeploy.request(gateway.request(composed.cid, "rollback"))
    gateway.deeploy.turn()
    assert ended(gateway, "back")["before"] == second
    gateway.deeploy.request(gateway.request(composed.cid, "pause"))
    gateway.deeploy.turn()
    until(lambda: gateway.deeploy.job("back")["workload"]["state"] == "removed")
    assert not gateway.deeploy.job("back")["workload"]["wanted"]


WAITED = {"well": (Exit.OK, "ended", ""), "fails": (Exit.FAILED, "failed", "exit code 3; done: it is never restarted")}


@pytest.mark.parametrize("program, told", WAITED.items(), ids=WAITED)
def test_the_exit_code_of_wait_says_whether_a_module_ended_well(gateway, capsys, program, told):
    code, state, why = told
    with serving(gateway) as run, turning(gateway):
        found = run("apply", job_file(gateway, module(program), f"wait-{program}"), "--wait", "--timeout", 30, "--json")
    said = capsys.readouterr()
    seen = json.loads(said.out)["workload"]
    assert (found, seen["state"]) == (code, state) and why in seen["reason"] and why in said.err
    assert not said.err or f"`tinyren job logs wait-{program}`" in said.err


def test_a_container_where_there_is_no_podman_ends_the_wait_with_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("gateway.workloads.podman.shutil.which", lambda name: None)
    (tmp_path / "job.toml").write_text('name = "box"\n[container]\nimage = "alpine"\n')
    with open_gateway(tmp_path) as gateway, serving(gateway) as run, turning(gateway):
        found = run("apply", tmp_path / "job.toml", "--wait", "--timeout", 30, "--json")
        gateway.deeploy.stop()
    said = capsys.readouterr()
    status = json.loads(said.out)
    assert (found, status["state"], status["workload"]["kind"]) == (Exit.REFUSED, "halted", "container")
    assert "apt-get install podman" in said.err and "then `tinyren job resume box` goes on" in said.err


def test_wait_waits_for_the_job_that_was_applied_and_not_for_the_one_before(gateway):
    for program, state in (("fails", "failed"), ("well", "ended")):
        apply(gateway, module(program), "anew")
        until(lambda: gateway.deeploy.job("anew")["finished"])
        assert gateway.deeploy.job("anew")["workload"]["state"] == state
        cid = gateway.compose(job_file(gateway, module("loop"), "anew")).cid
        gateway.deeploy.request(gateway.request(cid))
        seen = gateway.deeploy.job("anew")
        assert not seen["finished"] and seen["workload"]["state"] == "waiting"


WRONG = {
    "a limit that cannot be": "[wasm.limits]\nmemory_bytes = -1\n",
    "a field that is none": "[wasm.limits]\nspeed = 1\n",
    "a target": "[target]\npercent = 50\n",
}


@pytest.mark.parametrize("more", WRONG.values(), ids=WRONG)
def test_a_table_that_cannot_be_is_refused_and_changes_nothing(gateway, more):
    path = job_file(gateway, module("well"), "wrong")
    path.write_text(path.read_text() + more)
    before = gateway.kept()
    with pytest.raises(Refused) as refused:
        gateway.deeploy.request(gateway.request(gateway.compose(path).cid))
    assert refused.value.reason == "malformed" and gateway.kept() == before


def test_a_first_job_of_a_gateway_has_nothing_to_go_back_to(gateway):
    gateway.deeploy.request(gateway.request(gateway.compose(job_file(gateway, module("well"), "first")).cid))
    with pytest.raises(Refused, match="nothing was before it"):
        compose.roll_back("first", gateway.deeploy.about(address(UPDATE)), gateway.r1fs, UPDATE)


def test_a_job_of_devices_keeps_no_log(gateway):
    gateway.apply()
    with pytest.raises(Refused, match="devices keep no log here"):
        gateway.deeploy.logs("quiet", 5)


def test_of_two_documents_made_at_once_the_second_is_refused(gateway):
    first, second = (gateway.compose(job_file(gateway, module(name), "stale")).cid for name in ("well", "fails"))
    gateway.deeploy.request(gateway.request(first))
    with pytest.raises(Refused) as refused:
        gateway.deeploy.request(gateway.request(second))
    assert refused.value.reason == "stale"
    assert gateway.deeploy.job("stale")["document"] == first

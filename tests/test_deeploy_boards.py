"""A running site of three emulated boards: a new encoder on all of them; then updates that fail, each with its reason.

What a gateway that lies could send is published by an MQTT client with the gateway's account.
"""

import json

import pytest
from coincurve import PrivateKey

from device.agent import suit, wire
from gateway import curve, keys
from gateway.errors import Exit
from tests.up_site import ROOT, Up, spying, tinyren

BOARDS = ("qemu_mps2_an385", "qemu_mps2_an500", "qemu_virt_rv32")
VIBRATION = ROOT / "models" / "vibration"
MODEL_JOB = f"""
name = "encoder"
[model]
file = "{VIBRATION / "encoder.ren"}"
[rollout]
steps = [1, "100%"]
"""
REPORTING_JOB = MODEL_JOB + "[report]\nevery = 20\n"
AGENT_JOB = """
name = "{name}"
[agent]
folder = "{folder}"
[rollout]
steps = ["100%"]
halt_percent = 100
"""
CRASH = "from . import nothing_of_this_name\n"
HANG = "while True:\n    pass\n"
STRANGER = PrivateKey(b"\x07" * 32)
JOB_S = 55


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deeploy") / "site"
    up = Up(folder, "--epoch-seconds", "30", "--window-seconds", "2")
    up.wait_line("3 of 3 devices are ready")
    up.wait_state(lambda state: all(device["heartbeats"] for device in state["devices"]))
    yield up
    up.end()


def job(site, *arguments):
    """`tinyren job` on the site: (exit code, JSON, stderr)."""
    done = tinyren("job", *arguments, "--site", site.folder, "--json")
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def apply(site, text, name="job.toml"):
    path = site.folder.parent / name
    path.write_text(text)
    return job(site, "apply", path, "--wait", "--timeout", str(JOB_S))


def models(site):
    """Board -> the model CID that its last heartbeat signs."""
    rows = job(site, "show", "encoder")[1]["devices"]
    return {row["board"]: row["model"] for row in rows}


def beats_on(site):
    """Wait for a further heartbeat of each board."""
    before = {device["id"]: device["heartbeats"] for device in site.state()["devices"]}
    site.wait_state(lambda state: all(device["heartbeats"] > before[device["id"]] for device in state["devices"]))


@pytest.fixture(scope="module")
def updated(site):
    """The site once all three run the new encoder, and what it sent for that."""
    with spying(site.folder) as spy:
        for text in (MODEL_JOB, REPORTING_JOB):
            code, status, said = apply(site, text)
            assert code == Exit.OK, said
        site.manifests = {bytes.fromhex(digits): payload for digits, payload in spy.of("manifest")}
    site.status = status
    return site


def test_a_new_encoder_runs_on_all_three_and_their_signed_heartbeats_say_so(updated):
    assert updated.status["counts"] == {"done": 3}
    cid = json.loads((VIBRATION / "vibration.json").read_text())["model"]
    beats_on(updated)
    assert models(updated) == dict.fromkeys(BOARDS, cid)
    assert {row["running"]["model"] for row in updated.status["devices"]} == {2}


def test_the_outputs_that_the_job_asks_for_are_shown(updated):
    def reported(state):
        return all(row["output"] for row in job(updated, "show", "encoder")[1]["devices"])

    updated.wait_state(reported)
    output = job(updated, "show", "encoder")[1]["devices"][0]["output"]
    assert output["count"] % 20 == 0 and len(bytes.fromhex(output["bytes"])) == 16


@pytest.mark.parametrize("name, source, reason", [("crash", CRASH, "ImportError"), ("hang", HANG, "watchdog")])
def test_an_agent_that_cannot_run_is_rolled_back_on_every_board_with_the_reason(updated, name, source, reason):
    folder = updated.folder.parent / name
    folder.mkdir()
    (folder / "run.py").write_text(source)
    code, status, said = apply(updated, AGENT_JOB.format(name=name, folder=folder))
    assert (code, status["state"]) == (Exit.ROLLED_BACK, "halted"), said
    for row in status["devices"]:
        assert row["phase"] == "failed" and reason in row["reason"], row
        assert row["running"] == {"agent": 0, "model": 2}
    beats_on(updated)
    assert len(set(models(updated).values())) == 1


def lie(site, change, key=None, artifact=b"another artifact"):
    """Manifests as a gateway could send them, and chunks as they are wanted; {board: (state, reason)} that came of it.

    change: what is other than in a good manifest for this board.
    """
    key, sequence = key or keys.load(site.folder / "keys" / "update.key"), change.get("sequence", 100)
    devices = {bytes.fromhex(row["id"][2:]): row["board"] for row in site.status["devices"]}
    with spying(site.folder) as spy:
        for device, board in devices.items():
            good = suit.open_manifest(site.manifests[device])[0].values()
            fields = dict(zip(suit.Manifest.FIELDS, good, strict=True)) | {"sequence": sequence, "board": board} | change
            signed = suit.sign_manifest(
                curve.address_of(key.secret), lambda it: key.sign_recoverable(it, hasher=None), *fields.values()
            )
            spy.publish(device.hex(), "manifest", signed)
        if "digest" in change:
            for digits, want in spy.wait("want", 3):
                digest, offset, _ = suit.decode_want(want)
                spy.publish(digits, "chunk", suit.encode_chunk(digest, offset, artifact))
        found, heard = {}, 0
        while len(found) < 3:
            for digits, frame in spy.wait("installed", heard + 1)[heard:]:
                heard += 1
                fields = suit.decode_installed(wire.open_sign1(frame, suit.INSTALLED_MAX_BYTES)[1])
                if tuple(fields[1:3]) == (suit.MODEL, sequence) and fields[3] > suit.TOLD_CONFIRMED:
                    found[devices[bytes.fromhex(digits)]] = fields[3], fields[4]
        return found


LIES = {
    "for another board": ({"board": "another"}, None, "board: got another, wanted {board}"),
    "by a stranger": ({}, STRANGER, "key"),
    "with a lower sequence": ({"sequence": 1}, None, "sequence: got 1"),
    "for another ABI": ({"abi": "ren9"}, None, "abi: got ren9"),
    "that needs a later agent": ({"needs": 99}, None, "needs: got 99"),
    "whose artifact has a flipped bit": ({"digest": bytes(31) + b"\x01", "size": 16}, None, "digest"),
}


@pytest.mark.parametrize("change, key, reason", LIES.values(), ids=LIES)
def test_a_manifest_that_may_not_be_installed_is_refused_by_every_board_which_keeps_what_it_has(
    updated, change, key, reason
):
    before = models(updated)
    for board, (state, why) in lie(updated, change, key).items():
        assert state == suit.TOLD_REFUSED and reason.format(board=board) in why, (board, why)
    beats_on(updated)
    assert models(updated) == before

"""A running site of three emulated boards: a new encoder on all of them, then manifests that may not be installed.

What a gateway that lies could send is published by an MQTT client with the gateway's account.
"""

import json

import pytest
from coincurve import PrivateKey

from device.agent import suit, wire
from gateway import curve, keys
from gateway.errors import Exit
from tests.deeploy_boards import apply_and_wait, beats_on, show, start_site
from tests.up_site import ROOT, spying

BOARDS = ("qemu_mps2_an385", "qemu_mps2_an500", "qemu_virt_rv32")
VIBRATION = ROOT / "models" / "vibration"
MODEL_JOB = f"""
name = "encoder"
[model]
file = "{VIBRATION / "encoder.ren"}"
[rollout]
steps = [1, "100%"]
"""
REPORTING_JOB = MODEL_JOB + "[report]\nevery = 2\n"
STRANGER = PrivateKey(b"\x07" * 32)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    up = start_site(tmp_path_factory.mktemp("deeploy") / "site")
    yield up
    up.end()


def models(site):
    """Board -> the model CID that its last heartbeat signs."""
    rows = show(site, "encoder")["devices"]
    return {row["board"]: row["model"] for row in rows}


@pytest.fixture(scope="module")
def updated(site):
    """The site once all three run the new encoder, and what it sent for that."""
    with spying(site.folder) as spy:
        for text in (MODEL_JOB, REPORTING_JOB):
            code, status, said = apply_and_wait(site, text)
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
    updated.wait_state(lambda _: all(row["output"] for row in show(updated, "encoder")["devices"]))
    output = show(updated, "encoder")["devices"][0]["output"]
    assert output["count"] % 2 == 0 and len(bytes.fromhex(output["bytes"])) == 16


def lie(site, change, key=None, artifact=b"another artifact"):
    """Manifests as a gateway could send them, and chunks as they are wanted; {board: (state, reason)} that came of it.

    change: what is other than in a good manifest for this board.
    """
    key, sequence = key or keys.load(site.folder / "keys" / "update.key"), change.get("sequence", 100)
    devices = {bytes.fromhex(row["id"][2:]): row["board"] for row in site.status["devices"]}
    with spying(site.folder) as spy:
        for device, board in devices.items():
            good = suit.open_manifest(site.manifests[device])[0].values()
            fields = (
                dict(zip(suit.Manifest.FIELDS, good, strict=True)) | {"sequence": sequence, "board": board} | change
            )
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

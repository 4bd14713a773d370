"""Deeploy of a site, in process: rollouts to devices that speak UPDATE.md, power cuts at each write of the gateway."""

import pytest

from device.agent import suit
from gateway.deeploy.requests import Refused
from gateway.storage.cstore_record import StoreFull
from tests.deeploy_site import (
    ARTIFACT,
    CONFIRMED,
    DOMAIN,
    FAILED,
    OPERATOR,
    OWNER,
    STRANGER,
    UPDATE,
    FakeDevice,
    address,
    open_gateway,
)

DONE = ("done", "")
ALL_AT_ONCE = '[rollout]\nsteps = ["100%"]'


def test_a_job_reaches_every_device_in_steps_and_each_has_the_artifact_once(tmp_path):
    with open_gateway(tmp_path) as gateway:
        gateway.apply()
        gateway.turn()
        assert gateway.phases() == [DONE] * 3
        for device in gateway.devices.values():
            assert device.content == ARTIFACT and device.said.count("manifest") == 1
            assert device.said[:2] == ["trust", "manifest"]
            assert device.trusted[0][:4] == (*DOMAIN, address(UPDATE), 1)
        steps = [line for line in gateway.lines if "step" in line]
        assert steps == [
            "job quiet: step 2 of 3: 25% of its devices",
            "job quiet: step 3 of 3: 100% of its devices",
        ]
        gateway.now_ms += 3_600_000
        assert not gateway.deeploy.turn() and not gateway.sent


def test_a_failure_halts_the_rollout_with_the_devices_own_reason_and_the_others_are_left_alone(tmp_path):
    with open_gateway(tmp_path) as gateway:
        for device in gateway.devices.values():
            device.end = FAILED, "import: NameError: x"
        gateway.apply()
        gateway.turn()
        job = gateway.deeploy.job("quiet")
        assert (job["state"], job["why"]) == ("halted", "1 of 1 devices failed, wanted less than 5 %")
        assert sorted(gateway.phases()) == [
            ("failed", "model: import: NameError: x"),
            ("waiting", "its step has not begun, or others go first"),
            ("waiting", "its step has not begun, or others go first"),
        ]
        assert sum("manifest" in device.said for device in gateway.devices.values()) == 1


def test_a_halted_job_that_is_resumed_goes_on_past_the_failures_there_were(tmp_path):
    with open_gateway(tmp_path) as gateway:
        for device in gateway.devices.values():
            device.end = FAILED, "watchdog"
        cid = gateway.apply(more="[rollout]\nsteps = [2, '100%']\nhalt_percent = 51")
        gateway.turn()
        tried = [device for device in gateway.devices.values() if "manifest" in device.said]
        assert len(tried) == 2 and gateway.deeploy.job("quiet")["state"] == "halted"
        for device in gateway.devices.values():
            device.end = CONFIRMED, ""
        gateway.deeploy.request(gateway.request(cid, "resume"))
        gateway.turn()
        assert gateway.deeploy.job("quiet")["state"] == "running"
        assert all(device.said.count("manifest") == 1 for device in tried)
        assert sorted(gateway.deeploy.job("quiet")["counts"].items()) == [("done", 1), ("failed", 2)]


def test_pause_stops_and_resume_goes_on(tmp_path):
    with open_gateway(tmp_path) as gateway:
        cid = gateway.apply()
        gateway.deeploy.request(gateway.request(cid, "pause"))
        gateway.turn()
        assert gateway.deeploy.job("quiet")["counts"] == {"waiting": 3} and not gateway.sent
        gateway.deeploy.request(gateway.request(cid, "resume"))
        gateway.turn()
        assert gateway.phases() == [DONE] * 3


def test_a_rollback_takes_the_artifact_before_with_a_higher_sequence_and_at_last_the_firmwares_own(tmp_path):
    with open_gateway(tmp_path) as gateway:
        gateway.apply()
        gateway.turn()
        gateway.apply(more="sample_ms = 100")
        gateway.turn()
        device = next(iter(gateway.devices.values()))
        second = device.manifest
        gateway.roll_back()
        gateway.turn()
        assert suit.decode_parameters(second.parameters)[2] == 100
        assert suit.decode_parameters(device.manifest.parameters)[2] == 50
        assert (device.manifest.sequence, device.manifest.digest) == (3, second.digest)
        assert gateway.phases() == [DONE] * 3


def test_the_first_job_is_rolled_back_to_what_the_firmware_holds(tmp_path):
    with open_gateway(tmp_path) as gateway:
        gateway.apply(more="sample_ms = 100")
        gateway.turn()
        gateway.roll_back()
        gateway.turn()
        device = next(iter(gateway.devices.values()))
        assert (device.manifest.sequence, device.manifest.size, device.manifest.digest) == (2, 0, bytes(32))
        assert suit.decode_parameters(device.manifest.parameters)[2] == 50


def test_a_gateway_killed_before_any_of_its_writes_goes_on_and_nothing_is_tried_twice(tmp_path):
    """The disk is that of the moment before the write number `cut`; devices do not notice but by a new connection."""
    cut = 0
    while True:
        with open_gateway(tmp_path / str(cut)) as gateway:
            cid = gateway.compose(gateway.job_file()).cid
            request = gateway.request(cid)
            left = [cut]

            def power(left=left):
                left[0] -= 1
                if left[0] < 0:
                    raise PowerCut

            gateway.on_write = power
            is_cut = False
            try:
                gateway.deeploy.request(request)
                gateway.turn()
            except PowerCut:
                is_cut = True
            gateway.on_write = lambda: None
            gateway.restart()
            before = gateway.deeploy.jobs()
            if before:  # the request is there: it cannot be applied again
                with pytest.raises(Refused) as refused:
                    gateway.deeploy.request(request)
                assert refused.value.reason == "nonce"
            else:
                gateway.deeploy.request(request)
            for _ in range(4):
                gateway.now_ms += 20_000
                gateway.turn()
            assert gateway.phases() == [DONE] * 3
            assert {device.running[1] for device in gateway.devices.values()} == {1}
            assert all(device.tried == [1] for device in gateway.devices.values())
        if not is_cut:
            assert cut >= 6
            return
        cut += 1


class PowerCut(BaseException):
    """Nothing after it happens."""


def test_what_devices_said_before_a_restart_is_known_after_it(tmp_path):
    devices = [FakeDevice(number) for number in (1, 2, 3)]
    with open_gateway(tmp_path, *devices) as gateway:
        devices[1].end = FAILED, "not accepted within 120 s"
        gateway.apply(more='[rollout]\nsteps = ["100%"]\nhalt_percent = 50')
        gateway.turn()
        before = gateway.phases()
        assert before == [DONE, ("failed", "model: not accepted within 120 s"), DONE]
        for device in devices:
            device.said.clear()
        gateway.restart()
        gateway.turn()
        assert gateway.phases() == before and not any(device.said for device in devices)


def test_a_device_that_connects_later_is_sent_what_it_lacks_and_one_without_an_owner_waits(tmp_path):
    devices = [FakeDevice(number) for number in (1, 2)]
    with open_gateway(tmp_path, *devices) as gateway:
        gateway.now_ms += 1
        gateway.deeploy.gone(devices[0].id)
        del gateway.owned[devices[1].id]
        gateway.apply(more=ALL_AT_ONCE)
        gateway.turn()
        assert not devices[0].said and not devices[1].said
        assert gateway.phases()[0] == ("waiting", "it is not online")
        assert gateway.phases()[1] == ("waiting", "its owner trusts no update key")
        gateway.owned[devices[1].id] = address(OWNER)
        gateway.now_ms += 1
        gateway.greet()
        gateway.turn()
        assert gateway.phases() == [DONE, DONE]


def test_a_device_that_never_answers_is_asked_again_and_then_counts_as_failed(tmp_path):
    device = FakeDevice(1)
    device.silent = True
    with open_gateway(tmp_path, device) as gateway:
        gateway.apply(more="[rollout]\ntimeout_s = 60")
        for _ in range(5):
            gateway.turn()
            gateway.now_ms += 15_000
        assert device.said.count("manifest") == 5
        gateway.turn()
        assert gateway.phases() == [("no answer", "model: not ended within 60 s")]
        assert gateway.deeploy.job("quiet")["state"] == "halted"


def test_a_chunk_goes_only_to_a_device_that_was_sent_its_manifest(tmp_path):
    devices = [FakeDevice(number) for number in (1, 2)]
    with open_gateway(tmp_path, *devices) as gateway:
        gateway.apply(target=f'devices = ["0x{devices[0].id.hex()}"]')
        gateway.turn()
        digest = devices[0].manifest.digest
        gateway.say(devices[1], ("want", suit.encode_want(digest, 0, 4)))
        assert not gateway.sent and gateway.deeploy.rejected["not_granted"] == 1
        gateway.say(devices[0], ("want", suit.encode_want(digest, 480 * 8, 4)))
        assert not gateway.sent and gateway.deeploy.rejected["malformed"] == 1
        gateway.say(devices[0], ("want", suit.encode_want(digest, 480 * 6, 4)))
        chunks = [suit.decode_chunk(payload) for _, payload in gateway.sent]
        assert b"".join(chunk[2] for chunk in chunks) == ARTIFACT[480 * 6 :] and len(chunks) == 2


def test_a_job_that_is_applied_again_replaces_the_one_before_and_another_job_takes_its_devices(tmp_path):
    with open_gateway(tmp_path) as gateway:
        first = gateway.apply()
        gateway.turn()
        second = gateway.compose(gateway.job_file(more="sample_ms = 100"))
        assert second.job.before == first
        gateway.deeploy.request(gateway.request(second.cid))
        path = gateway.job_file(more="sample_ms = 200")
        path.write_text(path.read_text().replace('"quiet"', '"loud"'))
        gateway.deeploy.request(gateway.request(gateway.compose(path).cid))
        gateway.turn()
        assert gateway.phases("loud") == [DONE] * 3
        assert set(gateway.phases()) == {("not led", "follows job loud")}
        assert {device.running[1] for device in gateway.devices.values()} == {3}


def test_an_operator_may_ask_and_a_manifest_by_another_key_than_owners_trust_is_refused(tmp_path):
    with open_gateway(tmp_path) as gateway:
        cid = gateway.compose(gateway.job_file()).cid
        with pytest.raises(Refused) as refused:
            gateway.deeploy.request(gateway.request(cid, key=OPERATOR))
        assert refused.value.reason == "stranger"
        store = gateway.deeploy._store._store
        store.put("deeploy", "operators", f"0x{address(OPERATOR).hex()}\n".encode())
        gateway.deeploy.request(gateway.request(cid, key=OPERATOR))
        before = gateway.kept()
        other = gateway.compose(gateway.job_file(), key=STRANGER).cid
        with pytest.raises(Refused, match="devices would refuse it"):
            gateway.deeploy.request(gateway.request(other))
        assert gateway.kept() == before


def test_trust_is_numbered_anew_when_the_update_key_changes_and_only_then(tmp_path):
    with open_gateway(tmp_path) as gateway:
        gateway.apply(more=ALL_AT_ONCE)
        gateway.turn()
        gateway.restart()
        device = next(iter(gateway.devices.values()))
        assert suit.decode_trust(gateway.deeploy._trust.frame(device.id))[3] == 1
        from gateway.deeploy.trust import Trust

        other = Trust(gateway.deeploy._store, address(STRANGER), [OWNER], DOMAIN, lambda: gateway.owned)
        assert suit.decode_trust(other.frame(device.id))[2:4] == (address(STRANGER), 2)
        again = Trust(gateway.deeploy._store, address(STRANGER), [OWNER], DOMAIN, lambda: gateway.owned)
        assert again.frame(device.id) == other.frame(device.id)


def test_a_device_in_the_middle_of_a_fetch_goes_on_after_the_gateway_was_killed(tmp_path):
    device = FakeDevice(1)
    with open_gateway(tmp_path, device) as gateway:
        gateway.apply(more=ALL_AT_ONCE)
        gateway.deeploy.turn()
        while b"".join(payload for topic, payload in gateway.sent if topic.endswith("chunk")) == b"":
            gateway.deliver()
        gateway.restart()
        assert not device.content
        gateway.say(device, ("installed", device.installed(suit.TOLD_FETCHING)), device._want())
        assert [topic.rpartition("/")[2] for topic, _ in gateway.sent] == ["chunk"] * 4
        gateway.turn()
        assert gateway.phases() == [DONE] and device.said.count("manifest") == 1 and device.tried == [1]


def test_a_full_disk_refuses_a_request_which_is_taken_later_as_it_was(tmp_path):
    def fill():
        raise StoreFull("cstore.sqlite: no space left, free some")

    with open_gateway(tmp_path) as gateway:
        request, before = gateway.request(gateway.compose(gateway.job_file()).cid), gateway.kept()
        gateway.on_write = fill
        with pytest.raises(StoreFull):
            gateway.deeploy.request(request)
        assert gateway.kept() == before
        gateway.on_write = lambda: None
        gateway.deeploy.request(request)
        gateway.turn()
        assert gateway.phases() == [DONE] * 3

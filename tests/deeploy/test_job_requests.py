"""Requests for jobs: each refusal by its name, after which nothing has changed; what a job.toml may say."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import suit
from gateway.deeploy import documents, requests, spec
from gateway.deeploy.deeploy_http import BadRequest, read_request
from gateway.deeploy.observed import Rejected
from gateway.deeploy.requests import Refused
from gateway.storage.cid import DAG_CBOR
from gateway.storage.dag_cbor import Link, decode_node, encode_node
from gateway.storage.errors import StoreError
from tests.deeploy_site import (
    DOMAIN,
    HOST,
    STRANGER,
    UPDATE,
    FakeDevice,
    address,
    open_gateway,
)

FLIPPED = bytes(65)
READER = STRANGER.public_key.format()


def signed(gateway, cid, **changes):
    """A request whose fields were changed after it was signed."""
    return replace(gateway.request(cid), **changes)


REQUESTS = {
    "applied before": ("nonce", lambda gateway, cid: gateway.used),
    "a nonce of before": ("nonce", lambda gateway, cid: gateway.request(cid, nonce=1)),
    "a nonce out of range": ("nonce", lambda gateway, cid: gateway.request(cid, nonce=1 << 60)),
    "expired": ("expired", lambda gateway, cid: gateway.request(cid, deadline_s=gateway.now_s - 1)),
    "another chain": ("chain", lambda gateway, cid: gateway.request(cid, chain_id=1)),
    "another contract": ("chain", lambda gateway, cid: gateway.request(cid, contract=bytes(20))),
    "a stranger": ("stranger", lambda gateway, cid: gateway.request(cid, key=STRANGER)),
    "no signature": ("stranger", lambda gateway, cid: signed(gateway, cid, signature=FLIPPED)),
    "a short signature": ("stranger", lambda gateway, cid: signed(gateway, cid, signature=b"")),
    "another deadline than was signed": ("stranger", lambda gateway, cid: signed(gateway, cid, deadline_s=1 << 40)),
    "another job than was signed": ("stranger", lambda gateway, cid: signed(gateway, cid, job=bytes(32))),
    "an unknown action": ("malformed", lambda gateway, cid: gateway.request(gateway.used_cid, 9)),
    "to pause what is no job": ("unknown", lambda gateway, cid: gateway.request(cid, "pause")),
    "to apply labels": ("malformed", lambda gateway, cid: gateway.request(gateway.labels_cid)),
    "to label by a job": ("malformed", lambda gateway, cid: gateway.request(cid, "label")),
    "a job made before another one": ("stale", lambda gateway, cid: gateway.request(gateway.stale)),
    "another job with a sequence that is taken": ("stale", lambda gateway, cid: gateway.request(gateway.taken)),
    "labels of a stranger's device": ("unknown", lambda gateway, cid: gateway.request(gateway.strange, "label")),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with open_gateway(tmp_path_factory.mktemp("site")) as gateway:
        first = gateway.compose(gateway.job_file())
        gateway.stale = gateway.compose(gateway.job_file(more="sample_ms = 70")).cid
        path = gateway.job_file()
        path.write_text(path.read_text().replace('"quiet"', '"loud"'))
        gateway.taken = gateway.compose(path).cid
        gateway.used = gateway.request(first.cid)
        gateway.used_cid = first.cid
        gateway.deeploy.request(gateway.used)
        device = next(iter(gateway.devices))
        put = gateway.r1fs.put_block
        gateway.labels_cid = put(documents.encode_labels(device, {"room": "lab"}), DAG_CBOR)
        gateway.strange = put(documents.encode_labels(bytes(20), {"room": "lab"}), DAG_CBOR)
        gateway.next = gateway.compose(gateway.job_file(more="sample_ms = 80")).cid
        yield gateway


@pytest.mark.parametrize("reason, make", REQUESTS.values(), ids=REQUESTS)
def test_a_request_that_may_not_be_is_refused_by_name_and_changes_nothing(gateway, reason, make):
    before = gateway.kept()
    with pytest.raises(Refused) as refused:
        gateway.deeploy.request(make(gateway, gateway.next))
    assert refused.value.reason == reason
    assert gateway.kept() == before


def test_a_request_for_what_nobody_has_changes_nothing(gateway):
    before = gateway.kept()
    with pytest.raises(StoreError):
        gateway.deeploy.request(replace(gateway.request(documents.cid_of_job(bytes(32)))))
    assert gateway.kept() == before


DOCUMENTS = {
    "a frame with a flipped bit": lambda job: job["manifests"][0].update(frame=_flipped(job["manifests"][0]["frame"])),
    "a manifest in the update key's name": lambda job: job["manifests"][0].update(frame=_forged(job["manifests"][0])),
    "another artifact": lambda job: job["manifests"][0].update(artifact=Link(documents.cid_of_job(bytes(32)))),
    "no artifact": lambda job: job["manifests"][0].update(artifact=None),
    "a manifest twice": lambda job: job["manifests"].append(job["manifests"][0]),
    "no steps": lambda job: job["rollout"].update(steps=[]),
    "a last step of half": lambda job: job["rollout"].update(steps=["50%"]),
    "a step of nobody": lambda job: job["rollout"].update(steps=[0, "100%"]),
    "a bad name": lambda job: job.update(name="../x"),
    "a field more": lambda job: job.update(more=1),
    "a field less": lambda job: job.pop("before"),
    "a target of everything": lambda job: job["target"].update(percent=101),
    "a device's id of 19 bytes": lambda job: job["target"].update(devices=[bytes(19)]),
    "a label with a line break": lambda job: job["target"].update(labels={"room": "a\nb"}),
}


def _forged(row):
    """The same manifest, said to be the update key's and signed by a stranger."""
    fields = suit.open_manifest(row["frame"])[0].values()
    return suit.sign_manifest(address(UPDATE), lambda it: STRANGER.sign_recoverable(it, hasher=None), *fields)


def _flipped(frame):
    return frame[:60] + bytes([frame[60] ^ 1]) + frame[61:]


@pytest.mark.parametrize("spoil", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_that_is_not_whole_is_refused_and_changes_nothing(gateway, spoil):
    before, job = gateway.kept(), decode_node(gateway.r1fs.block(gateway.next))
    spoil(job)
    cid = gateway.r1fs.put_block(encode_node(job), DAG_CBOR)
    with pytest.raises(Refused):
        gateway.deeploy.request(gateway.request(cid))
    assert gateway.kept() == before


TARGETS = {
    'boards = ["none"]': "no device of the site has board none; there are: m, other",
    "deeds = [9]": "no device of the site has deed 9; there are: 1",
    "labels = {room = 'lab'}": "no device of the site has label room=lab; there are: none",
    f"devices = ['0x{'00' * 20}']": "no device of the site has device 0x00",
    'boards = ["other"]': "none of 3 devices has all that it asks for",
}


@pytest.mark.parametrize("target, message", TARGETS.items())
def test_a_target_that_names_what_nobody_has_or_matches_nothing_is_refused(gateway, target, message):
    with pytest.raises(Refused, match=message.replace(".", r"\.")):
        gateway.compose(gateway.job_file(target=target))


JOBS = {
    "name = 'a'": "wanted [model] or [agent] or both",
    "nonsense": "job.toml:",
    "name = 'A'\n[model]\nfile = 'x'": "name: got 'A'",
    "name = 'a'\n[edil]\nkind = 1\n[model]\nfile = 'x'": "edil: a job signs neither enrolments nor rounds",
    "name = 'a'\n[modell]\nfile = 'x'": "modell: unknown; wanted name",
    "name = 'a'\n[model]\nfile = 'x'\nsample = 5": "model.sample: unknown",
    "name = 'a'\n[model]\nfile = 5": "model.file: got 5, wanted text",
    "name = 'a'\n[model]\nfile = 'x'\ncid = 'y'": "wanted file or cid, one of them",
    "name = 'a'\n[model]\ncid = 'y'": "wanted sample_ms, offsets and shifts too",
    "name = 'a'\n[agent]\n": "agent.folder is missing",
    "name = 'a'\n[report]\nevery = 1\n[agent]\nfolder = 'x'": "report: got one without [model]",
    f"name = 'a'\n[model]\nfile = 'x'\n[report]\nreader = '02{'00' * 32}'": "the 66 hex digits that tinyren buyer key",
    "name = 'a'\n[model]\nfile = 'x'\n[report]\nreader = 'me'": "report.reader: got 'me'",
    "name = 'a'\n[agent]\nfolder = 'x'\n[rollout]\nhalt_percent = 0": "rollout.halt_percent: got 0, wanted 1..100",
    "name = 'a'\n[agent]\nfolder = 'x'\n[rollout]\nsteps = ['10%']": "the last is '10%', wanted '100%'",
    "name = 'a'\n[agent]\nfolder = 'x'\n[target]\npercent = 0": "target.percent: got 0",
    "name = 'a'\n[agent]\nfolder = 'x'\n[target]\ndevices = ['0xyz']": "target.devices: got",
    "name = 'a'\n[agent]\nfolder = 'x'\n[wasm]\n": "wanted [model] or [agent] or both, or one of",
}


@pytest.mark.parametrize("text, message", JOBS.items())
def test_a_job_file_that_cannot_be_is_refused_with_its_field(tmp_path, text, message):
    with pytest.raises(Refused) as refused:
        spec.parse(text, tmp_path)
    assert message in str(refused.value)


MODELS = {
    "a file that is no artifact": (HOST / "host.json", "", "is no artifact of REN3"),
    "no file": (HOST / "none.ren", "", "model.file: .*none.ren: No such file"),
    "a folder": (HOST, "", "model.file: .*: Is a directory"),
    "an offset too large": (HOST / "encoder.ren", "offsets = [40000, 0, 0, 0]", "offset: got 40000"),
    "shifts for three channels": (HOST / "encoder.ren", "shifts = [1, 1, 1]", "number of shifts"),
    "a sample each hour": (HOST / "encoder.ren", "sample_ms = 3600000", "sample_ms: got 3600000"),
    "an index of no output": (HOST / "encoder.ren", "[report]\nindex = 256", "index: got 256"),
}


@pytest.mark.parametrize("file, more, message", MODELS.values(), ids=MODELS)
def test_a_model_that_no_device_could_take_is_refused_before_anybody_is_asked(gateway, file, more, message):
    before = gateway.kept()
    with pytest.raises(Refused, match=message):
        gateway.compose(gateway.job_file(file=file, more=more))
    assert gateway.kept() == before


@pytest.mark.parametrize("more, reader, needs", [("", b"", 1), (f"[report]\nreader = '{READER.hex()}'", READER, 2)])
def test_a_reader_is_told_by_the_manifest_and_only_to_agents_that_seal(gateway, more, reader, needs):
    composed = gateway.compose(gateway.job_file(file=HOST / "encoder.ren", more=more))
    for item in composed.job.manifests:
        assert (suit.decode_parameters(item.parameters)[4], item.needs) == (reader, needs)


def test_a_label_is_set_and_taken_away_and_a_target_follows_it(gateway):
    device, other = list(gateway.devices)[:2]
    put = gateway.r1fs.put_block
    for labels in ({"room": "lab", "floor": "2"}, {"floor": None}):
        cid = put(documents.encode_labels(device, labels), DAG_CBOR)
        result = gateway.deeploy.request(gateway.request(cid, "label"))
    assert result["labels"] == {"room": "lab"}
    composed = gateway.compose(gateway.job_file(target="labels = {room = 'lab'}"))
    assert composed.devices == (device,)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["installed", "want", "output"]))
def test_no_bytes_of_a_device_break_the_service_or_change_what_is_known(gateway, payload, name):
    before, rejected = gateway.kept(), sum(gateway.deeploy.rejected.values())
    gateway.deeploy.take([(next(iter(gateway.devices.values())).signer.topic(name), payload, 5)])
    assert gateway.kept() == before
    assert sum(gateway.deeploy.rejected.values()) == rejected + 1


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_are_a_document_by_chance(content):
    for decode in (documents.decode_job, documents.decode_labels):
        with pytest.raises(Refused):
            decode(content)


def test_an_installed_counts_only_if_its_device_signed_it_and_nothing_goes_back(tmp_path):
    one, two = FakeDevice(1), FakeDevice(2)
    with open_gateway(tmp_path, one, two) as gateway:
        gateway.apply(more='[rollout]\nsteps = ["100%"]')
        gateway.turn()
        seen, before = gateway.deeploy._seen, gateway.phases()
        manifest = one.manifest
        old = suit.sign_installed(one.id, one.signer.sign, 1, 1, 1, suit.TOLD_FAILED, "old", 0, 0, 0)
        same_boot = suit.sign_installed(one.id, one.signer.sign, 2, 1, 1, suit.TOLD_FAILED, "", 0, 0, 0)
        forged = suit.sign_installed(one.id, two.signer.sign, 9, 1, 1, suit.TOLD_FAILED, "", 0, 0, 0)
        for device, frame, reason in (
            (one.id, old, "replay"),
            (one.id, same_boot, "replay"),
            (one.id, forged, "bad_signature"),
            (two.id, one.installed(suit.TOLD_FAILED, "", manifest), "wrong_device"),
            (bytes(20), old, "unknown_device"),
        ):
            with pytest.raises(Rejected) as rejected:
                seen.take(device, frame, gateway.now_ms)
            assert rejected.value.reason == reason and gateway.phases() == before


def test_the_signer_of_a_request_is_who_signed_exactly_these_fields():
    request = requests.Request(*DOMAIN, bytes(32), 1, 7, 99)
    signed = requests.sign(request, lambda digest: UPDATE.sign_recoverable(digest, hasher=None))
    assert requests.signer_of(signed) == address(UPDATE)
    for field, value in {
        "chain_id": 1,
        "contract": bytes(20),
        "job": bytes(31) + b"1",
        "action": 2,
        "nonce": 8,
    }.items():
        assert requests.signer_of(replace(signed, **{field: value})) != address(UPDATE)


HEX = {"contract": "00" * 20, "job": "00" * 32, "signature": "00" * 65}
BODY = {"chain_id": 1, "action": 1, "nonce": 1, "deadline": 9, **HEX}
BODIES = {
    "another content type": ("text/plain", BODY),
    "a list": ("application/json", [BODY]),
    "a field more": ("application/json", {**BODY, "more": 1}),
    "a field less": ("application/json", {key: value for key, value in BODY.items() if key != "nonce"}),
    "a nonce that is a text": ("application/json", {**BODY, "nonce": "1"}),
    "a negative nonce": ("application/json", {**BODY, "nonce": -1}),
    "an action that is true": ("application/json", {**BODY, "action": True}),
    "a contract of 19 bytes": ("application/json", {**BODY, "contract": "00" * 19}),
    "a job that is no hex": ("application/json", {**BODY, "job": "zz" * 32}),
    "a signature that is a number": ("application/json", {**BODY, "signature": 5}),
}


@pytest.mark.parametrize("kind, body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_request_is_told_apart_from_one_that_is_refused(kind, body):
    assert read_request("application/json", json.dumps(BODY).encode()).nonce == 1
    with pytest.raises(BadRequest):
        read_request(kind, json.dumps(body).encode())


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_are_a_request_by_chance(body):
    with pytest.raises(BadRequest):
        read_request("application/json", body)


def test_a_pause_or_label_that_is_sent_again_later_is_refused(gateway):
    device = next(iter(gateway.devices))
    labels = gateway.r1fs.put_block(documents.encode_labels(device, {"floor": "3"}), DAG_CBOR)
    for action, cid in (("pause", gateway.used_cid), ("label", labels)):
        request = gateway.request(cid, action)
        gateway.deeploy.request(request)
        before = gateway.kept()
        with pytest.raises(Refused) as refused:
            gateway.deeploy.request(request)
        assert refused.value.reason == "nonce" and gateway.kept() == before
    gateway.deeploy.request(gateway.request(gateway.used_cid, "resume"))

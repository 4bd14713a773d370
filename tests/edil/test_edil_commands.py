"""`tinyren edil` and `tinyren shareholder`, from a key to a published head, against a gateway's real service."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pytest

from gateway import cli, curve
from gateway.edil import infer
from gateway.errors import Exit
from gateway.storage.cid import cid_of, encode_text
from tests.edil_scene import CHAIN_ID, CONTRACT, DATA_OWNER, HOLDER, OWNER, THIRD, Scene, make_device
from tests.edil_site import serve_gateway
from tests.r1fs_site import store_in

FACTS = "models/host/host.json"
OWN_KEY, HOLDER_KEY = (key.public_key.format().hex() for key in (DATA_OWNER, HOLDER))
DEVICES = [make_device(number, windows=3) for number in range(8)]


def run(capsys, *arguments):
    """One command in this process: (exit code, its JSON object or None, stderr)."""
    try:
        code = cli.main([*map(str, arguments), "--json"])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out.strip() else None, said.err


@pytest.fixture
def files(tmp_path):
    """Key files, and a list of the devices."""
    for name, key in (("owner", DATA_OWNER), ("holder", HOLDER), ("site", OWNER), ("third", THIRD)):
        (tmp_path / f"{name}.key").write_text(key.to_hex().rjust(64, "0"))
    (tmp_path / "devices").write_text("\n".join(device.id.hex() for device in DEVICES))
    return tmp_path


@pytest.fixture
def gateway(files):
    with serve_gateway(files / "gateway", DEVICES, clock=lambda: time.time_ns() // 1_000_000) as gateway:
        yield gateway


def enrol(capsys, files, gateway, *more):
    named = ["--holder", OWN_KEY, "--holder", HOLDER_KEY, "--chain-id", CHAIN_ID, "--contract", CONTRACT.hex()]
    return run(capsys, "edil", "enrol", "--owner-key", files / "site.key", *named, "--gateway", gateway.url, *more)


def announce(capsys, files, gateway, *more, kind="classes"):
    """A round that the gateway took: (M, a scene whose devices send to it)."""
    options = ["--kind", kind, "--model", FACTS, "--windows", 3, *more]
    if kind == "classes":
        options += ["--classes", 3]
    options += ["--key", files / "owner.key", "--holder", HOLDER_KEY, "--gateway", gateway.url]
    code, told, error = run(capsys, "edil", "announce", *options, "--out", files / "manifest")
    assert code == 0, error
    scene = Scene(devices=DEVICES, manifest_frame=(files / "manifest").read_bytes())
    assert told["digest"] == scene.manifest.digest.hex() and told["noise"].startswith("rounding 128.0 + 6 *")
    return told["digest"], scene


def shareholder(capsys, files, gateway, *more):
    options = ["--key", files / "holder.key", "--gateway", gateway.url, "--once", *more]
    if not {"--any-device", "--devices"} & set(more):
        options += ["--devices", files / "devices"]
    return run(capsys, "shareholder", *options)


def open_sums(capsys, files, gateway, digest):
    options = ["--key", files / "owner.key", "--gateway", gateway.url, "-o", files / "sums"]
    return run(capsys, "edil", "open", digest, *options, "--devices", files / "devices")


def test_a_round_goes_from_enrolment_to_a_published_head(capsys, files, gateway):
    code, told, _ = enrol(capsys, files, gateway)
    assert code == 0 and told["enrolments"][0]["owner"] == "0x" + curve.address_of(OWNER.secret).hex()
    digest, scene = announce(capsys, files, gateway)
    for device in DEVICES:
        gateway.send(scene.contribute(device), scene.manifest.deadline_ms)
    code, row, _ = run(capsys, "edil", "close", digest, "--gateway", gateway.url)
    assert (code, row["state"], len(row["devices"])) == (0, "closed", 8)

    code, _, error = open_sums(capsys, files, gateway, digest)
    assert code == Exit.TRUST and f"got none of holder 1 ({HOLDER_KEY})" in error and not (files / "sums").exists()
    code, _, error = run(capsys, "edil", "watch", digest, "--gateway", gateway.url, "--timeout", 1)
    assert code == Exit.TIMEOUT and "0 shares; nothing opens before every share-holder has answered" in error
    assert shareholder(capsys, files, gateway)[:2] == (0, {"answered": 1, "refused": 0, "waiting": 0})
    assert run(capsys, "edil", "watch", digest, "--gateway", gateway.url, "--timeout", 5)[0] == 0

    assert open_sums(capsys, files, gateway, digest)[0] == 0
    assert json.loads((files / "sums").read_text())["values"] == scene.expected()
    code, _, _ = run(capsys, "edil", "fit", files / "sums", "--model", FACTS, "-o", files / "fit")
    assert code == 0 and len(json.loads((files / "fit").read_text())["head"]["bias"]) == 3
    rows = [[label, *z] for device in DEVICES for label, z in zip(device.labels, device.embeddings, strict=True)]
    (files / "rows.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    code, told, _ = run(capsys, "edil", "evaluate", files / "fit", files / "rows.csv")
    assert (code, told["windows"]) == (0, 24) and told["accuracy"] > 0.7
    code, told, _ = run(capsys, "edil", "publish", files / "fit", "--store", files / "r1fs")
    content = (files / "fit").read_bytes()
    with store_in(files / "r1fs") as store:
        assert code == 0 and b"".join(store.read(told["cid"])) == content
    assert told["cid"] == encode_text(cid_of(content))


@pytest.mark.parametrize("text", ["noise", "[1]", ""])
def test_what_no_command_here_wrote_is_not_published(capsys, files, text):
    (files / "other.json").write_text(text)
    code, _, said = run(capsys, "edil", "publish", files / "other.json", "--store", files / "r1fs")
    assert code == 2 and "other.json" in said and not (files / "r1fs").exists()


def test_a_gateway_answers_encrypted_embeddings_with_logits_that_only_the_data_owner_reads(capsys, files, gateway):
    enrol(capsys, files, gateway)
    digest, scene = announce(capsys, files, gateway, "--clip", 100, kind="inference")
    rng = np.random.default_rng(3)
    fitted = {"weights": rng.normal(0, 1, (16, 3)).tolist(), "bias": [5.0, -2.0, 0.5]}
    (files / "fit").write_text(json.dumps({"head": fitted}))
    options = ["--key", files / "owner.key", "--gateway", gateway.url, "--fit", files / "fit"]
    other = ["--key", files / "third.key", *options[2:]]
    assert run(capsys, "edil", "infer", digest, *other)[0] == Exit.TRUST
    assert run(capsys, "edil", "infer", digest, *options)[:2] == (0, {"answers": []})
    for device in DEVICES[:2]:
        for index in range(3):
            gateway.send(scene.contribute_embedding(device, index), scene.manifest.deadline_ms)
    gateway.aggregation.turn()

    code, told, _ = run(capsys, "edil", "infer", digest, *options)
    head = infer.quantise_head(scene.manifest, fitted)
    wanted = {
        ("0x" + device.id.hex(), index): np.clip(device.embeddings[index], -100, 100) @ np.array(head.weights).T
        + head.bias
        for device in DEVICES[:2]
        for index in range(3)
    }
    assert code == 0 and len(told["answers"]) == 6
    for row in told["answers"]:
        assert row["logits"] == wanted[row["device"], row["index"]].tolist()
        assert row["class"] == int(np.argmax(row["logits"]))
    (files / "fit").write_text(json.dumps({"head": {**fitted, "bias": [0, 0, 0]}}))
    assert run(capsys, "edil", "infer", digest, *options)[0] == Exit.REFUSED


def test_parts_of_two_gateways_merge_into_the_sum_of_all(capsys, files, gateway):
    clock = gateway.aggregation._clock
    with serve_gateway(files / "second", DEVICES, key=THIRD, clock=clock) as second:
        for one in (gateway, second):
            assert enrol(capsys, files, one)[0] == 0
        digest, scene = announce(capsys, files, gateway, "--part", "--gateway", second.url)
        for number, device in enumerate(DEVICES):
            (gateway, second)[number % 2].send(scene.contribute(device), scene.manifest.deadline_ms)
        for one in (gateway, second):
            assert run(capsys, "edil", "close", digest, "--gateway", one.url)[1]["state"] == "part"
        assert shareholder(capsys, files, gateway)[0] == Exit.NOTHING_TO_DO
        both = ["--gateway", gateway.url, "--gateway", second.url]
        assert run(capsys, "edil", "merge", digest, *both)[1]["state"] == "closed"
        assert shareholder(capsys, files, gateway)[0] == 0
        assert open_sums(capsys, files, gateway, digest)[0] == 0
    assert json.loads((files / "sums").read_text())["values"] == scene.expected()


def test_a_round_with_too_few_devices_fails_and_says_so(capsys, files, gateway):
    enrol(capsys, files, gateway)
    digest, scene = announce(capsys, files, gateway, "--k-min", 3)
    gateway.send(scene.contribute(DEVICES[0]), scene.manifest.deadline_ms)
    assert run(capsys, "edil", "close", digest, "--gateway", gateway.url)[0] == Exit.FAILED
    code, row, error = run(capsys, "edil", "watch", digest, "--gateway", gateway.url)
    assert code == Exit.FAILED and row["why"] == "got 1 devices, wanted at least 3" and row["why"] in error
    assert shareholder(capsys, files, gateway)[0] == Exit.NOTHING_TO_DO


def test_a_share_holder_that_wants_more_devices_refuses_with_its_reason(capsys, files, gateway):
    enrol(capsys, files, gateway)
    digest, scene = announce(capsys, files, gateway, "--k-min", 2)
    for device in DEVICES[:3]:
        gateway.send(scene.contribute(device), scene.manifest.deadline_ms)
    run(capsys, "edil", "close", digest, "--gateway", gateway.url)
    code, _, error = shareholder(capsys, files, gateway)
    assert code == Exit.REFUSED and "wanted at least 8, which this holder wants in any sum" in error
    code, _, error = shareholder(capsys, files, gateway, "--any-device", "--least", 3)
    assert code == 0 and "k_min is worth nothing against it" in error


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["announce", "--kind", "median", "--model", FACTS], Exit.USAGE, "kind: got 'median'"),
        (["announce", "--kind", "moments"], Exit.USAGE, "model: missing"),
        (["announce", "--kind", "moments", "--model", "pyproject.toml"], Exit.USAGE, "wanted a model's facts"),
        (["announce", "--kind", "moments", "--model", FACTS, "--windows", "300"], Exit.USAGE, "windows: got 300"),
        (["announce", "--kind", "moments", "--model", FACTS], Exit.REFUSED, "holders"),
        (["open", "00" * 32], Exit.REFUSED, "unknown: no such round"),
        (["open", "zz"], Exit.USAGE, "wanted a manifest's digest, 64 hex digits"),
        (["open", "00" * 32, "--rpc", "http://127.0.0.1:9"], Exit.USAGE, "--contract is missing"),
        (["open", "00" * 32, "--contract", "00" * 20], Exit.USAGE, "got one without --rpc"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_and_changes_nothing(arguments, code, reason, capsys, files, gateway):
    verb, *rest = arguments
    rest += ["--key", files / "owner.key", "--gateway", gateway.url]
    rest += ["--holder", HOLDER_KEY] if verb == "announce" else []
    got, told, error = run(capsys, "edil", verb, *rest)
    assert (got, told) == (code, None) and reason in error
    assert gateway.aggregation.rounds() == [] and gateway.told == []


def test_keys_are_made_once_and_never_shown(capsys, tmp_path):
    path = tmp_path / "new.key"
    code, told, _ = run(capsys, "edil", "keygen", "-o", path)
    secret = path.read_text().strip()
    assert code == 0 and len(told["holder"]) == 66 and secret not in json.dumps(told)
    assert path.stat().st_mode & 0o777 == 0o600
    code, _, error = run(capsys, "edil", "keygen", "-o", path)
    assert code == Exit.REFUSED and path.read_text().strip() == secret and secret not in error


def test_enrolments_of_wrong_holders_or_another_chain_are_refused(capsys, files, gateway):
    for named, code in (
        (["--holder", OWN_KEY, "--chain-id", CHAIN_ID], Exit.USAGE),
        (["--holder", OWN_KEY, "--holder", OWN_KEY, "--chain-id", CHAIN_ID], Exit.USAGE),
        (["--holder", OWN_KEY, "--holder", "02" + "00" * 32, "--chain-id", CHAIN_ID], Exit.USAGE),
        (["--holder", OWN_KEY, "--holder", HOLDER_KEY, "--chain-id", CHAIN_ID + 1], Exit.REFUSED),
    ):
        more = [*named, "--contract", CONTRACT.hex(), "--gateway", gateway.url]
        assert run(capsys, "edil", "enrol", "--owner-key", files / "site.key", *more)[0] == code
    assert gateway.told == []


def parsers():
    """Every parser of the two groups, by its name."""
    root = next(action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction))
    verbs = next(a for a in root.choices["edil"]._actions if isinstance(a, argparse._SubParsersAction))
    return {"shareholder": root.choices["shareholder"], **verbs.choices}


@pytest.mark.parametrize("name", parsers())
def test_every_verb_and_option_says_what_it_is_for_within_80_columns(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = parsers()[name]
    assert [action.dest for action in parser._actions if not action.help] in ([], ["round"])
    assert max(map(len, parser.format_help().splitlines())) <= 80
    page = (Path(__file__).parents[2] / "docs" / "edil.md").read_text()
    assert f"tinyren {name}" in page or f"edil {name}" in page


@pytest.mark.parametrize(
    "arguments",
    [
        ["shareholder", "--key", "k"],
        ["shareholder", "--key", "k", "--any-device", "--devices", "d"],
        ["shareholder", "--key", "k", "--any-device", "--least", "0"],
        ["edil", "announce", "--key", "k", "--holder", "h", "--windows", "-1"],
        ["edil", "announce", "--key", "k", "--holder", "h", "--weight", "00=2"],
        ["edil", "announce", "--key", "k", "--holder", "h", "--weight", "00" * 20 + "=5"],
        ["edil", "fit", "s", "--model", "m", "--false-alarms", "1"],
        ["edil"],
    ],
)
def test_arguments_that_cannot_be_are_a_usage_error(arguments, capsys):
    assert run(capsys, *arguments)[0] == Exit.USAGE


def test_weights_are_told_to_the_gateway_and_come_out_in_the_sums(capsys, files, gateway):
    enrol(capsys, files, gateway)
    heavy = DEVICES[0]
    digest, scene = announce(capsys, files, gateway, "--k-min", 2, "--weight", f"0x{heavy.id.hex()}=2")
    for device in DEVICES:
        gateway.send(scene.contribute(device), scene.manifest.deadline_ms)
    run(capsys, "edil", "close", digest, "--gateway", gateway.url)
    assert shareholder(capsys, files, gateway)[0] == Exit.REFUSED  # 8 devices weigh as 2.75
    assert shareholder(capsys, files, gateway, "--least", 2)[0] == 0
    assert open_sums(capsys, files, gateway, digest)[0] == 0
    assert json.loads((files / "sums").read_text())["values"] == scene.expected([2, *[1] * 7])


def test_files_that_are_something_else_are_refused_in_one_line(capsys, files):
    (files / "noise").write_bytes(bytes(range(256)))
    (files / "list").write_text("[1, 2]")
    for content in ("noise", "list"):
        for command in (
            ["edil", "fit", files / content, "--model", FACTS],
            ["edil", "evaluate", files / content, files / "devices"],
            ["edil", "fit", files / "list", "--model", files / content],
            ["edil", "keygen", "-o", files / content],
        ):
            code, told, error = run(capsys, *command)
            assert code in (Exit.USAGE, Exit.TRUST, Exit.REFUSED) and told is None and error.count("\n") == 1
    assert (files / "noise").read_bytes() == bytes(range(256))

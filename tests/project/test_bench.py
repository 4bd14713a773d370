"""The bench: one whole run, what it says of targets, and that it measures no heartbeat that a gateway would refuse."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from coincurve import PrivateKey

from boards.board import DEFAULT_BOARDS
from boards.emulator import EmulatorError
from device.agent import packets, wire
from gateway import curve
from gateway.benchmarks import figures
from gateway.benchmarks.bench import targets
from gateway.benchmarks.boards import BEATS, check_heartbeat
from gateway.benchmarks.table import table
from models.qualify import model_name, shipped_models

ROOT = Path(__file__).parents[2]
SNAPSHOT = ROOT / "bench" / "results.json"
COMMAND = [sys.executable, "-m", "gateway.cli", "bench", "--quick", "--json"]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """What the command printed, which is what it wrote."""
    out = tmp_path_factory.mktemp("bench") / "deep" / "results.json"
    done = subprocess.run([*COMMAND, "--out", str(out)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert json.loads(out.read_text()) == printed
    return printed


@pytest.fixture
def snapshot():
    return json.loads(SNAPSHOT.read_text())


def shape(value):
    return {name: shape(part) for name, part in value.items()} if isinstance(value, dict) else None


def without_further_models(value):
    """A result as it is where TINYREN_MLPERF_TINY is not set, and no browser is there to load a page."""
    shipped = [model_name(path) for path in shipped_models()]
    models = {name: value["models"][name] for name in shipped}
    rows = {name: row for name, row in value["targets"].items() if not name.startswith(("tflm_", "page_", "million_"))}
    return {**value, "models": models, "targets": rows}


def without_numbers(value):
    """A result without what `--quick` leaves out: further numbers of devices, further boards' first runs."""
    scoring = {name: part for name, part in value["scoring"].items() if not name[:1].isdigit() or name == "1000"}
    first = {**value["first_run"], "boards": dict(list(value["first_run"]["boards"].items())[:1])}
    return {**value, "scoring": scoring, "first_run": first}


def test_a_run_has_every_figure_that_the_committed_one_has(result, snapshot):
    wanted = without_further_models(without_numbers(snapshot))
    assert shape(without_further_models(result)) == shape(wanted)
    assert list(result["boards"]) == list(DEFAULT_BOARDS)


@pytest.mark.parametrize("name", ["heartbeat_bytes", "mpy_bytes", "heap_bytes", "sign_instructions", "kernel_bytes"])
def test_targets_of_bytes_and_instructions_are_reached(result, name):
    assert result["targets"][name]["holds"], result["targets"][name]


def test_the_parts_of_a_heartbeat_are_the_whole_and_none_is_free(result):
    for board in result["boards"].values():
        instructions = board["instructions"]
        assert sum(instructions["heartbeat_parts"].values()) == instructions["heartbeat"]
        assert min(instructions["heartbeat_parts"].values()) > 1000
        assert instructions["encoder"] > instructions["encoder_macs"]


def test_every_model_takes_what_was_committed_and_python_adds_little_to_c(result, snapshot):
    for name, model in result["models"].items():
        committed = snapshot["models"][name]
        assert {**model, "boards": 0} == {**committed, "boards": 0}
        for board, row in model["boards"].items():
            before = committed["boards"][board]
            assert row.get("skipped") == before.get("skipped")
            if before["bare_instructions"] is None:
                assert row["bare_instructions"] is None
            else:
                assert row["bare_instructions"] == pytest.approx(before["bare_instructions"], rel=0.01)
            if "skipped" not in row:
                assert row["instructions"] == pytest.approx(before["instructions"], rel=0.01)
                assert abs(row["instructions"] / row["bare_instructions"] - 1) < 0.06


@pytest.mark.parametrize(("bare_per_mac", "words"), [(5.64, "skipped 5.64 <= 8.0 ok"), (None, "skipped")])
def test_a_model_that_does_not_fit_beside_micropython_is_shown_without_it_and_with_the_reason(
    bare_per_mac, words, snapshot
):
    why = "model needs 10508 bytes of heap (its largest: tensor with a name as converters make them, shape (1, 25, 5))"
    row = {"core": "Cortex-M0", "skipped": why, "bare_instructions": 1, "bare_per_mac": bare_per_mac, "wanted": 8.0}
    snapshot["models"]["kws_ref_model"]["boards"]["qemu_microbit"] = row

    lines = table(snapshot).splitlines()
    at = next(
        at
        for at, line in enumerate(lines)
        if line.split() == ["Cortex-M0", *words.split()] and why[:27] in lines[at + 1]
    )
    assert "heap" in lines[at + 1] and max(map(len, lines)) <= 80


def test_the_committed_run_holds_public_models_beside_tflm(snapshot):
    judged = []
    for name in ("kws_ref_model", "ad01_int8"):
        model = snapshot["models"][name]
        assert model["arena_bytes"] <= model["tflm_arena_bytes"]
        judged += [row for row in model["boards"].values() if "skipped" not in row]
    assert {row["core"] for row in judged} >= {"Cortex-M3", "Cortex-M4", "Cortex-M7", "RV32IMAC"}
    assert all(row["per_mac"] <= row["wanted"] for row in judged)
    assert all(row["ratio"] == round(row["per_mac"] / row["tflm_per_mac"], 2) for row in judged if row["tflm_per_mac"])
    assert len([row for row in judged if row["tflm_per_mac"] and row["ratio"] <= 0.8]) == 6


def test_gas_is_that_of_the_committed_figures(result):
    assert result["gas"] == json.loads((ROOT / "contracts" / "gas.json").read_text())


def test_the_committed_run_names_no_place_and_holds_its_own_targets(snapshot):
    text = SNAPSHOT.read_text()
    assert not re.search(r"/(home|root|work|tmp|usr)|@|https?:", text)
    assert targets(snapshot) == snapshot["targets"]
    assert all(row["holds"] for row in snapshot["targets"].values())


def test_the_page_of_figures_is_of_the_committed_run(snapshot):
    """docs/figures.md is written by `python -m gateway.benchmarks.figures`."""
    page = figures.FIGURES.read_text()
    assert page == figures.markdown(snapshot)
    assert page.count(" ok |") == len(snapshot["targets"]) and "MISSED" not in page


def test_the_table_has_80_columns_and_says_what_instructions_are_not(snapshot):
    text = table(snapshot)
    assert max(map(len, text.splitlines())) <= 80
    assert "emulated" in text and "not cycles" in text
    rest = re.sub(r"(?s)MODELS.*?all kernels", "", text)
    assert rest.count(" ok") == len(snapshot["targets"]) and "MISSED" not in rest


def test_where_no_browser_is_the_page_is_told_as_skipped_and_not_judged(snapshot):
    snapshot["edge"]["page"] = dict.fromkeys(snapshot["edge"]["page"])
    snapshot["targets"] = targets(snapshot)
    (line,) = (line for line in table(snapshot).splitlines() if line.startswith("first page in Chromium"))
    assert not {"page_ms", "page_bytes"} & snapshot["targets"].keys() and line.split()[-1] == "skipped"


@pytest.mark.parametrize(
    ("name", "worsen"),
    [
        ("heartbeat_bytes", lambda result: result["heartbeat_bytes"].update(worst=193)),
        ("mpy_bytes", lambda result: result["mpy_bytes"].update(all=98305)),
        ("heap_bytes", lambda result: result["boards"]["qemu_virt_rv32"]["heap_bytes"].update(agent=24577)),
        ("sign_instructions", lambda result: result["boards"]["qemu_mps2_an385"]["instructions"].update(sign=1200001)),
        ("kernel_bytes", lambda result: result["kernel_bytes"].update(qemu_microbit=24577)),
        ("tflm_ratio", lambda result: result["models"]["ad01_int8"]["boards"]["qemu_mps2_an386"].update(ratio=0.81)),
        ("tflm_arena", lambda result: result["models"]["kws_ref_model"].update(arena_bytes=23_000)),
        ("gateway_share", lambda result: result["gateway"].update(share=0.399)),
        ("r1fs_share", lambda result: result["r1fs"].update(share=0.599)),
        ("cstore_writes", lambda result: result["cstore"]["writers_32"].update(writes_per_s=1999)),
        ("page_ms", lambda result: result["edge"]["page"].update(loaded_ms=301, sent_bytes=1)),
        ("page_bytes", lambda result: result["edge"]["page"].update(loaded_ms=1, sent_bytes=100_001)),
        ("sbc_pss", lambda result: result["sbc"].update(pss_bytes=30_000_001)),
        ("post_gas", lambda result: result["gas"].update({"post a root, 3 of 5": 70_001})),
        ("million_s", lambda result: result["scoring"]["1000000"].update(total_s=60.1)),
        ("flash_s", lambda result: result["first_run"]["boards"]["qemu_virt_rv32"].update(flash=30.1)),
        (
            "first_heartbeat_s",
            lambda result: result["first_run"]["boards"]["qemu_virt_rv32"].update(first_heartbeat=91),
        ),
    ],
)
def test_one_too_many_is_a_missed_target(snapshot, name, worsen):
    worse = copy.deepcopy(snapshot)
    worsen(worse)
    worse["targets"] = targets(worse)
    assert [name for name, row in worse["targets"].items() if not row["holds"]] == [name]
    text = table(worse)
    assert text.count("MISSED") == table(snapshot).count("MISSED") + 1 and max(map(len, text.splitlines())) <= 80


KEY, OTHER = PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32)
DEVICE = curve.address(KEY.public_key.format())


def sent(window=BEATS, sequence=BEATS, key=KEY, device=DEVICE):
    model = bytes.fromhex("01551220") + bytes(32)
    claims = wire.make_beacon(1, window, bytes(32)), 1, sequence, model, 0, bytes(16), 0
    frame = wire.sign_heartbeat(device, lambda digest: key.sign_recoverable(digest, hasher=None), *claims)
    return bytes(packets.publish(wire.topic(device, "heartbeat"), frame, 1)) + bytes(packets.puback(1))


def test_a_good_last_heartbeat_is_accepted():
    check_heartbeat("board", DEVICE, sent())


@pytest.mark.parametrize(
    "bad",
    [
        sent(window=BEATS - 1),
        sent(sequence=BEATS - 1),
        sent(key=OTHER),
        sent(key=OTHER, device=curve.address(OTHER.public_key.format())),
    ],
    ids=["another beacon", "another sequence", "another's signature", "another device"],
)
def test_a_heartbeat_that_no_gateway_would_take_is_not_measured(bad):
    with pytest.raises(EmulatorError, match="board: got heartbeat"):
        check_heartbeat("board", DEVICE, bad)

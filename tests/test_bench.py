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
from gateway.bench import targets
from gateway.bench_boards import BEATS, check_heartbeat
from gateway.bench_table import table

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOT = ROOT / "bench" / "results.json"
COMMAND = [sys.executable, "-m", "gateway.cli", "bench", "--json"]


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


def test_a_run_has_every_figure_that_the_committed_one_has(result, snapshot):
    assert shape(result) == shape(snapshot)
    assert list(result["boards"]) == list(DEFAULT_BOARDS)


@pytest.mark.parametrize("name", ["heartbeat_bytes", "mpy_bytes", "heap_bytes", "sign_instructions"])
def test_targets_of_bytes_and_instructions_are_reached(result, name):
    assert result["targets"][name]["holds"], result["targets"][name]


def test_the_parts_of_a_heartbeat_are_the_whole_and_none_is_free(result):
    for board in result["boards"].values():
        instructions = board["instructions"]
        assert sum(instructions["heartbeat_parts"].values()) == instructions["heartbeat"]
        assert min(instructions["heartbeat_parts"].values()) > 1000
        assert instructions["encoder"] > instructions["encoder_macs"]


def test_gas_is_that_of_the_committed_figures(result):
    assert result["gas"] == json.loads((ROOT / "contracts" / "gas.json").read_text())


def test_the_committed_run_names_no_place_and_holds_its_own_targets(snapshot):
    text = SNAPSHOT.read_text()
    assert not re.search(r"/(home|root|work|tmp|usr)|@|https?:", text)
    assert targets(snapshot) == snapshot["targets"]
    assert all(row["holds"] for row in snapshot["targets"].values())


def test_the_table_has_80_columns_and_says_what_instructions_are_not(snapshot):
    text = table(snapshot)
    assert max(map(len, text.splitlines())) <= 80
    assert "emulated" in text and "not cycles" in text
    assert text.count(" ok") == len(snapshot["targets"]) and "MISSED" not in text


@pytest.mark.parametrize(
    ("name", "worsen"),
    [
        ("heartbeat_bytes", lambda result: result["heartbeat_bytes"].update(worst=193)),
        ("mpy_bytes", lambda result: result["mpy_bytes"].update(all=98305)),
        ("heap_bytes", lambda result: result["boards"]["qemu_virt_rv32"]["heap_bytes"].update(agent=24577)),
        ("sign_instructions", lambda result: result["boards"]["qemu_mps2_an385"]["instructions"].update(sign=1200001)),
        ("gateway_share", lambda result: result["gateway"].update(share=0.399)),
        ("r1fs_share", lambda result: result["r1fs"].update(share=0.599)),
        ("cstore_writes", lambda result: result["cstore"]["writers_32"].update(writes_per_s=1999)),
    ],
)
def test_one_too_many_is_a_missed_target(snapshot, name, worsen):
    worse = copy.deepcopy(snapshot)
    worsen(worse)
    worse["targets"] = targets(worse)
    assert [name for name, row in worse["targets"].items() if not row["holds"]] == [name]
    text = table(worse)
    assert text.count("MISSED") == 1 and max(map(len, text.splitlines())) <= 80


KEY, OTHER = PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32)
DEVICE = curve.address(KEY.public_key.format())


def sent(window=BEATS, sequence=BEATS, key=KEY, device=DEVICE):
    claims = wire.make_beacon(1, window, bytes(32)), 1, sequence, bytes.fromhex("01551220") + bytes(32), 0, bytes(16)
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

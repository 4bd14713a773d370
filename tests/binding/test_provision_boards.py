"""Twenty emulated boards through the factory: three duplicates, one dead, one killed batch; and what the site knows."""

import csv
import io
import json
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from functools import partial

import pytest

from boards.board import load_board
from boards.build import build
from boards.console import open_console
from boards.emulator import Emulator
from gateway.errors import Exit
from gateway.labels import codes, payload
from gateway.progress import Progress
from gateway.provisioning import manifest
from gateway.provisioning.batch import Row
from gateway.provisioning.journal import NAME
from gateway.provisioning.shown import Dead
from gateway.provisioning.station import Station
from tests.up_site import COMMAND, ROOT, WAIT_S, tinyren

pytest.importorskip("serial", reason="boards are asked by the extra `flash`")
BOARD = "qemu_mps2_an385"
HEADING = "serial,board,port,name\n"
BIND = """
import core
from agent.store import Store
store = Store(core.open_regions()["store"])
store.open(None)
store.bind(bytes([7]) * 20)
"""


@pytest.fixture
def places(tmp_path):
    """(the batch's folder, the site's, arguments that name them)."""
    out, site = tmp_path / "out", tmp_path / "site"
    return out, site, ["--out", str(out), "--site", str(site), "--jobs", "2"]


def provision(list_, folder, places):
    path = folder / "list.csv"
    path.write_text(HEADING + "".join(",".join(row) + "\n" for row in list_))
    return tinyren("provision", "--batch", path, *places[2], "--json")


def kill_midway(folder, places, count, number=signal.SIGKILL):
    """Start a batch over the list that is there and end it once its journal has `count` lines; its exit code."""
    command = [*COMMAND, "provision", "--batch", str(folder / "list.csv"), *places[2]]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs have it ignored
    null = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, stdout=null, stderr=null, preexec_fn=heard)
    journal, end_s = places[0] / NAME, time.monotonic() + WAIT_S
    while not journal.exists() or journal.read_bytes().count(b"\n") < count and time.monotonic() < end_s:
        time.sleep(0.02)
    process.send_signal(number)
    return process.wait(WAIT_S)


def test_twenty_boards_with_three_duplicates_and_a_dead_one_survive_kill_9(places, tmp_path):
    out, site, _ = places
    first = provision([("S01", BOARD, "", "hall 1")], tmp_path, places)
    assert first.returncode == 0, first.stderr
    shutil.copytree(out / "boards" / "S01", out / "boards" / "S20")  # a board with the key of another
    (out / "boards" / "S19").mkdir()
    (out / "boards" / "S19" / "store.bin").write_bytes(bytes(100))  # QEMU takes no EEPROM of 100 bytes
    with Emulator(load_board(BOARD), build(load_board(BOARD), lambda *_: None).elf, tmp_path / "usb") as usb:
        rows = [(f"S{number:02}", BOARD, "", f"hall {number}") for number in range(1, 16)]
        rows += [("S03", BOARD, "", "again"), ("S17", BOARD, usb.pty, "usb"), ("S18", BOARD, usb.pty, "usb too")]
        rows += [("S19", BOARD, "", ""), ("S20", BOARD, "", "")]
        (tmp_path / "list.csv").write_text(HEADING + "".join(",".join(row) + "\n" for row in rows))
        kill_midway(tmp_path, places, 5)
        ended = provision(rows, tmp_path, places)

    assert ended.returncode == Exit.PARTLY, ended.stderr
    result = json.loads(ended.stdout)
    assert [row["row"] for row in result["refused"]] == [17, 19]
    failed = {row["serial"]: row["result"] for row in result["failed"]}
    assert set(failed) == {"S19", "S20"}, failed
    assert "left as serial S01 before" in failed["S20"]
    good = result["done"] + result["before"]
    assert len(good) == 16 and len(result["before"]) >= 5 and len({row["device"] for row in good}) == 16
    assert ended.stderr.splitlines()[-1].startswith("RESULT: PARTLY done=")

    lines = [json.loads(line) for line in (out / NAME).read_text().splitlines()]
    assert sorted(line["row"]["serial"] for line in lines if line["result"] == "ok") == sorted(
        row["serial"] for row in good
    )
    factory, entries = manifest.verify((out / "manifest.cose").read_bytes())
    assert result["factory"] == "0x" + factory.hex() and len(entries) == 18
    listed = list(csv.DictReader((out / "boards.csv").open()))
    assert {row["serial"]: row["device"] for row in listed if row["result"] == "ok"} == {
        row["serial"]: row["device"] for row in good
    }
    check_labels(site, good, entries)
    assert (out / "labels.pdf").read_bytes().startswith(b"%PDF")
    named = tinyren("cstore", "ls", "names", "--site", site, "--json")
    assert len(json.loads(named.stdout)) == 16, named.stdout + named.stderr


def test_ctrl_c_ends_it_after_the_boards_that_have_begun(places, tmp_path):
    rows = [f"B{number},qemu_virt_rv32,,\n" for number in range(40)]
    (tmp_path / "list.csv").write_text(HEADING + "".join(rows))
    assert kill_midway(tmp_path, places, 1, signal.SIGINT) == Exit.FAILED
    assert 1 <= len((places[0] / NAME).read_text().splitlines()) < 40
    assert not (places[0] / "manifest.cose").exists()


def check_labels(site, good, entries):
    """The codes that are printed are those the site knows, and the manifest has their hashes."""
    kept, hashes = codes.Codes(site), {entry.device: entry.hash for entry in entries}
    for row in good[:3]:
        label = payload.decode(row["label"])
        labelled = kept.find(label.device)
        assert "0x" + label.device.hex() == row["device"] and codes.is_code(labelled, label.code)
        assert labelled.hash == hashes[label.device] and payload.manual_code(label) == row["code"]
    assert len(kept.devices()) == len(good)
    kept.close()


def test_the_same_batch_again_does_nothing_and_says_so(places):
    assert tinyren("provision", "--batch", "1", "--board", "qemu_virt_rv32", *places[2]).returncode == 0
    before = {path: path.read_bytes() for path in places[0].glob("*.*") if path.suffix != ".pdf"}
    again = tinyren("provision", "--batch", "1", "--board", "qemu_virt_rv32", *places[2])
    assert again.returncode == Exit.NOTHING_TO_DO and "before=1" in again.stderr
    assert {path: path.read_bytes() for path in before if path.suffix != ".cose"} == {
        path: content for path, content in before.items() if path.suffix != ".cose"
    }


def test_a_board_that_is_another_than_its_row_says_and_a_port_that_is_gone_are_told(places, tmp_path):
    with Emulator(load_board(BOARD), build(load_board(BOARD), lambda *_: None).elf, tmp_path / "usb") as usb:
        rows = [("A1", "qemu_virt_rv32", usb.pty, ""), ("A2", BOARD, "/dev/ttyNOT", "")]
        ended = provision(rows, tmp_path, places)
    assert ended.returncode == Exit.FAILED
    said = {row["serial"]: row["result"] for row in json.loads(ended.stdout)["failed"]}
    assert f"got {BOARD}, wanted qemu_virt_rv32" in said["A1"] and "no such port" in said["A2"]
    assert not codes.Codes(places[1]).devices()


def test_a_board_with_another_key_than_its_label_says_or_with_an_owner_does_not_leave(tmp_path):
    name = "qemu_virt_rv32"
    with Emulator(load_board(name), build(load_board(name), lambda *_: None).elf, tmp_path / "usb") as usb:
        station, row = Station(tmp_path, {}, Progress(io.StringIO())), Row(2, "A1", name, usb.pty)
        device = station.take(row).device
        assert station.take(replace(row, device="0x" + device.hex().upper())).device == device
        with pytest.raises(Dead, match=f"device: got 0x{device.hex()}, wanted the one of its label; it is another"):
            station.take(replace(row, device="0x" + "5a" * 20))
        with open_console(usb.pty) as repl:
            repl.exec(BIND)
        with pytest.raises(Dead, match=f"owner: got a board that is 0x{'07' * 20}'s.*{usb.pty} --forget-owner"):
            station.take(row)


def test_setup_builds_what_a_factory_brings_before_it_has_a_board():
    command = [*COMMAND, "setup", "--agent", "rpi_pico_w", "--json"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3 * WAIT_S)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["agents"] == ["rpi_pico_w"] and "agent of rpi_pico_w: " in made.stderr
    refused = tinyren("setup", "--agent", "acorn")
    assert refused.returncode == Exit.USAGE and "--agent: got acorn, wanted one of esp32_c3" in refused.stderr


@pytest.mark.parametrize("batch", ["0", "list.csv", "-1", ["1", "--set", "ssid=x"], ["1", "--set", "password=short"]])
def test_a_batch_that_is_none_is_refused_before_anything_is_made(batch, places, tmp_path):
    ended = tinyren("provision", "--batch", *([batch] if isinstance(batch, str) else batch), *places[2])
    assert ended.returncode == Exit.USAGE and not places[0].exists() and not places[1].exists()

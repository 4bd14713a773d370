"""`tinyren run`: from nothing to a paid claim in one command, gone on with after kill -9, what cannot be is told."""

import json
import re
import subprocess
import sys

import psutil
import pytest

from gateway.errors import Exit
from gateway.labels.codes import Codes
from gateway.site import site_file
from gateway.site.site_file import Site
from tests.up_site import COMMAND, ROOT, SHORT, WAIT_S, Up, tinyren

BOARD = "qemu_virt_rv32"
STAGES = ["firmware", "site", "announce", "label", "bind", "heartbeat", "claim"]


def begin(folder, *more):
    """The command as a process."""
    command = [*COMMAND, "run", "--board", BOARD, "--site", str(folder), "--json", *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_line(process, pattern):
    for line in process.stderr:
        if re.search(pattern, line):
            return
    raise AssertionError(f"no line with {pattern}")


def short_site(folder):
    """A folder whose site, once it is made, has short epochs."""
    folder.mkdir()
    (folder / "config.toml").write_text("[site]\nepoch_seconds = 6\nwindow_seconds = 1\n")
    return folder


def test_one_command_leads_from_nothing_to_a_claim_and_goes_on_after_kill_9(tmp_path):
    folder = short_site(tmp_path / "site")
    killed = begin(folder)
    wait_line(killed, "bind: deed 1")
    family = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.communicate()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, alive

    done = begin(folder)
    output, said = done.communicate(timeout=WAIT_S)
    assert done.returncode == 0, said
    result = json.loads(output)
    assert [stage["stage"] for stage in result["stages"]] == STAGES
    was_done = {stage["stage"]: stage["was_done"] for stage in result["stages"]}
    assert was_done == dict.fromkeys(STAGES, False) | {"label": True, "bind": True}
    assert result["deed"] == 1 and int(result["claimed_wei"]) > 0
    end = rf"RESULT: OK board={BOARD} id={result['id']} deed=1 total=[0-9.]+s"
    assert re.fullmatch(end, said.splitlines()[-1])
    assert max(len(line) for line in said.replace(str(folder), "site").splitlines()[:-1]) <= 80

    again = begin(folder)
    output, _ = again.communicate(timeout=WAIT_S)
    third = {stage["stage"]: stage["was_done"] for stage in json.loads(output)["stages"]}
    assert again.returncode == 0 and third == was_done | {"claim": True}
    assert json.loads(output)["id"] == result["id"]
    (labelled,) = Codes(folder).devices()
    assert Codes(folder).find(labelled).hash is None  # the code that bound it opens nothing any more


@pytest.fixture
def up(tmp_path):
    made = Up(tmp_path / "site", "--boards", BOARD, *SHORT)
    yield made
    made.process.kill()
    made.process.wait()


def test_a_board_that_is_none_of_the_sites_joins_it_and_is_paid(up, tmp_path):
    up.wait_line("devices are ready")
    broker = f"127.0.0.1:{site_file.read(up.folder).broker_port}"
    agent = [sys.executable, "-m", "device.agent", "--broker", broker, "--board", "rpi_pico2_w", "--store"]
    process = subprocess.Popen([*agent, str(tmp_path / "store")], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        device = json.loads(process.stdout.readline())["id"]
        done = tinyren("run", "--board", "rpi_pico2_w", "--site", up.folder, "--json")
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["id"] == device and [stage["stage"] for stage in result["stages"]] == STAGES[1:]
        second = tinyren("run", "--board", BOARD, "--site", up.folder, "--json")
        assert second.returncode == 0, second.stderr
        assert json.loads(second.stdout)["id"] not in ("", device) and "runs at http" in second.stderr
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert up.end()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--board", "acorn"], Exit.USAGE, "--board: got 'acorn', wanted one of qemu_"),
        (["--board", "qemu_microbit"], Exit.USAGE, "--board: got 'qemu_microbit'"),
        (["--board", BOARD, "--port", "/dev/ttyACM0"], Exit.USAGE, "is emulated: leave it out"),
        (["--board", BOARD, "--set", "ssid=x"], Exit.USAGE, "is emulated: leave it out"),
        (["--board", "rpi_pico2_w", "--set", "ssid=x"], Exit.USAGE, "wanted --port and one of esp32_c3"),
        (["--board", "rpi_pico_w", "--port", "/dev/ttyNOT"], Exit.PORT, "flash: /dev/ttyNOT: got no such port; run: "),
        (["--board", "rpi_pico2_w"], Exit.USAGE, "site: SITE: no site runs here; start one: tinyren up --site SITE"),
    ],
)
def test_what_cannot_be_is_told_with_the_stage_and_the_next_step(arguments, code, said, tmp_path):
    ended = tinyren("run", *arguments, "--site", tmp_path)
    assert ended.returncode == code and said.replace("SITE", str(tmp_path)) in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_site_of_other_boards_is_left_as_it_is(tmp_path):
    site_file.write(tmp_path, Site(boards=["qemu_mps2_an385"]))
    before = (tmp_path / "site.toml").read_bytes()
    ended = tinyren("run", "--board", BOARD, "--site", tmp_path)
    assert ended.returncode == Exit.REFUSED and "site: " + str(tmp_path) in ended.stderr
    assert "name another --site" in ended.stderr and (tmp_path / "site.toml").read_bytes() == before


def test_a_page_of_another_site_is_not_believed(up, tmp_path):
    up.wait_line("emulated boards start")
    other = tmp_path / "other"
    other.mkdir()
    site_file.write(other, Site(boards=[], page_port=site_file.read(up.folder).page_port))
    ended = tinyren("run", "--board", "rpi_pico2_w", "--site", other)
    assert ended.returncode == Exit.FAILED and "another site answers" in ended.stderr

"""Settings and owner of a board at its console: real MicroPython on an emulated board, over its pty."""

import json
import re
import time

import pytest

from boards.board import load_board
from boards.build import build
from boards.console import ConsoleError, identify, open_console
from boards.emulator import Emulator
from boards.settings import MOST_BYTES, check, read_settings, write_settings
from gateway.errors import Exit
from tests.boards.test_flash_boards import RAM_FILES
from tests.up_site import WAIT_S, tinyren

pytest.importorskip("serial", reason="boards are asked by the extra `flash`")
OWNER = "0a" * 20
BIND = f"""
import core
from agent.store import Store
_store = Store(core.open_regions()["store"])
_store.open(None)
_store.bind(bytes.fromhex("{OWNER}"))
"""
PASSWORD = "not-to-be-shown"


@pytest.fixture(params=["qemu_mps2_an385", "qemu_virt_rv32"])
def board(request, tmp_path):
    made = load_board(request.param)
    with Emulator(made, build(made, lambda *_: None).elf, tmp_path / "board") as board:
        yield board


def settings(board, *arguments, **options):
    return tinyren("settings", board.pty, *arguments, "--json", **options)


def devices(board):
    """Each device id that the board has said."""
    return re.findall(rb"device ([0-9a-f]{40})", (board.folder / "logs" / "repl.log").read_bytes())


def test_who_holds_the_device_frees_it_of_its_owner_and_its_key_stays(board):
    with open_console(board.pty) as repl:
        repl.exec(BIND)
    told = json.loads(settings(board).stdout)
    assert told["board"] == board.board.name and told["owner"] == "0x" + OWNER and told["settings"] == {}
    forgot = settings(board, "--forget-owner")
    assert forgot.returncode == 0 and json.loads(forgot.stdout)["forgot"] == "0x" + OWNER, forgot.stderr
    assert json.loads(settings(board).stdout)["owner"] is None
    again = json.loads(settings(board, "--forget-owner").stdout)
    assert again["forgot"] is None
    before, end_s = len(devices(board)), time.monotonic() + WAIT_S
    assert settings(board).returncode == 0
    while len(devices(board)) == before and time.monotonic() < end_s:
        time.sleep(0.05)
    assert len(devices(board)) > before and len(set(devices(board))) == 1  # it began anew, with the key it had


def test_a_board_without_files_takes_no_settings_and_says_so(board):
    ended = settings(board, "--set", "ssid=workshop")
    assert ended.returncode == Exit.FAILED and "has no file system" in ended.stderr and not ended.stdout


def test_settings_are_written_to_the_board(board):
    with open_console(board.pty) as repl:
        repl.exec(RAM_FILES)
    pairs = ("gateways=gw.local:1883,10.0.0.7:8883", "ssid=Würzburg 2", "name=hall 1")
    done = settings(board, *(word for pair in pairs for word in ("--set", pair)))
    kept = {"gateways": "gw.local:1883,10.0.0.7:8883", "ssid": "Würzburg 2", "name": "hall 1"}
    assert done.returncode == 0 and json.loads(done.stdout)["settings"] == kept, done.stderr


def test_one_setting_is_changed_and_the_others_stay(board):
    with open_console(board.pty) as repl:
        repl.exec(RAM_FILES)
        write_settings(repl, {"ssid": "a", "name": "b"}, lambda *_: None)
        assert read_settings(repl) == {"ssid": "a", "name": "b"}
    done = settings(board, "--set", "ssid=c")
    assert json.loads(done.stdout)["settings"] == {"ssid": "c", "name": "b"}, done.stderr


def test_a_password_comes_from_stdin_is_never_shown_and_a_file_that_is_none_is_left_alone(board):
    with open_console(board.pty) as repl:
        repl.exec(RAM_FILES)
    done = settings(board, "--set", "password=-", input=PASSWORD + "\n")
    assert json.loads(done.stdout)["settings"] == {"password": "set"}
    assert PASSWORD not in done.stdout + done.stderr
    with open_console(board.pty) as repl:
        repl.exec(RAM_FILES)
        for content in ("[]", "{", '{"colour": "red"}', '{"ssid": 1}', "{" + " " * MOST_BYTES + "}"):
            repl.exec(f"_disk.files['settings.json'] = {content.encode()!r}")
            with pytest.raises(ConsoleError, match="something else than settings"):
                read_settings(repl)
        assert identify(repl).board == board.board.name


def test_a_board_that_knows_no_improv_takes_the_question_for_nothing_and_is_told_over_its_repl(board):
    with open_console(board.pty) as repl:
        repl.exec(RAM_FILES)
    done = settings(board, "--set", "ssid=Werk 7", "--set", "password=-", input=PASSWORD + "\n")
    assert done.returncode == 0 and PASSWORD not in done.stdout + done.stderr, done.stderr
    told = json.loads(done.stdout)
    assert told["settings"] == {"ssid": "Werk 7", "password": "set"} and "joined" not in told


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (["ssid"], "got no '=', wanted K=V"),
        (["colour=red"], "there is no such setting; wanted one of gateways, ssid, password, sensors, name"),
        (["gateways=gw"], "gateways: got 'gw', wanted 1 to 4 of HOST:PORT"),
        (["gateways=" + ",".join(["gw:1"] * 5)], "gateways"),
        (["ssid=" + "x" * 33], "ssid"),
        (["name==x"], "name: got '=x'"),
        (["password=short"], "password: got 5 characters, wanted 8 to 63"),
        (["ssid=a", "ssid=b"], "got ssid twice"),
    ],
)
def test_a_wrong_value_is_refused_by_its_field_before_a_port_is_opened(pairs, said):
    ended = tinyren("settings", "/dev/ttyNOT", *(word for pair in pairs for word in ("--set", pair)))
    assert ended.returncode == Exit.USAGE and said in ended.stderr and "short" not in ended.stderr


def test_a_port_that_is_not_there_is_told_with_the_next_step():
    ended = tinyren("settings", "/dev/ttyNOT")
    assert ended.returncode == Exit.PORT and "tinyren devices" in ended.stderr
    check("password", "")

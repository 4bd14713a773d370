"""`tinyren flash` of a computer, by a real ssh and sshd: installed, updated, resumed, and refused with nothing done."""

import fcntl
import json
import os
import subprocess
import sys

import pytest

from boards import computer, on_computer
from boards.hardware import hardware_names, load_hardware
from gateway import cli
from gateway.errors import CommandError, Exit
from gateway.flashing.computer import Place, read_answer, refuse_another, settings_of
from gateway.lan.certificates import authority_of, new_key
from gateway.progress import Progress
from tests.ssh_server import Computer, cut_after, keygen, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
BOARD = "linux_x64"
NOWHERE = ["--broker", "127.0.0.1:1"]


@pytest.fixture
def there(tmp_path, monkeypatch):
    there = Computer(tmp_path / "there")
    monkeypatch.setenv("PATH", there.environment()["PATH"])
    yield there
    there.end()


@pytest.fixture
def flash(there, capfd, monkeypatch):
    def flash(*options, board=BOARD, place=None):
        monkeypatch.setattr("gateway.commands.flash.new_progress", lambda: Progress(sys.stderr))
        code = cli.main(["flash", board, "--port", place or there.place, "--json", *map(str, options)])
        said = capfd.readouterr()
        return code, json.loads(said.out or "null"), said.err

    return flash


def files(there, but=()):
    """What lies in the home there, but for what a running agent writes."""
    found = [path for path in there.home.rglob("*") if path.is_file() and path.name not in but]
    return {path.relative_to(there.home).as_posix(): path.read_bytes() for path in found}


def command_of(there):
    with open(f"/proc/{there.agent()}/cmdline", "rb") as file:
        return file.read().decode().split("\0")[1:-1]


def test_an_agent_is_installed_without_packages_and_flashed_again_it_keeps_identity_and_settings(there, flash):
    code, first, said = flash(*NOWHERE, "--source", "waves")
    assert code == Exit.OK and first["identity"]["service"] == "process" and first["identity"]["boot"] == 1
    assert "nobody starts it again after a power cut" in said and f"tinyren label {first['identity']['id']}" in said
    store = str(there.home / "tinyren" / "store")
    agent = ["-m", "device.agent", "--store", store, "--broker", "127.0.0.1:1", "--source", "waves", "--board", BOARD]
    was, before = there.agent(), command_of(there)
    assert before == agent

    code, second, said = flash("--source", "load")
    assert (code, second["identity"]["id"], second["identity"]["boot"]) == (Exit.OK, first["identity"]["id"], 2)
    assert command_of(there) == [{"waves": "load"}.get(word, word) for word in agent] and there.agent() != was
    assert not os.path.exists(f"/proc/{was}/cmdline") or "device.agent" not in open(f"/proc/{was}/cmdline").read()

    code, third, _ = flash(*NOWHERE, "--erase")
    assert code == Exit.OK and third["identity"]["boot"] == 1 and third["identity"]["id"] != first["identity"]["id"]


def test_a_dry_run_asks_and_leaves_nothing(there, flash):
    code, result, said = flash(*NOWHERE, "--dry-run")
    assert code == Exit.OK and not result["written"] and "would send agent-" in said and files(there) == {}


def test_an_update_replaces_the_agent_and_one_that_does_not_begin_gives_way_to_the_one_before(
    there, flash, monkeypatch, tmp_path
):
    authorities = [tmp_path / f"{name}.pem" for name in ("one", "other")]
    for path in authorities:
        path.write_bytes(authority_of(new_key(), path.stem).chain_pem())
    _, first, _ = flash(*NOWHERE, "--ca", authorities[0])
    monkeypatch.setattr(computer, "MODELS", (*computer.MODELS, "models/host/card.md"))
    code, second, _ = flash()
    assert (code, second["identity"]["id"], second["identity"]["boot"]) == (Exit.OK, first["identity"]["id"], 2)
    runs = os.readlink(there.home / "tinyren" / "current")

    monkeypatch.setattr(computer, "MODELS", ("models/host/host.json",))
    code, _, said = flash("--source", "waves", "--ca", authorities[1])
    assert (there.home / "tinyren" / "ca.pem").read_text() == authorities[0].read_text()
    assert code == Exit.ROLLED_BACK and "did not begin: " in said and "the one before runs again" in said
    told = ["load", "--ca", str(there.home / "tinyren" / "ca.pem"), "--board", BOARD]
    assert os.readlink(there.home / "tinyren" / "current") == runs and command_of(there)[-5:] == told
    assert len(list((there.home / "tinyren").glob("agent-*"))) == 3  # this one, the one before, the one that failed


def test_a_first_agent_that_does_not_begin_leaves_no_settings(there, flash):
    code, _, said = flash(*NOWHERE, "--source", "iio:none")
    assert code == Exit.FAILED and "the agent did not begin: device.agent: " in said
    assert not (there.home / "tinyren" / "agent.json").exists()
    assert flash()[0] == Exit.USAGE and flash(*NOWHERE)[0] == Exit.OK


def test_a_connection_that_ends_in_mid_copy_is_taken_up_where_it_was(there, flash):
    def has_begun():
        return any(part.stat().st_size for part in there.home.glob("tinyren/*.part"))

    with cut_after(there.port, 70_000, has_begun) as port:
        with open(there.folder / "known", "a") as known:
            known.write(f"[127.0.0.1]:{port} {(there.folder / 'host.pub').read_text()}")
        code, _, said = flash(*NOWHERE, place=there.place.replace(str(there.port), str(port)))
    assert code == Exit.TIMEOUT and "run the same command again, it goes on where it was" in said
    with open(there.home / "tinyren" / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever received has ended
    (part,) = (there.home / "tinyren").glob("*.part")
    assert part.stat().st_size > 0 and not (there.home / "tinyren" / "agent.json").exists()
    code, result, said = flash(*NOWHERE)
    assert code == Exit.OK and result["identity"]["boot"] == 1 and "bytes are there already" in said


def test_what_was_damaged_on_the_way_is_removed_and_comes_again(there, flash):
    code, _, said = flash(*NOWHERE, "--dry-run")
    name = said.partition("would send agent-")[2][:16]
    (there.home / "tinyren").mkdir()
    (there.home / "tinyren" / f"{name}.part").write_bytes(b"another")
    code, _, said = flash(*NOWHERE)
    assert code == Exit.FAILED and "damaged, and was removed; run the same command again" in said
    assert list(files(there)) == ["tinyren/lock"] and flash(*NOWHERE)[0] == Exit.OK


def test_two_at_once_do_not_mix(there, flash):
    (there.home / "tinyren").mkdir()
    with open(there.home / "tinyren" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, said = flash(*NOWHERE)
    assert code == Exit.FAILED and "another `tinyren flash` works on this computer" in said
    assert list(files(there)) == ["tinyren/lock"]


def forget(there):
    (there.folder / "known").write_text("")


def change(there):
    keygen(there.folder / "other")
    there.know("other")


def lock_out(there):
    (there.folder / "authorized").write_text("")


def switch_off(there):
    there.server.terminate()
    there.server.wait()


@pytest.mark.parametrize(
    ("prepare", "code", "message"),
    [
        (forget, Exit.TRUST, "its key is not known here; log in once and compare its fingerprint: ssh ssh://"),
        (change, Exit.TRUST, "if that is so: ssh-keygen -R '[127.0.0.1]:"),
        (lock_out, Exit.REFUSED, "it takes none of your keys; give it one: ssh-copy-id ssh://"),
        (switch_off, Exit.PORT, "it runs no ssh server; on it: sudo apt-get install openssh-server"),
    ],
)
def test_a_computer_that_ssh_does_not_enter_is_told_with_what_to_do(prepare, code, message, there, flash):
    prepare(there)
    got, _, said = flash(*NOWHERE)
    assert got == code and message in said.splitlines()[-1] and files(there) == {}


def test_a_computer_without_python_is_told_what_to_install(tmp_path, monkeypatch, capsys):
    there = Computer(tmp_path / "bare", path="/nowhere")
    monkeypatch.setenv("PATH", there.environment()["PATH"])
    try:
        code = cli.main(["flash", BOARD, "--port", there.place, *NOWHERE])
        said = capsys.readouterr().err
        assert code == Exit.REFUSED and said.splitlines()[-1].endswith("on it: sudo apt-get install python3")
        assert files(there) == {}
    finally:
        there.end()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], Exit.USAGE, "--broker: got none, and "),
        (["--broker", "gateway"], Exit.USAGE, "--broker: got 'gateway', wanted HOST:PORT"),
        (["--broker", "gateway:70000"], Exit.USAGE, "--broker: got 'gateway:70000', wanted HOST:PORT"),
        ([*NOWHERE, "--source", "lidar"], Exit.USAGE, "--source: got 'lidar', wanted one of waves, "),
        ([*NOWHERE, "--ca", __file__], Exit.USAGE, "got no certificate, wanted SITE/tls/ca.pem"),
        ([*NOWHERE, "--firmware", __file__], Exit.USAGE, "leave --firmware and --files out: it gets the agent"),
    ],
)
def test_what_no_computer_could_take_is_refused_with_nothing_sent(options, code, message, there, flash):
    got, _, said = flash(*options)
    assert (got, files(there)) == (code, {}) and message in said.splitlines()[-1]


def test_a_computer_of_another_architecture_is_refused_with_the_board_that_it_is(there, flash):
    if not cross_compiler("aarch64-linux-gnu"):
        pytest.skip("no compiler for 64-bit Arm here: apt-get install gcc-aarch64-linux-gnu")
    code, _, said = flash(*NOWHERE, board="rpi_aarch64")
    wanted = "got programs for x86_64-linux-gnu, wanted aarch64-linux-gnu (rpi_aarch64); run: tinyren flash linux_x64"
    assert (code, files(there)) == (Exit.REFUSED, {}) and wanted in said


GOOD = {"id": "0x1", "boot": 1, "service": "process", "lingers": False}


@pytest.mark.parametrize(
    "printed",
    [b"", b"5", b"[" * 9999, b"[1]", b"\xff", b"{}", json.dumps(GOOD | {"boot": "1"}).encode(), b'{"id": null}\nbye'],
)
def test_a_computer_that_answers_something_else_is_told_and_not_believed(printed):
    assert read_answer("pi@a", "begin", b"hello\n" + json.dumps(GOOD).encode()) == GOOD
    with pytest.raises(CommandError, match="does its login print something. Look by: ssh pi@a true") as caught:
        read_answer("pi@a", "begin", printed)
    assert caught.value.code == Exit.TRUST


@pytest.mark.parametrize("port", ["", "-oProxyCommand=x", "pi@a b"])
def test_a_place_that_is_none_reaches_no_ssh(port, capsys):
    assert cli.main(["flash", BOARD, f"--port={port}", *NOWHERE]) == Exit.USAGE
    assert "wanted USER@HOST or USER@HOST:PORT" in capsys.readouterr().err


def test_options_of_a_computer_are_refused_for_a_board(capsys):
    assert cli.main(["flash", "rpi_pico_w", *NOWHERE]) == Exit.USAGE
    assert "they are for a computer's agent; leave them out" in capsys.readouterr().err


THERE = {"abi": "x86_64-linux-gnu", "is_old": False, "python": "3.11.2", "free_bytes": 1 << 30, "settings": {}}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"is_old": True, "python": "3.9.2"}, "got Python 3.9.2, wanted 3.10 or newer"),
        ({"free_bytes": 5 << 20}, "got 5 MB free in its home, wanted 32"),
        (
            {"abi": ""},
            "got programs for an unknown machine, wanted x86_64-linux-gnu (linux_x64); there is no agent for",
        ),
        ({"settings": {"source": "load"}}, "--broker: got none, and pi@a was told none before"),
    ],
)
def test_a_computer_that_cannot_have_an_agent_is_refused(changed, message):
    with pytest.raises(CommandError) as caught:
        refuse_another(load_hardware(BOARD), Place("pi@a"), THERE | changed, False)
    assert message in str(caught.value)


def test_what_is_not_named_stays_as_it_was_told_before():
    board = load_hardware(BOARD)
    assert settings_of(board, Place("pi@a", "b:1"), {}, False) == {"board": BOARD, "broker": "b:1", "source": "load"}
    assert settings_of(board, Place("pi@a"), {"broker": "b:1", "source": "waves"}, False) == {"board": BOARD}


def cross_compiler(abi):
    return subprocess.run(["sh", "-c", f"command -v {computer.COMPILERS[abi][0]}"], capture_output=True).returncode == 0


def test_there_is_an_agent_for_every_computer():
    boards = [load_hardware(name) for name in hardware_names()]
    assert {board.flash[0].abi for board in boards if board.kind == "computer"} == set(computer.COMPILERS)


def test_systemd_takes_the_service(tmp_path):
    unit = tmp_path / "tinyren-agent.service"
    unit.write_text(on_computer.SERVICE.format(python="/usr/bin/python3", program=__file__, log=tmp_path / "log"))
    try:
        ended = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no systemd-analyze here")
    assert "tinyren-agent.service" not in ended.stderr, ended.stderr

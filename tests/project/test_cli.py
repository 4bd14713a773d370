"""The command line: its help, and how commands end that cannot do what they were asked: one line, a code, no change."""

import argparse
import os
import shutil
import socket
import sys

import pytest

from gateway import cli, system
from gateway.commands import reference
from gateway.errors import Exit
from gateway.site import site_file
from gateway.site.site_file import Site
from tests.up_site import ROOT, tinyren

SITE = Site(boards=["qemu_virt_rv32"], epoch_seconds=10, window_seconds=5)
KEY = "1f" * 32


def commands(parser=None):
    """Every subcommand's parser, by name."""
    actions = (parser or cli.parser())._actions
    return next(item for item in actions if isinstance(item, argparse._SubParsersAction)).choices


def verbs(parser=None, before=""):
    """Every command and verb's parser, by all its words."""
    found = {}
    for name, inner in commands(parser).items():
        found[before + name] = inner
        if any(isinstance(item, argparse._SubParsersAction) for item in inner._actions):
            found |= verbs(inner, f"{before}{name} ")
    return found


def run(capsys, *arguments):
    """One command in this process: (exit code, lines on stderr); stdout must stay empty."""
    try:
        code = cli.main([str(argument) for argument in arguments])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr()
    assert said.out == ""
    return code, said.err.splitlines()


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def kept(tmp_path):
    """The folder of a site that was made before, and its files."""
    folder = tmp_path / "site"
    folder.mkdir()
    site_file.write(folder, SITE)
    return folder


def test_each_command_stands_in_one_group_of_the_help_and_in_the_document_of_all():
    """docs/commands.md is written by `python -m gateway.commands.reference docs/commands.md`."""
    assert sorted(reference.names()) == sorted(commands())
    told = reference.overview(cli.parser())
    assert all(f"\n  {name} " in told for name in commands()) and max(map(len, told.splitlines())) <= 80
    assert (ROOT / "docs" / "commands.md").read_text() == reference.markdown(cli.parser())


VERBS = verbs()


@pytest.mark.parametrize("name", VERBS)
def test_every_option_says_what_it_is_for_within_80_columns(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = VERBS[name]
    assert {action.dest for action in parser._actions if not action.help} <= {argparse.SUPPRESS}
    assert max(map(len, parser.format_help().splitlines())) <= 80


def test_help_and_version_go_to_stdout_and_end_well():
    for argument in ("--help", "--version"):
        ended = tinyren(argument)
        assert (ended.returncode, ended.stderr) == (0, "") and ended.stdout.startswith(("usage: tinyren", "tinyren 0."))


def test_a_full_disk_is_told_with_what_to_do(capsys):
    code, lines = run(capsys, "boards", "--write", "/dev/full")
    assert (code, lines) == (
        1,
        ["tinyren: No space left on device; make room (df -h), then run the same command again"],
    )


@pytest.mark.parametrize(("words", "told"), [((), "A gateway as a service:"), (("gateway",), "check everything")])
def test_who_names_no_command_is_shown_all(words, told):
    ended = tinyren(*words)
    assert ended.returncode == 2 and told in ended.stderr and ended.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["fly"], "there is no command 'fly'; see: tinyren --help"),
        (["gatway"], "there is no command 'gatway', did you mean gateway?"),
        (["gateway", "dcotor"], "there is no verb 'dcotor', did you mean doctor?; see: tinyren gateway --help"),
        (["gateway"], "required: VERB; see: tinyren gateway --help"),
        (["up", "--epochs", "0"], "--epochs: got '0', wanted a whole number above 0"),
        (["up", "--epochs", "-1"], "--epochs"),
        (["up", "--epochs", "1e3"], "--epochs: got '1e3'"),
        (["up", "--epochs", "٣"], "--epochs: got '٣'"),
        (["up", "--devices", "x"], "--devices: got 'x'"),
        (["up", "--port", "65536"], "--port: got '65536', wanted a port from 1 to 65535"),
        (["up", "--replay", "/nothing.csv"], "--replay: got '/nothing.csv', wanted a file that is there"),
        (["up", "--key", "/"], "--key: got '/', wanted a file that is there"),
        (["up", "--speed", "1"], "unrecognized arguments: --speed"),
        (["verify"], "SITE"),
        (["verify", "site"], "--epoch"),
        (["emulate"], "--board"),
    ],
)
def test_arguments_that_cannot_be_are_a_usage_error(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, lines = run(capsys, *arguments)
    assert code == 2 and message in lines[-1] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--boards", "nano"], "board: got 'nano', wanted one of qemu_microbit, qemu_mps2_an385, "),
        (["--boards", "qemu_virt_rv32,"], "board: got ''"),
        (["--boards", "qemu_microbit"], "qemu_microbit"),
        (["--devices", "65"], "--devices: got 65, wanted at most 64"),
        (["--epoch-seconds", "7"], "got epoch-seconds 7, window-seconds 5; wanted an epoch of whole windows"),
        (["--window-seconds", "61"], "wanted an epoch of whole windows"),
        (["--epoch-seconds", "86400", "--window-seconds", "1"], "wanted 1 to 65535 windows an epoch"),
        (["--epoch-seconds", "9" * 30, "--window-seconds", "9" * 30], "got 9999999999"),
        (["--epoch-seconds", "86401", "--window-seconds", "86401"], "wanted a whole number from 1 to 86400"),
        (["--rpc", "http://127.0.0.1:1"], "--key is missing"),
        (["--key", __file__], "--key: got one, but this site settles on its embedded chain"),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_is_made(arguments, message, capsys, tmp_path):
    code, lines = run(capsys, "up", "--site", tmp_path / "site", *arguments)
    assert (code, len(lines)) == (Exit.USAGE, 1) and lines[0].startswith("tinyren: ") and message in lines[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epoch-seconds", "20"], "epoch_seconds: got 20, but this site was made with 10"),
        (["--window-seconds", "2"], "window_seconds: got 2, but this site was made with 5"),
        (["--devices", "2"], "boards: got ["),
        (["--boards", "qemu_mps2_an385"], "boards: got ['qemu_mps2_an385'], but"),
        (["--rpc", "http://127.0.0.1:1"], "--rpc: this site settles on its embedded chain"),
    ],
)
def test_a_kept_site_is_not_made_another(arguments, message, capsys, kept):
    before = tree(kept)
    code, lines = run(capsys, "up", "--site", kept, *arguments)
    assert (code, len(lines)) == (Exit.REFUSED, 1) and message in lines[0] and "another --site" in lines[0]
    assert tree(kept) == before


@pytest.mark.parametrize(
    "line", ["epoch_seconds = 0", "window_seconds = 0", "window_seconds = -5", "epoch_seconds = -10", 'boards = ["x"]']
)
def test_a_kept_site_that_somebody_broke_is_refused(line, capsys, kept):
    text = (kept / site_file.NAME).read_text().splitlines()
    (kept / site_file.NAME).write_text("\n".join(line if item.split()[0] == line.split()[0] else item for item in text))
    before = tree(kept)
    code, lines = run(capsys, "up", "--site", kept)
    assert (code, len(lines)) == (Exit.USAGE, 1) and tree(kept) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got no"),
        (b"temperature_c,x,y,z\n", "got no rows"),
        (b"time,x,y,z,u,v\n1,2,3,4,5,6\n", ""),
        (b"temperature_c,x,y,z\n1,2,3\n", "got 3 columns, wanted 4"),
        (os.urandom(4096), ""),
    ],
    ids=["empty", "names alone", "other names", "short row", "noise"],
)
def test_a_broken_recording_is_refused_before_anything_is_made(content, message, capsys, tmp_path):
    recording = tmp_path / "recording.csv"
    recording.write_bytes(content)
    code, lines = run(capsys, "up", "--site", tmp_path / "site", "--replay", recording)
    assert (code, len(lines)) == (Exit.USAGE, 1) and str(recording) in lines[0] and message in lines[0]
    assert list(tmp_path.iterdir()) == [recording]


def test_a_key_file_that_is_no_key_is_refused_and_not_shown(capsys, tmp_path):
    (tmp_path / "key").write_text(KEY + "0")
    more = ["--rpc", "http://127.0.0.1:1", "--key", tmp_path / "key"]
    code, lines = run(capsys, "up", "--site", tmp_path / "site", *more)
    assert (code, len(lines)) == (Exit.USAGE, 1) and KEY not in lines[0]
    assert not (tmp_path / "site").exists()


def test_a_port_in_use_is_told_before_anything_is_made(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, lines = run(capsys, "up", "--site", tmp_path / "site", "--port", port)
    assert (code, len(lines)) == (Exit.PORT, 1) and f"port {port}" in lines[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nothing", "file"])
def test_only_a_site_can_be_verified(name, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, lines = run(capsys, "verify", tmp_path / name, "--epoch", 1)
    assert code in (Exit.USAGE, Exit.FAILED) and len(lines) == 1 and str(tmp_path / name) in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_site_without_its_chain_cannot_be_verified(capsys, kept):
    site_file.write(kept, Site(boards=[], contracts={name: "0x" + "0" * 40 for name in ("r1", "settlement")}))
    before = tree(kept)
    code, lines = run(capsys, "verify", kept, "--epoch", 1)
    assert (code, len(lines)) == (Exit.CHAIN, 1) and "chain.sqlite is missing" in lines[0]
    assert tree(kept) == before


def test_a_program_that_is_missing_is_named_by_its_package(tmp_path):
    (tmp_path / "bin").mkdir()
    for need in system.NEEDS:
        link, program = tmp_path / "bin" / need.command, shutil.which(need.command)
        if program and not link.exists() and not need.command.startswith("qemu-system-riscv"):
            link.symlink_to(program)
    environment = {**os.environ, "PATH": str(tmp_path / "bin")}
    ended = tinyren("up", "--site", tmp_path / "site", env=environment)
    wanted = "tinyren: missing, by Debian's names: qemu-system-misc; there is no apt-get here, install them"
    assert (ended.returncode, ended.stderr.splitlines()) == (Exit.USAGE, [wanted]) and not (tmp_path / "site").exists()


def test_the_installed_command_is_this_one():
    assert os.access(os.path.join(os.path.dirname(sys.executable), "tinyren"), os.X_OK)

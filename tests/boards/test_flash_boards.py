"""Real MicroPython on every emulated board over a pty: recognised, files copied, compared, and gone on with."""

import json
import os
import subprocess

import pytest

from boards.board import agent_board_names, load_board
from boards.build import build
from boards.console import ConsoleError, copy_files, identify, open_console
from boards.emulator import Emulator
from gateway.errors import CommandError, Exit
from gateway.flashing.flash import Request, flash
from gateway.flashing.tools import ask_board, check_port
from gateway.progress import Progress
from tests.up_site import tinyren

# Emulated boards have no file system, so the test gives them one in RAM, in Python; `room` is what it takes, in bytes.
RAM_FILES = """
import io, os, vfs
class _RamFile(io.IOBase):
    def __init__(self, files, path, content):
        self.files, self.path, self.content, self.at = files, path, content, 0
    def readinto(self, buffer):
        part = self.content[self.at : self.at + len(buffer)]
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)
    def write(self, data):
        if sum(len(item) for item in self.files.values() if item) + len(self.content) + len(data) > room:
            raise OSError(28)
        self.content += data
        return len(data)
    def ioctl(self, request, argument):
        return 0
    def close(self):
        self.files[self.path] = bytes(self.content)
class _RamFiles:
    def __init__(self):
        self.files = {}
    def mount(self, readonly, format):
        pass
    def umount(self):
        pass
    def chdir(self, path):
        pass
    def open(self, path, mode):
        path = path.strip("/")
        if "w" in mode:
            return _RamFile(self.files, path, bytearray())
        if self.files.get(path) is None:
            raise OSError(2)
        return _RamFile(self.files, path, self.files[path])
    def stat(self, path):
        if path.strip("/") not in self.files:
            raise OSError(2)
        return (0x4000 if self.files[path.strip("/")] is None else 0x8000,) + (0,) * 9
    def mkdir(self, path):
        if path.strip("/") in self.files:
            raise OSError(17)
        self.files[path.strip("/")] = None
    def remove(self, path):
        del self.files[path.strip("/")]
    def rename(self, old, new):
        if new.strip("/") in self.files:
            raise OSError(17)
        self.files[new.strip("/")] = self.files.pop(old.strip("/"))
room = 6000
_disk = _RamFiles()
vfs.mount(_disk, "/disk")
os.chdir("/disk")
"""
FILES = {"boot.py": b"print('hi')\n", "lib/agent/wire.mpy": bytes(range(256)) * 9, "empty": b""}


@pytest.fixture(params=agent_board_names())
def board(request, tmp_path):
    with Emulator(load_board(request.param), build(load_board(request.param), lambda *_: None).elf, tmp_path) as board:
        yield board


def ignore(_stage, _fraction):
    pass


def on_board(repl):
    return json.loads(
        repl.exec("import json\nprint(json.dumps({k: None if v is None else len(v) for k, v in _disk.files.items()}))")
    )


def test_a_board_is_recognised_and_takes_files_once(board, tmp_path):
    assert ask_board(board.pty).board == board.board.name
    with open_console(board.pty) as repl:
        who = identify(repl)
        assert (who.board, who.firmware) == (board.board.name, "tinyren") and who.version.startswith("1.25.")
        with pytest.raises(ConsoleError, match="has no file system to copy to"):
            copy_files(repl, FILES, ignore)
        repl.exec(RAM_FILES)
        assert copy_files(repl, FILES, ignore) == sorted(FILES)
        sizes = {"lib": None, "lib/agent": None} | {path: len(content) for path, content in FILES.items()}
        assert on_board(repl) == sizes
        assert copy_files(repl, FILES | {"boot.py": b"# new"}, ignore) == ["boot.py"]
        assert on_board(repl) == sizes | {"boot.py": 5}
        with pytest.raises(ConsoleError, match="file system is full"):
            copy_files(repl, {"boot.py": bytes(9000)}, ignore)
        assert repl.exec("_file.close()\nprint(_disk.files['boot.py'])") == "b'# new'\n"
        for path in ("", "/boot.py", "../boot.py", "lib/./x", "x" * 129):
            with pytest.raises(ValueError, match="path: got"):
                copy_files(repl, {path: b""}, ignore)


@pytest.fixture
def one(tmp_path):
    """One emulated board with files in RAM."""
    name = "qemu_virt_rv32"
    with Emulator(load_board(name), build(load_board(name), lambda *_: None).elf, tmp_path / "board") as board:
        with open_console(board.pty) as repl:
            repl.exec(RAM_FILES)
        yield board


@pytest.fixture
def folder(tmp_path):
    for path, content in FILES.items():
        (tmp_path / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / path).write_bytes(content)
    return tmp_path / "files"


def test_the_command_copies_to_a_port_and_says_to_which_board(one, folder):
    command = ["flash", one.pty, "--files", str(folder), "--json"]
    dry = tinyren(*command, "--dry-run")
    assert (dry.returncode, json.loads(dry.stdout)["files_sent"]) == (0, []) and "would copy to" in dry.stderr
    ended = tinyren(*command)
    told = json.loads(ended.stdout)
    assert (ended.returncode, told["board"], told["files_sent"]) == (0, "qemu_virt_rv32", sorted(FILES))
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("RESULT: OK board=qemu_virt_rv32 files=3 total=") and "copy 100 %" in ended.stderr
    assert json.loads(tinyren(*command).stdout)["files_sent"] == []


def test_a_board_that_is_another_than_the_one_named_is_refused_and_gets_nothing(one, folder):
    ended = tinyren("flash", "rpi_pico_w", "--port", one.pty, "--files", str(folder))
    assert ended.returncode == Exit.REFUSED
    assert f"{one.pty}: got qemu_virt_rv32, wanted rpi_pico_w; nothing was copied" in ended.stderr
    with open_console(one.pty) as repl:
        assert on_board(repl) == {}


def test_a_copy_that_was_cut_leaves_the_old_file_and_the_next_one_goes_on(one):
    with open_console(one.pty) as repl:
        copy_files(repl, {"a": b"old", "b": b"old"}, ignore)

        def cut(_stage, fraction):
            if fraction > 0.6:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            copy_files(repl, {"a": bytes(1024), "b": bytes(2048)}, cut)
    with open_console(one.pty) as repl:
        assert on_board(repl) == {"a": 1024, "b": 3}
        assert copy_files(repl, {"a": bytes(1024), "b": bytes(2048)}, ignore) == ["b"]
        assert on_board(repl) == {"a": 1024, "b": 2048}


def test_a_board_that_vanishes_in_mid_copy_is_told_with_what_to_do(one, folder):
    class Pull(Progress):
        def step(self, name, fraction):
            one.stop()

    with pytest.raises(CommandError, match="plug the board in again and run the same command: it goes on|press the"):
        flash(Request(one.pty, files=folder), Pull(), look=list)


def test_a_port_that_another_process_holds_is_refused_with_its_name(one):
    port = os.open(one.pty, os.O_RDWR | os.O_NOCTTY)
    try:
        other = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, pass_fds=[port])
    finally:
        os.close(port)
    with other:  # leaving closes its input, by which it ends
        other.stdin.write(b"\n")
        assert other.stdout.readline() == b"\n"
        with pytest.raises(CommandError, match=rf"in use by cat \(process {other.pid}\); end it") as caught:
            check_port(one.pty)
    assert caught.value.code == Exit.PORT
    check_port(one.pty)

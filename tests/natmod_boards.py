"""Stock MicroPython with one native module imported: on an emulated core, instructions counted, or as the unix port."""

import subprocess

import pytest

from boards import natmod
from boards.board import board_names, load_board
from boards.emulator import EmulatorError
from boards.unix import build_unix

HOSTS = [name for name in board_names() if load_board(name).natmod]
REPL_S = 60.0  # a board without a multiplier takes its time


def ignore(*_):
    pass


class Board:
    """An emulated board; `took_bytes` of its heap went to the module."""

    def __init__(self, name, module, folder):
        self.name, self.module = name, module
        self.board = load_board(name)
        content = natmod.build_native_module(self.board.natmod["arch"], ignore, module).read_bytes()
        self.emulator, self.places = natmod.stock_emulator(self.board, folder, {module: content}, ignore, icount=True)

    def __enter__(self):
        self.emulator.start()
        self.repl = self.emulator.open_repl(REPL_S)
        self.exec(natmod.counter_program(self.board))
        free_bytes = self.free_bytes()
        self.load()
        self.took_bytes = free_bytes - self.free_bytes()
        return self

    def __exit__(self, *_):
        self.repl.close()
        self.emulator.stop()

    def load(self):
        """Import the module, anew if it was imported before."""
        program = natmod.import_laid(self.places[self.module], self.module)
        self.exec(f"import sys\nsys.modules.pop({self.module!r}, 0)\n{program}\nfrom {self.module} import *")

    def exec(self, code):
        return self.repl.exec(code)

    def refusal(self, code):
        """What `code` raises."""
        with pytest.raises(EmulatorError) as raised:
            self.exec(code)
        return str(raised.value).removeprefix(f"{self.name}: ")

    def count(self, call):
        """Instructions of the expression `call`."""
        counter = self.board.emulator["counter"]
        return self.repl.count(counter["address"], call, "pass", counter.get("capture")) * counter["nanoseconds"]

    def free_bytes(self):
        return int(self.exec("import gc\ngc.collect()\ngc.collect()\nprint(gc.mem_free())"))


class Unix:
    """MicroPython's unix port; every program begins anew with what was executed before and printed nothing."""

    name = "unix"

    def __init__(self, _name, module, folder):
        self.folder, self.module = folder, module
        (folder / f"{module}.mpy").write_bytes(natmod.build_native_module("x64", ignore, module).read_bytes())
        self.program = build_unix(ignore)

    def __enter__(self):
        self.load()
        return self

    def __exit__(self, *_):
        pass

    def load(self):
        self.begin = f"from {self.module} import *\n"

    def _run(self, code):
        command = [self.program, "-c", self.begin + code]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=30)

    def exec(self, code):
        done = self._run(code)
        assert done.returncode == 0, done.stderr
        if not done.stdout:
            self.begin += code + "\n"
        return done.stdout

    def refusal(self, code):
        return self._run(code).stderr.strip().splitlines()[-1]


def open_stock(name, module, folder):
    """name: a board's of HOSTS, or "unix"; to be entered."""
    return (Unix if name == "unix" else Board)(name, module, folder)

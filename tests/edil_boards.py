"""EDIL's functions on MicroPython: on emulated boards and the unix port, in our firmware or as a native module."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from boards import natmod
from boards.board import load_board
from boards.build import build
from boards.emulator import Emulator, EmulatorError
from boards.unix import build_unix, build_unix_agent
from tests.edil_refusals import READ_ONLY, REFUSALS, SETUP, SHARED, WORK

VECTORS = json.loads((Path(__file__).parent / "vectors" / "edil.json").read_text())["ciphertexts"]
SMALL_HEAP_BYTES = 16384
SMALL_VALUES = 400  # what a board of 16 KiB holds beside 4 KiB of work
FIRMWARE = f"from _tinyren import encrypt, add_moments\n{WORK}\n"
MODULE = f"from {natmod.EDIL_MODULE} import encrypt, add_moments\n{WORK}\n"

ENCRYPT = """
from binascii import hexlify
into = memoryview(work if {ring} == 1024 else bytearray(4 * {ring}))
length = encrypt({ring}, {s_keys}, {a_key}, {noise}, values, {digits}, {count}, into)
for at in range(0, length, 64):
    print(hexlify(into[at : min(at + 64, length)]).decode())
print(any(into[length:]))
del into, values
"""
LOCKED = """
import micropython
z = noise[:2]
micropython.heap_lock()
encrypt(1024, key, key, noise, values, 1, 1, work)
add_moments(sums, z, b"", 127)
micropython.heap_unlock()
print(list(sums))
"""


def ignore(*_):
    pass


class Board:
    """An emulated board that has the functions, in our firmware or as a native module."""

    def __init__(self, kind, name, folder):
        self.name, self.kind, self.folder = name, kind, folder
        self.board = load_board(name)

    def __enter__(self):
        if self.kind == "firmware":
            self.is_small = self.board.heap_bytes < SMALL_HEAP_BYTES
            self.emulator = Emulator(self.board, build(self.board, ignore).elf, self.folder, icount=True)
            begin = FIRMWARE
        else:
            self.is_small = False
            begin = self._lay_module() + MODULE
        self.emulator.start()
        self.repl = self.emulator.open_repl()
        self.exec(begin)
        return self

    def _lay_module(self):
        """Puts module and vectors into the memory of a board with stock MicroPython -> what imports the module there.

        By the console they would be 100 KB, and that of QEMU's micro:bit now and then swallows the end of a message.
        """
        content = natmod.build_native_module(self.board.natmod["arch"], ignore, natmod.EDIL_MODULE).read_bytes()
        contents = {natmod.EDIL_MODULE: content, **{vector["name"]: as_bytes(vector["values"]) for vector in VECTORS}}
        self.emulator, places = natmod.stock_emulator(self.board, self.folder, contents, ignore, icount=True)
        self.laid = {contents[name]: place for name, place in places.items()}
        return natmod.import_laid(places[natmod.EDIL_MODULE], natmod.EDIL_MODULE)

    def __exit__(self, *_):
        self.repl.close()
        self.emulator.stop()

    def exec(self, code):
        return self.repl.exec(code)

    def refusal(self, code):
        with pytest.raises(EmulatorError) as raised:
            self.exec(code)
        return str(raised.value).removeprefix(f"{self.name}: ")


class Unix:
    """MicroPython's unix port; every program begins anew with what was executed before."""

    name, is_small = "unix", False

    def __init__(self, kind, _name, folder):
        self.folder, self.begin = folder, FIRMWARE if kind == "firmware" else MODULE
        self.program = (build_unix_agent if kind == "firmware" else build_unix)(ignore)
        if kind == "natmod":
            module = natmod.build_native_module("x64", ignore, natmod.EDIL_MODULE)
            (folder / module.name).write_bytes(module.read_bytes())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

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


def open_host(kind, name, folder):
    """kind: "firmware" or "natmod"; name: a board's, or "unix"; to be entered."""
    return (Unix if name == "unix" else Board)(kind, name, folder)


def as_bytes(values):
    return b"".join(value.to_bytes(4, "little", signed=True) for value in values)


def give_values(host, values):
    """`values` as a bytearray of int32 on the board, in pieces that its heap can take."""
    content = as_bytes(values)
    if content in getattr(host, "laid", {}):
        host.exec(f"import uctypes\nvalues = bytearray(uctypes.bytearray_at{host.laid[content]})")
        return
    host.exec(f"from binascii import unhexlify\nvalues = bytearray({len(content)})")
    piece = 256 if host.is_small else 2048
    for at in range(0, len(content), piece):
        part = content[at : at + piece]
        host.exec(f"values[{at}:{at + len(part)}] = unhexlify('{part.hex()}')")


def check_vectors(host):
    """Every vector that the host has room for is encrypted to its bytes, and the rest of work is zeros."""
    fitting = [v for v in VECTORS if not host.is_small or (v["ring"] == 1024 and len(v["values"]) < SMALL_VALUES)]
    assert len(fitting) == (9 if host.is_small else len(VECTORS))
    for vector in fitting:
        give_values(host, vector["values"])
        keys = {name: repr(bytes.fromhex(vector[name])) for name in ("s_keys", "a_key", "noise")}
        *lines, rest = host.exec(ENCRYPT.format(**{**vector, **keys})).split()
        packed = bytes.fromhex("".join(lines))
        assert (hashlib.sha256(packed).hexdigest(), rest) == (vector["sha256"], "False"), vector["name"]


def check_refusals(host):
    """What does not fit is refused with its reason, and changes nothing."""
    host.exec(SETUP)
    for call, message in REFUSALS + SHARED:
        assert host.refusal(call) == f"ValueError: {message}", call
        assert host.exec("print(is_unchanged())") == "True\n", call
    for call in READ_ONLY if not host.is_small else READ_ONLY[1:]:
        assert host.refusal(call) == "TypeError: object with buffer protocol required"


def check_heap(host):
    """Neither function allocates."""
    host.exec(SETUP)
    n = ord("n")
    assert host.exec(LOCKED) == f"{[n, n + 1, n * n + 2, n * n + 3, n * n + 4]}\n"

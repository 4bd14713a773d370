"""The kernels as a native module on stock MicroPython of every core: the same bytes and refusals, no allocation."""

import random
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tflite

from boards import natmod
from boards.board import BoardError, board_names, load_board
from boards.emulator import EmulatorError
from boards.unix import build_unix
from device.native.shared import Model
from models.artifact import compile_model
from models.export import Activation, Step, write_chain
from tests.int8_operators import OPERATORS
from tests.models.test_overlap import random_chain

ARTIFACT = (Path(__file__).parents[2] / "models" / "host" / "encoder.ren").read_bytes()
WINDOWS = 100
CODE_BUDGET_BYTES = 24 * 1024
CORTEX_M = [name for name in natmod.ARCHITECTURES if name.startswith("armv")]
HOSTS = [name for name in board_names() if load_board(name).natmod]
LATER = [name for name in HOSTS if load_board(name).natmod["arch"] in CORTEX_M[1:]]

# Marsaglia's xorshift32 makes the windows where they are used.
FILL = """
def fill(window, x):
    for i in range(0, len(window), 4):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        window[i : i + 4] = x.to_bytes(4, "little")[: len(window) - i]
    return x
"""
RUN = """
from binascii import hexlify
window, out, x = bytearray(model.input_bytes), bytearray(model.output_bytes), 1
print(hexlify(model.cid).decode())
for _ in range({count}):
    x = fill(window, x)
    model.run(window, out)
    print(hexlify(out).decode())
"""
LOCKED = """
import micropython
window, out = bytearray(model.input_bytes), bytearray(model.output_bytes)
model.run(window, out)
micropython.heap_lock()
model.run(window, out)
micropython.heap_unlock()
print("ran")
"""
DAMAGED = "ValueError: artifact: digest does not match, it is damaged"
REFUSALS = [
    ("Model(bytearray(40))", "TypeError: artifact: wanted bytes"),
    ("Model(bytes(40))", "ValueError: artifact is not as long as its header says"),
    ("Model(address, -1)", "ValueError: artifact is not as long as its header says"),
    ("Model(address, 40)", "ValueError: artifact is not as long as its header says"),
    (f"Model(bytes(uctypes.bytearray_at(address, {len(ARTIFACT) - 1})) + b'?')", DAMAGED),
    ("model.run(window, bytearray(len(out) + 1))", "ValueError: out: got 17 bytes, wanted 16"),
    ("model.run(window[1:], out)", "ValueError: window: got 127 bytes, wanted 128"),
    ("model.run(window, memoryview(window)[:16])", "ValueError: out: shares memory with window"),
    ("model.run(window, bytes(16))", "TypeError: object with buffer protocol required"),
]


def make_models():
    """An artifact of each operator, its weights and geometry drawn by its name; and chains whose buffers overlap."""
    for name, make in OPERATORS.items():
        yield name, compile_model(write_chain(*make(random.Random(f"natmod {name}"))))
    for seed in range(6):
        yield f"chain {seed}", compile_model(write_chain(*random_chain(random.Random(f"overlap {seed}"))))


def make_lowest():
    """A convolution whose weights are all -128: with a window of -128 its products are as large as any can be."""
    weights, scales, bias = np.full((5, 3, 1, 8), -128, np.int8), (2**-9,) * 5, np.zeros(5, np.int32)
    options = dict.fromkeys(("StrideH", "StrideW", "DilationHFactor", "DilationWFactor"), 1)
    options |= {"Padding": tflite.Padding.VALID, "FusedActivationFunction": tflite.ActivationFunctionType.NONE}
    target = Activation((1, 5, 1, 5), 32.0, 0)
    step = Step("CONV_2D", target, weights, scales, bias, options)
    return compile_model(write_chain(Activation((1, 7, 1, 8), 1.0, 0), [step]))


MODELS = dict(make_models())
LOWEST = make_lowest()


def before(arch):
    return CORTEX_M[CORTEX_M.index(arch) - 1]


def ignore(_stage, _fraction):
    pass


def expected(artifact=ARTIFACT, count=WINDOWS):
    """What RUN is to print, word by word."""
    names, x = {}, 1
    exec(FILL, names)
    model = Model(artifact)
    window, out = bytearray(model.input_bytes), bytearray(model.output_bytes)
    words = [model.cid.hex()]
    for _ in range(count):
        x = names["fill"](window, x)
        model.run(window, out)
        words.append(out.hex())
    return words


class Stock:
    """A board with stock MicroPython, the module imported, `model` made of the artifact that lies in its memory.

    places: address and length of what QEMU lays there: the encoder, modules by their architecture, models by operator.
    """

    def __init__(self, name, folder):
        self.board = load_board(name)
        self.arch = self.board.natmod["arch"]
        self.emulator, self.places = natmod.stock_emulator(self.board, folder, dict(self._parts()), ignore)

    def _parts(self):
        yield "encoder", ARTIFACT
        for arch in (self.arch, before(self.arch)) if self.arch in CORTEX_M[1:] else (self.arch,):
            yield arch, natmod.build_native_module(arch, ignore).read_bytes()
        yield from MODELS.items()

    def __enter__(self):
        self.emulator.start()
        self.repl = self.emulator.open_repl()
        self.repl.exec(f"import uctypes\naddress = {self.places['encoder'][0]}\n{FILL}")
        free_bytes = self.free_bytes()
        self.load(self.arch)
        self.repl.exec(f"from {natmod.MODULE} import Model")
        self.module_bytes = free_bytes - self.free_bytes()
        self.repl.exec(f"model = Model(address, {len(ARTIFACT)})")
        self.model_bytes = free_bytes - self.module_bytes - self.free_bytes()
        return self

    def load(self, arch):
        self.repl.exec(natmod.import_laid(self.places[arch]))

    def __exit__(self, *_):
        self.repl.close()
        self.emulator.stop()

    def free_bytes(self):
        return int(self.repl.exec("import gc\ngc.collect()\ngc.collect()\nprint(gc.mem_free())"))


@pytest.fixture(scope="module", params=HOSTS)
def stock(request, tmp_path_factory):
    with Stock(request.param, tmp_path_factory.mktemp(request.param)) as board:
        yield board


@pytest.fixture(scope="module")
def unix(tmp_path_factory):
    """Runs a program on MicroPython's unix port, where the module can be imported; what it printed."""
    folder = tmp_path_factory.mktemp("unix")
    (folder / "model.ren").write_bytes(ARTIFACT)
    (folder / f"{natmod.MODULE}.mpy").write_bytes(natmod.build_native_module("x64", ignore).read_bytes())
    micropython = build_unix(ignore)

    def run(program):
        begin = f"from {natmod.MODULE} import Model\nmodel = Model(open('model.ren', 'rb').read())\n" + FILL
        done = subprocess.run(
            [micropython, "-c", begin + program], cwd=folder, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_every_architecture_but_that_of_the_unix_port_has_an_emulated_core():
    assert {load_board(name).natmod["arch"] for name in HOSTS} | {"x64"} == set(natmod.ARCHITECTURES)


def test_the_firmware_holds_nothing_of_ours(stock):
    with pytest.raises(EmulatorError, match="ImportError: no module named '_tinyren'"):
        stock.repl.exec("import _tinyren")


def test_embeddings_of_an_artifact_in_mapped_memory_are_those_of_this_machine(stock):
    assert stock.repl.exec(RUN.format(count=WINDOWS)).split() == expected()


IN_BYTES = f"model = Model(bytes(uctypes.bytearray_at(address, {len(ARTIFACT)})))"
AT_AN_ODD_PLACE = f"""
moved = bytearray({len(ARTIFACT) + 1})
moved[1:] = uctypes.bytearray_at(address, {len(ARTIFACT)})
model = Model(uctypes.addressof(moved) + 1, {len(ARTIFACT)})
"""


@pytest.mark.parametrize(("place", "count"), [(IN_BYTES, WINDOWS), (AT_AN_ODD_PLACE, 10)])
def test_embeddings_of_an_artifact_elsewhere_are_the_same(place, count, stock):
    program = f"kept = model\n{place}\n{RUN.format(count=count)}\nmodel = kept\nkept = moved = None"
    assert stock.repl.exec(program).split() == expected(count=count)


def test_random_models_of_every_operator_give_the_bytes_of_this_machine(stock):
    stock.repl.exec("kept = model")
    for name, artifact in MODELS.items():
        printed = stock.repl.exec(f"model = Model{stock.places[name]}\n" + RUN.format(count=4))
        assert printed.split() == expected(artifact, 4), name
    stock.repl.exec("model = kept\ndel kept")


@pytest.mark.parametrize(("window", "value"), [(b"\x80" * 56, 24), (b"\x7f" * 56, -24), (b"\x80\x7f" * 28, 0)])
def test_the_largest_products_do_not_overflow(stock, window, value):
    program = f"out = bytearray(25)\nModel({LOWEST!r}).run({window!r}, out)\nprint(list(out))"
    assert stock.repl.exec(program) == f"{[value & 255] * 25}\n"


def test_a_run_allocates_nothing(stock):
    assert stock.repl.exec(LOCKED) == "ran\n"


@pytest.mark.parametrize(("call", "message"), REFUSALS)
def test_a_bad_argument_is_refused_with_its_name_and_changes_nothing(stock, call, message):
    stock.repl.exec("window, out = bytearray(model.input_bytes), bytearray(model.output_bytes)")
    with pytest.raises(EmulatorError) as raised:
        stock.repl.exec(call)
    assert str(raised.value) == f"{stock.board.name}: {message}"
    assert stock.repl.exec("print(any(window), any(out))") == "False False\n"


def test_a_model_takes_its_arena_and_no_copy_of_the_artifact(stock):
    arena_bytes = int(stock.repl.exec("print(model.arena_bytes)"))
    assert arena_bytes <= stock.model_bytes <= arena_bytes + 512 < len(ARTIFACT)


def test_the_module_takes_its_own_size_of_ram_and_little_more(stock):
    module = natmod.build_native_module(stock.arch, ignore)
    assert 0 < stock.module_bytes <= module.stat().st_size + 1024


def test_a_module_of_another_architecture_is_refused(stock):
    own = stock.arch
    others = set(natmod.ARCHITECTURES) - {own} - set(CORTEX_M[: CORTEX_M.index(own)] if own in CORTEX_M else ())
    for arch in others:
        header = natmod.build_native_module(arch, ignore).read_bytes()[:64]
        stock.repl.exec(f"import sys\nsys.modules.pop({natmod.MODULE!r}, 0)")
        with pytest.raises(EmulatorError, match="ValueError: incompatible .mpy arch"):
            stock.repl.exec(natmod.import_program(repr(header)))
        stock.repl.exec("vfs.umount('/native')\nsys.path.remove('/native')")


@pytest.mark.parametrize("stock", LATER, indirect=True)
def test_a_module_of_the_cortex_m_before_runs_on_the_one_after(stock):
    stock.repl.exec(f"import sys\nsys.modules.pop({natmod.MODULE!r}, 0)")
    stock.load(before(stock.arch))
    setup = f"kept = model\nmodel = {natmod.MODULE}.Model(address, {len(ARTIFACT)})\n"
    assert stock.repl.exec(setup + RUN.format(count=3) + "model = kept\ndel kept").split() == expected(count=3)


@pytest.mark.parametrize("arch", natmod.ARCHITECTURES)
def test_a_module_is_within_the_budget_of_code(arch):
    assert natmod.build_native_module(arch, ignore).stat().st_size <= CODE_BUDGET_BYTES


def test_the_unix_port_gives_the_same_embeddings_and_allocates_nothing(unix):
    assert unix(RUN.format(count=WINDOWS)).split() == expected()
    assert unix(LOCKED) == "ran\n"


@pytest.mark.parametrize(("call", "message"), [row for row in REFUSALS if "address" not in row[0]])
def test_the_unix_port_refuses_the_same(unix, call, message):
    program = "window, out = bytearray(model.input_bytes), bytearray(model.output_bytes)\n"
    program += f"try:\n    {call}\nexcept Exception as error:\n    print(type(error).__name__ + ':', error)\n"
    assert unix(program) == message + "\n"


def test_an_unknown_architecture_and_a_board_without_stock_firmware_are_refused():
    with pytest.raises(BoardError, match="arch: got 'z80', wanted one of armv6m, "):
        natmod.build_native_module("z80", ignore)
    with pytest.raises(BoardError, match="natmod: got none"):
        natmod.build_stock(replace(load_board(HOSTS[0]), natmod=None), ignore)

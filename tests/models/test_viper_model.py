"""The viper fallback: the C kernels' bytes on CPython and on stock MicroPython of every core, or a refusal by name."""

import random
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from boards import natmod
from boards.board import load_board
from boards.emulator import Emulator, EmulatorError
from boards.unix import build_unix
from device.agent.sampling import LinkSource, Sampler
from device.native import shared, viper_model
from models.artifact import DIGEST_BYTES, HEADER, RECORD, compile_model, macs, seal
from models.export import Activation, Step, write_chain
from tests.agent.test_natmod import DAMAGED, FILL, HOSTS, LOCKED, RUN, expected, ignore
from tests.int8_operators import OPERATORS, random_conv, random_depthwise
from tests.models.test_int8 import random_windows

ROOT = Path(__file__).parents[2]
ENCODERS = {path.parent.name: path.read_bytes() for path in sorted(ROOT.glob("models/*/encoder.ren"))}
HOST = ENCODERS["host"]
BOARDS = [name for name in HOSTS if load_board(name).natmod["arch"] in ("armv6m", "armv7m", "rv32imc")]  # the emitters
SOURCE = Path(viper_model.__file__).read_text()
INSTRUCTIONS_PER_MAC_MAX = 100


def make_layers():
    """Artifacts of one random CONV or DEPTHWISE."""
    for seed in range(80):
        yield compile_model(write_chain(*(random_conv, random_depthwise)[seed % 2](random.Random(f"viper {seed}"))))


LAYERS = list(make_layers())


def with_bytes(at, form, *values):
    content = bytearray(HOST[:-DIGEST_BYTES])
    struct.pack_into(form, content, at, *values)
    return seal(bytes(content))


def with_record(layer, at, form, *values):
    return with_bytes(HEADER.size + layer * RECORD.size + at, form, *values)


TABLE = struct.unpack_from("<I", HOST, HEADER.size + 44)[0]
ARENA_BYTES = struct.unpack_from("<I", HOST, 20)[0]
BAD = {
    "empty": (b"", "as long as"),
    "cut": (HOST[:-1], "as long as"),
    "REN2": (with_bytes(0, "4s", b"REN2"), "REN3"),
    "damaged": (HOST[:-1] + b"?", "digest does not match"),
    "no layers": (with_bytes(8, "<I", 0), "names no layer"),
    "layers beyond the end": (with_bytes(8, "<I", 1 << 30), "as long as"),
    "no window": (with_bytes(12, "<I", 0), "empty or too large"),
    "arena of 4 GiB": (with_bytes(20, "<I", 0xFFFFFFFF), "too large"),
    "arena one too small": (with_bytes(20, "<I", 367), "layer 3 CONV: outside the arena"),
    "another window": (with_bytes(12, "<I", 127), "layer 0 CONV: outside"),
    "kind 11": (with_record(0, 0, "<B", 11), "layer 0 of kind 11: wanted CONV or DEPTHWISE"),
    "kind 0": (with_record(0, 0, "<B", 0), "layer 0 of kind 0: wanted CONV or DEPTHWISE"),
    "SOFTMAX": (with_record(4, 0, "<B", 9), "layer 4 SOFTMAX: wanted CONV or DEPTHWISE"),
    "not narrow": (with_record(1, 5, "<B", 0), "layer 1 DEPTHWISE: got one that is not narrow"),
    "kernel of 0": (with_record(0, 8, "<B", 0), "do not fit"),
    "no output": (with_record(0, 22, "<H", 0), "do not fit"),
    "more output channels than depthwise input": (with_record(1, 26, "<H", 9), "do not fit"),
    "clamp upside down": (with_record(0, 3, "<bb", 1, 0), "do not fit"),
    "destination beyond the arena": (with_record(0, 32, "<I", 0xFFFFFFFE), "outside the arena"),
    "weights beyond the end": (with_record(4, 40, "<I", len(HOST) - DIGEST_BYTES - 1020), "weights or table outside"),
    "weights at an odd place": (with_record(0, 40, "<I", 397), "weights or table outside"),
    "table beyond the end": (with_record(0, 44, "<I", len(HOST) - DIGEST_BYTES), "weights or table outside"),
    "negative multiplier": (with_bytes(TABLE + 4, "<i", -1), "multiplier below 0"),
    "shift of 0": (with_bytes(TABLE + 8, "<i", 0), "shift outside"),
    "shift of -32": (with_bytes(TABLE + 8, "<i", -32), "shift outside"),
}


def run_both(artifact, seed, count=3):
    """Outputs of the fallback and of the C kernels, each a list."""
    slow, fast, outputs = viper_model.Model(artifact), shared.Model(artifact), ([], [])
    for window in random_windows(random.Random(seed), (slow.input_bytes,), count):
        for model, kept in zip((slow, fast), outputs, strict=True):
            out = bytearray(model.output_bytes)
            model.run(window.tobytes(), out)
            kept.append(bytes(out))
    return outputs


@pytest.mark.parametrize("name", ["host", "motion", "vibration"])
def test_shipped_encoders_give_the_kernels_bytes_and_facts(name):
    slow, fast = run_both(ENCODERS[name], name, 20)
    assert slow == fast
    model, kernels = viper_model.Model(ENCODERS[name]), shared.Model(ENCODERS[name])
    for fact in ("input_bytes", "output_bytes", "arena_bytes", "cid"):
        assert getattr(model, fact) == getattr(kernels, fact)


def test_random_layers_give_the_kernels_bytes():
    for seed, artifact in enumerate(LAYERS):
        slow, fast = run_both(artifact, seed)
        assert slow == fast


@pytest.mark.parametrize("case", BAD)
def test_a_bad_or_foreign_artifact_is_refused_with_the_reason(case):
    artifact, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        viper_model.Model(artifact)


def test_every_other_operator_is_refused_by_name_when_the_artifact_is_loaded():
    refused = 0
    for name, make in OPERATORS.items():
        artifact = compile_model(write_chain(*make(random.Random(f"viper {name}"))))
        layers = struct.unpack_from("<I", artifact, 8)[0]
        kinds = [artifact[HEADER.size + RECORD.size * index] for index in range(layers)]
        if max(kinds) > 2:
            with pytest.raises(
                ValueError, match=r"^layer \d+ \w+: (wanted CONV or DEPTHWISE|got one that is not narrow)"
            ):
                viper_model.Model(artifact)
            refused += 1
    assert refused >= 14


@pytest.mark.parametrize(("rows", "fits"), [(50, True), (51, False)])
def test_a_model_above_50000_multiply_accumulates_is_refused(rows, fits):
    weights, scales, bias = np.ones((100, 10), np.int8), (0.01,) * 100, np.zeros(100, np.int32)
    options = {"FusedActivationFunction": 0, "WeightsFormat": 0}
    step = Step("FULLY_CONNECTED", Activation((rows, 100), 0.5, 3), weights, scales, bias, options)
    content = write_chain(Activation((rows, 10), 0.05, 3), [step])
    assert macs(content) == 1000 * rows
    if fits:
        viper_model.Model(compile_model(content))
    else:
        with pytest.raises(ValueError, match="^model: got 51000 multiply-accumulates or more, wanted at most 50000$"):
            viper_model.Model(compile_model(content))


class Strict(bytearray):
    """No index from the end: what viper would take for memory before the buffer."""

    def __getitem__(self, at):
        assert at >= 0
        return super().__getitem__(at)

    def __setitem__(self, at, value):
        assert at >= 0
        super().__setitem__(at, value)


def test_sealed_mutants_are_refused_or_stay_inside_their_buffers():
    rng, ran = random.Random(7), 0
    for base in rng.choices(LAYERS, k=400):
        content, records = bytearray(base[:-DIGEST_BYTES]), HEADER.size + RECORD.size
        for _ in range(rng.randint(1, 3)):
            content[rng.randrange(8, rng.choice([records, len(content)]))] = rng.choice([0, 1, 2, 3, 127, 128, 255])
        content[HEADER.size + 5] |= 1  # narrow
        artifact = seal(bytes(content))
        try:
            model = viper_model.Model(artifact)
        except ValueError:
            continue
        model._patch = Strict(model._patch)
        model.run(Strict(model.input_bytes), Strict(model.output_bytes))
        ran += 1
    assert 40 < ran < 360


@pytest.mark.parametrize("window, out", [(127, 16), (129, 16), (0, 16), (128, 15), (128, 17)])
def test_a_window_or_out_of_another_length_leaves_out_as_it_was(window, out):
    target = bytearray(b"\x55" * out)
    with pytest.raises(ValueError, match="got .* bytes, wanted"):
        viper_model.Model(HOST).run(bytes(window), target)
    assert target == b"\x55" * out


# Stock MicroPython, on which the source is compiled


@pytest.fixture(scope="module", params=BOARDS)
def stock(request, tmp_path_factory):
    """The REPL of a board with stock MicroPython that has compiled the fallback."""
    board = natmod.stock_board(load_board(request.param))
    firmware = natmod.build_stock(board, ignore)
    with Emulator(board, firmware, tmp_path_factory.mktemp(board.name), icount=True) as emulator:
        with emulator.open_repl() as repl:
            repl.exec(SOURCE)
            repl.exec(FILL)
            yield board, repl


def load(repl, artifact):
    repl.exec(f"model = artifact = None\nimport gc\ngc.collect()\nartifact = {artifact!r}\nmodel = Model(artifact)")


@pytest.mark.parametrize("name", ["host", "motion", "vibration"])
def test_shipped_encoders_give_the_bytes_of_this_machine_on_stock_firmware_and_allocate_nothing(stock, name):
    board, repl = stock
    load(repl, ENCODERS[name])

    assert repl.exec(RUN.format(count=8)).split() == expected(ENCODERS[name], 8)
    assert repl.exec(LOCKED) == "ran\n"

    counter, setup = board.emulator["counter"], natmod.counter_program(board)
    moved = repl.count(counter["address"], "model.run(window, out)", setup, counter.get("capture"))
    content = (ROOT / "models" / name / "encoder.tflite").read_bytes()
    assert 10 < moved * counter["nanoseconds"] / macs(content) <= INSTRUCTIONS_PER_MAC_MAX


def test_random_layers_give_the_bytes_of_this_machine_on_stock_firmware(stock):
    _, repl = stock
    for artifact in LAYERS[:6]:
        load(repl, artifact)
        assert repl.exec(RUN.format(count=2)).split() == expected(artifact, 2)


REFUSALS = [
    ("Model(artifact[:-1] + b'?')", DAMAGED),
    ("Model(artifact[:-1])", "ValueError: artifact is not as long as its header says"),
    ("model.run(window, bytes(16))", "TypeError: "),
    ("model.run(window, memoryview(bytes(16)))", "TypeError: "),
    ("model.run(window, bytearray(17))", "ValueError: out: got 17 bytes, wanted 16"),
    ("model.run(window[1:], out)", "ValueError: window: got 127 bytes, wanted 128"),
    ("model.run(list(window), out)", "TypeError: "),
]


def test_stock_firmware_refuses_the_same_and_changes_nothing(stock):
    _, repl = stock
    load(repl, HOST)
    repl.exec("window, out = bytearray(model.input_bytes), bytearray(model.output_bytes)")
    for call, message in REFUSALS:
        with pytest.raises(EmulatorError) as raised:
            repl.exec(call)
        assert message in str(raised.value), call
        assert repl.exec("print(any(window), any(out))") == "False False\n", call


def test_the_unix_port_gives_the_bytes_of_this_machine(tmp_path):
    (tmp_path / "viper_model.py").write_text(SOURCE)
    artifacts = [*ENCODERS.values(), *LAYERS[:30]]
    program = f"from viper_model import Model\n{FILL}\nfor artifact in {artifacts!r}:\n    model = Model(artifact)\n"
    program += "".join(f"    {line}\n" for line in RUN.format(count=3).strip().splitlines())
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([build_unix(ignore), "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [word for artifact in artifacts for word in expected(artifact, 3)]


FEED = """
from binascii import hexlify
from struct import pack
source = LinkSource()
sampler = Sampler(source, model, (0,) * 4, (0,) * 4, 0)
for now_ms in range(0, 50 * 96, 50):
    source.push("test", pack("<4h", now_ms % 251 - 125, now_ms % 13, -now_ms % 127, now_ms % 97))
    sampler.tick(now_ms)
chain = hexlify(sampler.chain).decode()
"""
AGENT_PROGRAM = """
from agent.sampling import LinkSource, Sampler
for name in ("_tinyren", "tinyren_model"):
    try:
        __import__(name)
    except ImportError as error:
        print(error)
from viper_model import Model
model = Model(open("encoder.ren", "rb").read())
"""


def test_on_stock_firmware_an_agents_sampler_that_is_given_the_fallback_makes_the_kernels_chain(tmp_path):
    shutil.copytree(ROOT / "device" / "agent", tmp_path / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "viper_model.py").write_text(SOURCE)
    (tmp_path / "encoder.ren").write_bytes(HOST)
    here = {"LinkSource": LinkSource, "Sampler": Sampler, "model": shared.Model(HOST)}
    exec(FEED, here)

    program = AGENT_PROGRAM + FEED + "print(sampler.count, chain)"
    done = subprocess.run([build_unix(ignore), "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    absent = [f"no module named '{name}'" for name in ("_tinyren", "tinyren_model")]
    assert done.stdout.splitlines() == [*absent, f"3 {here['chain']}"]

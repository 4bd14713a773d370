"""`tinyren model`: what it says and how it ends, on this machine and on every emulated board, for good and bad."""

import json
import random
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import tflite

from boards.board import board_names
from device.native.shared import Model
from gateway.cli import main
from models import check
from models.artifact import compile_model
from models.export import Activation, Step, write_chain
from models.inputs import make_inputs
from tests.models.test_int8 import run_reference
from tests.models.test_model import element, field, options, patched, tensor

ROOT = Path(__file__).parents[2]
HOST = ROOT / "models" / "host" / "encoder.tflite"
FACTS = {"board", "core", "inputs", "identical", "max_abs_diff", "arena_bytes", "artifact_bytes", "instructions",
         "instructions_per_mac"}  # fmt: skip


def command(*words):
    return main(["model", *map(str, words)])


def told(capsys):
    """The one line of stderr that is the command's error."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tinyren: ")]
    assert len(lines) == 1
    return lines[0]


def pointwise(side, channels):
    """Two 1x1 convolutions; between them a tensor int8[side, side, channels] in the arena."""
    rng = np.random.default_rng(5)
    source = Activation((1, side, side, 1), 0.05, 3)
    wide = Activation((1, side, side, channels), 0.06, -5)
    target = Activation((1, side, side, 1), 0.07, 9)
    steps = []
    for ins, outs, output in ((1, channels, wide), (channels, 1, target)):
        weights = rng.integers(-127, 128, (outs, 1, 1, ins), dtype=np.int8)
        bias = rng.integers(-500, 500, outs, dtype=np.int32)
        geometry = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationWFactor": 1, "DilationHFactor": 1}
        steps.append(Step("CONV_2D", output, weights, (0.01,) * outs, bias, geometry))
    return write_chain(source, steps)


@pytest.fixture
def model(tmp_path):
    """A function that writes bytes as a model's file."""

    def write(content):
        (tmp_path / "m.tflite").write_bytes(content)
        return tmp_path / "m.tflite"

    return write


def test_every_board_gives_the_references_bytes_and_tells_what_a_run_takes(capsys):
    assert command("check", HOST, "--inputs", 40, "--seed", 7, "--json") == 0

    result = json.loads(capsys.readouterr().out)
    assert [row["board"] for row in result["boards"]] == ["cpython", "unix_x64", "aarch64", *board_names()]
    ran = [row for row in result["boards"] if "skipped" not in row]
    assert len(ran) >= 4 and all("is not installed" in row["skipped"] for row in result["boards"] if row not in ran)
    for row in ran:
        assert set(row) == FACTS
        assert (row["identical"], row["max_abs_diff"], row["inputs"]) == (True, 0, 40), row
        assert row["artifact_bytes"] == result["artifact_bytes"] == len(compile_model(HOST.read_bytes()))
        if row["board"] in check.HOSTS:
            assert (row["instructions"], row["instructions_per_mac"]) == (None, None)
        else:
            assert row["instructions_per_mac"] == round(row["instructions"] / result["macs"], 2)
            assert result["macs"] < row["instructions"] < 40 * result["macs"]


def test_a_model_larger_than_the_firmwares_heap_runs_in_place_with_its_arena_in_memory(model, capsys):
    path = model(pointwise(100, 32))  # 320,000 bytes of arena

    assert command("check", path, "--boards", "qemu_mps2_an385,qemu_virt_rv32", "--inputs", 2, "--json") == 0

    result = json.loads(capsys.readouterr().out)
    assert [row["identical"] for row in result["boards"]] == [True, True] and result["arena_bytes"] >= 320_000

    rng = np.random.default_rng(2)
    weights = rng.integers(-127, 128, (8, 60_000), dtype=np.int8)
    dense = Step("FULLY_CONNECTED", Activation((1, 8), 0.5, 1), weights, (0.01,) * 8, np.zeros(8, np.int32))
    path = model(write_chain(Activation((1, 60_000), 0.05, 3), [dense]))

    assert command("check", path, "--boards", "qemu_mps2_an385,qemu_virt_rv32", "--inputs", 3, "--json") == 0

    rows = json.loads(capsys.readouterr().out)["boards"]
    assert [row["identical"] for row in rows] == [True, True] and rows[0]["artifact_bytes"] > 480_000


def test_one_wrong_weight_in_what_runs_is_seen_and_ends_with_1(monkeypatch, capsys):
    content = bytearray(HOST.read_bytes())
    at, _ = weights_of(HOST.read_bytes(), b"0.w")
    content[at] ^= 0x40
    monkeypatch.setattr(check, "compile_model", lambda _: compile_model(bytes(content)))

    assert command("check", HOST, "--boards", "cpython", "--json") == 1

    row = json.loads(capsys.readouterr().out)["boards"][0]
    assert row["identical"] is False and row["max_abs_diff"] > 0


def weights_of(content, name):
    root = tflite.Model.GetRootAs(content, 0)
    buffer = root.Buffers(tensor(root, name).Buffer())
    return element(buffer, 0, 0, "<b")


def test_the_seed_gives_the_inputs_and_another_seed_gives_others():
    one, again, other = (list(make_inputs(100, seed, 3)) for seed in (1, 1, 2))

    assert one == again and len(set(one + other)) == 6 and all(len(window) == 100 for window in one)
    values = np.frombuffer(b"".join(make_inputs(1000, 3, 50)), np.int8)
    assert (values.min(), values.max()) == (-128, 127) and abs(values.mean()) < 2


def test_the_reference_in_a_process_of_its_own_is_the_reference():
    content = HOST.read_bytes()
    outputs = check.reference_outputs(content, 9, 5, 16)

    windows = [np.frombuffer(window, np.int8) for window in make_inputs(128, 9, 5)]
    assert [row.tobytes() for row in outputs] == run_reference(content, windows)


def test_compile_writes_the_artifact_beside_the_model_or_where_it_is_told(model, tmp_path, capsys):
    path = model(HOST.read_bytes())

    assert command("compile", path) == 0
    assert command("compile", path, "-o", tmp_path / "x", "--json") == 0

    assert path.with_suffix(".ren").read_bytes() == (tmp_path / "x").read_bytes() == compile_model(HOST.read_bytes())
    assert Model((tmp_path / "x").read_bytes()).output_bytes == 16
    assert "bafkrei" in capsys.readouterr().out
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.ren", "m.tflite", "x"]


def test_bench_prints_a_line_a_board(capsys):
    assert command("bench", HOST, "--boards", "cpython,qemu_mps2_an385") == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "identical" in lines[1] and "per MAC" in lines[2]


REFUSED = {
    "empty": (b"", "file identifier"),
    "text": (b"# not a model\n", "file identifier"),
    "cut": (HOST.read_bytes()[:3000], "tensor 0: cut off or damaged, wanted a whole flatbuffer"),
    "cut at its start": (HOST.read_bytes()[:16], "file: cut off or damaged, wanted a whole flatbuffer"),
    "float": (patched(lambda m: field(tensor(m, b"input"), 1, "<b"), 1), "operator 0 CONV_2D .* tensor input"),
    "no scale": (patched(lambda m: element(tensor(m, b"1").Quantization(), 2, -1, "<i"), 0), "tensor 1: scales"),
    "negative shape": (patched(lambda m: element(tensor(m, b"input"), 0, 1, "<i"), -4), "operator 0 .* tensor input"),
    "huge shape": (patched(lambda m: element(tensor(m, b"input"), 0, 1, "<i"), 2**31 - 1), "operator 0 "),
    "stride": (patched(lambda m: field(options(m, tflite.Conv2DOptions, 0), 2, "<i"), 0), "operator 0 CONV_2D"),
}


@pytest.mark.parametrize("verb", ["check", "compile"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_model_is_refused_by_name_in_one_line_with_2(case, verb, model, capsys):
    content, message = REFUSED[case]
    path = model(content)

    assert command(verb, path) == 2

    line = told(capsys)
    assert re.search(message, line), line
    assert not path.with_suffix(".ren").exists()


@pytest.mark.parametrize("board, program, package", [
    ("aarch64", "qemu-aarch64", "qemu-user"),
    ("aarch64", "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"),
    ("unix_x64", "gcc", "gcc libc6-dev"),
    ("qemu_microbit", "qemu-system-arm", "qemu-system-arm"),
])  # fmt: skip
def test_a_board_whose_tool_is_missing_is_skipped_with_the_package_to_install(
    board, program, package, monkeypatch, capsys
):
    find = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, *rest, **more: name != program and find(name, *rest, **more))

    assert command("check", HOST, "--boards", f"cpython,{board}", "--inputs", 1, "--json") == 0
    here, there = json.loads(capsys.readouterr().out)["boards"]
    assert here["identical"]
    if board == "aarch64" and not find("qemu-aarch64"):
        program, package = "qemu-aarch64", "qemu-user"
    assert there == {"board": board, "skipped": f"{program} is not installed: apt-get install {package}"}


@pytest.mark.parametrize("board, shape, what", [
    ("qemu_mps2_an385", (1000, 15), "memory (its largest: tensor 0, shape (1, 1000, 1000, 15)), wanted at most 16777"),
    ("qemu_microbit", (30, 12), "heap (its largest: tensor 0, shape (1, 30, 30, 12)), wanted at most 11264"),
    ("qemu_microbit", (25, 14), "heap (its largest: tensor 0, shape (1, 25, 25, 14)), wanted at most what the firm"),
])  # fmt: skip
def test_a_model_larger_than_a_board_is_skipped_and_is_an_error_if_no_other_runs_it(board, shape, what, model, capsys):
    path = model(pointwise(*shape))

    assert command("check", path, "--boards", f"cpython,{board}", "--inputs", 1, "--json") == 0
    here, there = json.loads(capsys.readouterr().out)["boards"]
    assert here["identical"] and set(there) == {"board", "skipped"} and what in there["skipped"]

    assert command("check", path, "--boards", board, "--inputs", 1) == 2
    assert there["skipped"] in told(capsys)


def test_an_oversized_file_is_refused_before_it_is_read(tmp_path, capsys):
    path = tmp_path / "large.tflite"
    with open(path, "wb") as file:
        file.truncate(check.FILE_MAX_BYTES + 1)

    assert command("check", path) == 2
    assert "wanted at most 67108864" in told(capsys)


@pytest.mark.parametrize("content, message", [(b"", "file identifier: got b''"), (None, "No such file or directory")])
def test_of_several_files_the_one_that_is_refused_is_named(content, message, model, capsys, tmp_path):
    path = tmp_path / "m.tflite" if content is None else model(content)

    assert main(["qualify", "--boards", "cpython", "--inputs", "1", str(path)]) == 2
    assert told(capsys).startswith(f"tinyren: {path}: {message}")


@pytest.mark.parametrize("words, message", [
    (["nowhere.tflite"], "No such file"),
    (["tests"], "directory"),
    ([HOST, "--boards", "qemu_x"], "got 'qemu_x', wanted one of cpython, "),
    ([HOST, "--boards", ""], "got '', wanted one of cpython, "),
])  # fmt: skip
def test_wrong_arguments_end_with_2(words, message, capsys):
    assert command("check", *words) == 2
    assert message in told(capsys)


@pytest.mark.parametrize("option, value", [("--inputs", "0"), ("--seed", "4294967296"), ("--seed", "-1")])
def test_a_number_out_of_range_is_a_usage_error(option, value):
    with pytest.raises(SystemExit, match="2"):
        command("check", HOST, f"{option}={value}")


def test_a_recipe_that_there_is_not_is_refused(capsys):
    assert command("train", "nothing") == 2
    assert "model: got 'nothing', wanted one of host" in told(capsys)


def test_without_tflite_runtime_the_extra_is_named(monkeypatch, capsys):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)

    assert command("check", HOST, "--boards", "cpython") == 2
    assert "tflite-runtime is not installed: pip install tinyren[models]" in told(capsys)


def test_without_the_packages_of_models_the_extra_is_named():
    words = ["model", "check", str(HOST)]
    code = f"import sys; sys.modules['tflite'] = None; from gateway.cli import main; sys.exit(main({words}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (2, "tinyren: tflite is not installed: pip install tinyren[models]\n")


def mutated(rng, content):
    content = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(content))
        content[at] = rng.choice([0, 1, 127, 128, 255, content[at] ^ 1 << rng.randrange(8), rng.randrange(256)])
    return bytes(content[: rng.choice([len(content)] * 3 + [rng.randrange(len(content))])])


@pytest.mark.parametrize("verb, count", [(("compile",), 300), (("check", "--boards", "cpython", "--inputs", "1"), 12)])
def test_whatever_a_model_file_holds_a_command_ends_with_a_code_and_one_line(verb, count, model, capsys):
    rng, content = random.Random(17), HOST.read_bytes()
    for _ in range(count):
        path = model(mutated(rng, content))
        code = command(*verb, path)
        assert code in (0, 1, 2)
        if code == 2:
            line = told(capsys)
            assert line.isprintable() and len(line) < 450
        assert code != 1, path.read_bytes()  # what both take, both compute alike

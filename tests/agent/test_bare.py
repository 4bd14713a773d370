"""The program without MicroPython on every emulated core, and the one for an operating system: this machine's bytes, a
count that repeats, and a refusal of what is no artifact."""

import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from boards.aarch64 import FLAGS
from boards.bare import kernel_bytes, run_bare
from boards.board import BoardError, board_names, load_board
from boards.build import NATIVE
from boards.natmod import compile_c
from device.native.shared import SOURCES, Model
from models.artifact import compile_model
from models.export import write_chain
from models.inputs import make_inputs
from tests.int8_operators import OPERATORS

ARTIFACT = (Path(__file__).parents[2] / "models" / "host" / "encoder.ren").read_bytes()
CODE_BUDGET_BYTES = 24 * 1024
TIMES = 20


def expected(artifact, count=1):
    """Windows and this machine's outputs."""
    model = Model(artifact)
    windows, outputs, out = list(make_inputs(model.input_bytes, 3, count)), [], bytearray(model.output_bytes)
    for window in windows:
        model.run(window, out)
        outputs.append(bytes(out))
    return windows, outputs


def run(board, artifact, times=TIMES, **facts):
    model = Model(artifact)
    (window,), _ = expected(artifact)
    sizes = {"arena_bytes": model.arena_bytes, "out_bytes": model.output_bytes} | facts
    return run_bare(load_board(board), artifact, window, times=times, **sizes)


@pytest.mark.parametrize("board", board_names())
def test_a_core_without_micropython_gives_this_machines_bytes_and_the_same_count_again(board):
    first = run(board, ARTIFACT)

    assert first.output == expected(ARTIFACT)[1][0]
    assert 9600 < first.instructions < 40 * 9600
    for times in (TIMES, 5 * TIMES):
        assert run(board, ARTIFACT, times).instructions == pytest.approx(first.instructions, rel=0.003)


@pytest.mark.parametrize("name", ["SOFTMAX", "ADD", "TRANSPOSE_CONV", "chain with RESHAPE"])
def test_operators_run_without_micropython_too(name):
    artifact = compile_model(write_chain(*OPERATORS[name](random.Random(f"bare {name}"))))

    for board in ("qemu_mps2_an386", "qemu_virt_rv32"):
        assert run(board, artifact, 1).output == expected(artifact)[1][0]


@pytest.mark.parametrize("board", board_names())
def test_all_kernels_are_within_their_budget(board):
    assert 8 * 1024 < kernel_bytes(load_board(board)) <= CODE_BUDGET_BYTES


@pytest.mark.parametrize("at", [0, 4, 70, len(ARTIFACT) - 1])
def test_a_damaged_artifact_ends_the_program_with_1(at):
    damaged = bytearray(ARTIFACT)
    damaged[at] ^= 1
    model = Model(ARTIFACT)

    with pytest.raises(BoardError, match="qemu_mps2_an385: the bare program ended with 1: refused"):
        run_bare(load_board("qemu_mps2_an385"), bytes(damaged), bytes(128), model.arena_bytes, model.output_bytes, 1)


def test_what_does_not_fit_and_what_is_missing_is_named():
    board = load_board("qemu_microbit")
    with pytest.raises(BoardError, match="qemu_microbit: got 13016 bytes of arena and output, wanted 12800 at most"):
        run("qemu_microbit", ARTIFACT, arena_bytes=13_000)
    with pytest.raises(BoardError, match="qemu_microbit: got 65728 bytes of artifact and window, wanted 65536 at most"):
        run_bare(board, bytes(65536), bytes(192), 0, 16, 1)
    with pytest.raises(BoardError, match="bare: got none, wanted a table in its board.toml"):
        run_bare(replace(board, bare=None), ARTIFACT, bytes(128), 432, 16, 1)
    with pytest.raises(BoardError, match="no-qemu is not installed: apt-get install qemu-system-arm"):
        run_bare(replace(board, emulator={**board.emulator, "program": "no-qemu"}), ARTIFACT, bytes(128), 432, 16, 1)


def test_a_fault_of_the_core_ends_the_program():
    board = load_board("qemu_mps2_an385")
    lost = replace(board, bare={**board.bare, "ram_address": 0x90000000})  # nothing is there

    with pytest.raises(BoardError, match="the bare program ended with"):
        run_bare(lost, ARTIFACT, bytes(128), 432, 16, 1)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """The program for an operating system, built for this one; aarch64's is compared by test_model_commands.py."""
    program = tmp_path_factory.mktemp("hosted") / "hosted"
    sources = [NATIVE / "programs" / "hosted.c", *(NATIVE / name for name in SOURCES)]
    compile_c([shutil.which("gcc"), *FLAGS, "-o", str(program), *map(str, sources)])
    return program


def test_a_program_of_an_operating_system_runs_window_after_window(hosted, tmp_path):
    (tmp_path / "a.ren").write_bytes(ARTIFACT)
    windows, outputs = expected(ARTIFACT, 50)

    done = subprocess.run([hosted, tmp_path / "a.ren"], input=b"".join(windows), capture_output=True)

    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"".join(outputs))


@pytest.mark.parametrize(
    ("content", "window", "message"),
    [
        (ARTIFACT, bytes(100), "the last window is cut short"),
        (ARTIFACT[:-1], b"", "artifact is not as long as its header says"),
        (ARTIFACT[:200] + b"?" + ARTIFACT[201:], b"", "artifact: digest does not match, it is damaged"),
        (b"", b"", "artifact is not as long as its header says"),
        (None, b"", "artifact is not as long as its header says"),
    ],
)
def test_a_program_of_an_operating_system_says_what_is_wrong(content, window, message, hosted, tmp_path):
    if content is not None:
        (tmp_path / "a.ren").write_bytes(content)

    done = subprocess.run([hosted, tmp_path / "a.ren"], input=window, capture_output=True, text=False)

    assert (done.returncode, done.stdout, done.stderr.decode().strip()) == (1, b"", message)


def test_a_compilers_error_is_one_line(tmp_path):
    (tmp_path / "bad.c").write_text("int main(void) { return nothing; }")
    with pytest.raises(BoardError, match="gcc failed: .*nothing"):
        compile_c(["gcc", "-o", str(tmp_path / "bad"), str(tmp_path / "bad.c")])

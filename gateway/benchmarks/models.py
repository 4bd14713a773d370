"""What a run of each model takes on each emulated board, called from MicroPython and in a bare C program with the same
kernels, beside TensorFlow Lite Micro; refuses to call instructions cycles.

Models are the shipped ones, and the .tflite files of a folder, such as MLPerf Tiny's. The bare program is linked with
the compiler's C library and MicroPython brings a memcpy of its own, so it can be the slower of the two.

TFLM's figures were measured on the same emulated cores with TensorFlow Lite Micro (CMSIS-NN), -O2, -icount:
instructions per MAC of a run, without the interpreter's start, and bytes of arena.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any

from boards.bare import TooLarge, kernel_bytes, run_bare
from boards.board import Board, BoardError, board_names, load_board
from device.native.shared import Model
from gateway.commands.model_verbs import check_file, load_models
from gateway.progress import Progress

SEED = 1
INPUTS = 2
COUNTED_INSTRUCTIONS = 2_000_000  # at least, about: the clock counts by the thousand
TFLM = {
    "kws_ref_model": {"arena_bytes": 22_800, "Cortex-M3": 3.96, "Cortex-M4": 2.85, "Cortex-M7": 2.86},
    "ad01_int8": {"arena_bytes": 2_600, "Cortex-M3": 3.62, "Cortex-M4": 2.21, "Cortex-M7": 2.21},
    "pretrainedResnet_quant": {"arena_bytes": 55_000, "Cortex-M3": 3.35, "Cortex-M4": 2.38, "Cortex-M7": 2.40},
}
# Instructions per MAC that are to be reached: of these models, and of any.
WANTED = {
    "kws_ref_model": {"Cortex-M3": 3.2, "Cortex-M4": 2.3, "Cortex-M7": 2.3},
    "ad01_int8": {"Cortex-M3": 2.9, "Cortex-M4": 1.8, "Cortex-M7": 1.8},
    "pretrainedResnet_quant": {"Cortex-M3": 2.7, "Cortex-M4": 1.9, "Cortex-M7": 1.9},
}
WANTED_OF_ANY = {"Cortex-M0": 8.0, "RV32IMAC": 5.0}


def measure(folder: Path | None, progress: Progress) -> dict[str, Any]:
    """{"models": {name: a model}, "kernel_bytes": {board: code and constants}}.

    A model is {"macs", "tflite_bytes", "artifact_bytes", "arena_bytes", "tflm_arena_bytes", "boards": {board: a row}};
    a row is {"core", "bare_instructions", "bare_per_mac", "wanted"} and either "skipped", where it does not fit beside
    MicroPython, or {"instructions", "per_mac", "tflm_per_mac", "ratio"}. None stands where there is no such figure, as
    without MicroPython where it does not fit either. ratio is ours over TFLM's.

    Args:
        folder: of further models; None: those that TINYREN_MLPERF_TINY names, if it is set.
    Raises:
        CommandError, BoardError: a model, a board or its compiler failed.
    """
    table = load_models("qualify")
    found = {}
    for path in [*table.shipped_models(), *table.further_models(folder)]:
        name = table.model_name(path)
        progress.say(f"instructions of {name}")
        found[name] = _measure_model(name, path, progress)
    return {"models": found, "kernel_bytes": {name: kernel_bytes(load_board(name)) for name in board_names()}}


def to_tflm(models: dict[str, Any]) -> dict[str, tuple[list[float], float]]:
    """{figure: (ours over TFLM's, of each model or board of which TFLM's is known; the most that is wanted)}."""
    known = [model for model in models.values() if model["tflm_arena_bytes"]]
    ratios = [row["ratio"] for model in known for row in model["boards"].values() if row.get("ratio") is not None]
    arenas = [round(model["arena_bytes"] / model["tflm_arena_bytes"], 2) for model in known]
    return {"tflm_ratio": (ratios, 0.8), "tflm_arena": (arenas, 1.0)}


def _measure_model(name: str, path: Path, progress: Progress) -> dict[str, Any]:
    arguments = Namespace(boards=",".join(board_names()), inputs=INPUTS, seed=SEED)
    checked = check_file(path, arguments, progress)
    artifact = load_models("artifact").compile_model(path.read_bytes())
    facts = {key: checked[key] for key in ("macs", "tflite_bytes", "artifact_bytes", "arena_bytes")}
    facts["tflm_arena_bytes"] = TFLM.get(name, {}).get("arena_bytes")
    rows = {row["board"]: _row(name, row, artifact, checked["macs"]) for row in checked["boards"]}
    return {**facts, "boards": rows}


def _row(name: str, checked: dict[str, Any], artifact: bytes, macs: int) -> dict[str, Any]:
    board = load_board(checked["board"])
    wanted = WANTED.get(name, {}).get(board.core, WANTED_OF_ANY.get(board.core))
    bare = _bare_instructions(board, artifact, macs)
    row = {"core": board.core, "bare_instructions": bare, "bare_per_mac": _per_mac(bare, macs), "wanted": wanted}
    if "skipped" in checked:
        return {"skipped": checked["skipped"], **row}
    tflm, per_mac = TFLM.get(name, {}).get(board.core), checked["instructions_per_mac"]
    ratio = round(per_mac / tflm, 2) if tflm else None
    return {"instructions": checked["instructions"], "per_mac": per_mac, **row, "tflm_per_mac": tflm, "ratio": ratio}


def _per_mac(instructions: int | None, macs: int) -> float | None:
    return round(instructions / macs, 2) if instructions and macs else None


def _bare_instructions(board: Board, artifact: bytes, macs: int) -> int | None:
    """Of one run on the first input of a check, None if it does not fit; raises BoardError, too for another output."""
    model = Model(artifact)
    window = next(load_models("inputs").make_inputs(model.input_bytes, SEED, 1))
    out = bytearray(model.output_bytes)
    model.run(window, out)
    times = max(1, COUNTED_INSTRUCTIONS // max(1, 4 * macs))
    try:
        run = run_bare(board, artifact, window, model.arena_bytes, model.output_bytes, times)
    except TooLarge:
        return None
    if run.output != out:
        raise BoardError(f"{board.name}: the bare program's output is not that of this machine")
    return run.instructions

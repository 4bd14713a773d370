"""Runs a model on boards and in the reference and compares every byte; refuses to call a skipped board identical.

Boards are the emulated ones (models/on_boards.py) and processes of this machine (models/on_hosts.py). Inputs are made
on the board and here by one source (models/inputs.py), or, where Python does not run, here; all outputs are compared.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from boards.board import BoardError, board_names
from device.native.shared import Model
from models.artifact import compile_model, macs
from models.graph import read_graph
from models.job import CheckFailed, Job, Skipped
from models.on_boards import run_on_board
from models.on_hosts import AARCH64, CPYTHON, UNIX, run_aarch64, run_here, run_unix
from models.reference import NAME, reference_outputs

HOSTS = {CPYTHON: run_here, UNIX: run_unix, AARCH64: run_aarch64}
FILE_MAX_BYTES = 64 << 20
NAME_CHARACTERS = 60  # that converters join of many names


def read_model(path: Path) -> bytes:
    """The bytes of a .tflite file; raises CheckFailed if it is larger than any that we compile, OSError."""
    size = Path(path).stat().st_size
    if size > FILE_MAX_BYTES:
        raise CheckFailed(f"{path}: got {size} bytes, wanted at most {FILE_MAX_BYTES}")
    return Path(path).read_bytes()


def known_boards() -> list[str]:
    """Names of all that a model can be checked on, in the order of the table."""
    return [*HOSTS, *board_names()]


def chosen_boards(text: str) -> list[str]:
    """Names of boards, each once, from "all" or "a,b"; raises BoardError for one that there is not."""
    known = known_boards()
    names = known if text == "all" else list(dict.fromkeys(name for name in text.split(",") if name))
    for name in names or [text]:
        if name not in known:
            raise BoardError(f"board: got {name!r}, wanted one of {', '.join(known)}")
    return names


def check_model(content: bytes, boards: list[str], count: int, seed: int, report: Callable[[str, float], None]) -> dict:
    """Compare a model's outputs on boards with the reference's.

    Args:
        content: of a .tflite file.
        boards: names, as chosen_boards gives them.
        count: inputs, at least 1. seed: u32 that they are made from.
        report: is called with a stage's name and how far it is, 0..1; by several threads.
    Returns:
        {"macs", "tflite_bytes", "artifact_bytes", "arena_bytes", "input_bytes", "output_bytes", "inputs", "seed",
        "reference", "boards": [a board each]}. A board is {"board", "core", "inputs", "identical", "max_abs_diff",
        "arena_bytes", "artifact_bytes", "instructions", "instructions_per_mac"} or {"board", "skipped"}; instructions
        are None where nobody counts them (HOSTS).
    Raises:
        ModelRefused: the model is outside what devices run. ReferenceFailed, NativeError, CheckFailed.
    """
    artifact = compile_model(content)
    job = Job(artifact, Model(artifact), macs(content), _largest(content), seed, count, report)
    wanted = reference_outputs(content, seed, count, job.model.output_bytes)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        runs = [pool.submit(_run, name, job) for name in boards]
        rows = [_row(name, run, wanted, job) for name, run in zip(boards, runs, strict=True)]
    return {
        "macs": job.macs, "tflite_bytes": len(content), "artifact_bytes": len(artifact),
        "arena_bytes": job.model.arena_bytes, "input_bytes": job.model.input_bytes,
        "output_bytes": job.model.output_bytes,
        "inputs": count, "seed": seed, "reference": NAME, "boards": rows,
    }  # fmt: skip


def is_identical(result: dict) -> bool:
    """Whether at least one board ran and every one that ran gave the reference's bytes."""
    ran = [row for row in result["boards"] if "skipped" not in row]
    return bool(ran) and all(row["identical"] for row in ran)


def _run(name: str, job: Job) -> tuple[str, bytes, int | None]:
    """(core, outputs, instructions of a run or None) of one board; raises Skipped, CheckFailed."""
    return HOSTS[name](job) if name in HOSTS else run_on_board(name, job)


def _row(name, run, wanted, job: Job) -> dict:
    try:
        core, outputs, instructions = run.result()
    except Skipped as error:
        return {"board": name, "skipped": str(error)}
    got = np.frombuffer(outputs, np.int8).reshape(wanted.shape)
    difference = int(np.abs(got.astype(int) - wanted.astype(int)).max())
    return {
        "board": name, "core": core, "inputs": job.count, "identical": difference == 0, "max_abs_diff": difference,
        "arena_bytes": job.model.arena_bytes, "artifact_bytes": len(job.artifact), "instructions": instructions,
        "instructions_per_mac": round(instructions / job.macs, 2) if instructions and job.macs else None,
    }  # fmt: skip


def _largest(content: bytes) -> str:
    """The largest tensor that lives in an arena, for a person."""
    graph = read_graph(content)
    tensor = max((tensor for tensor in graph.tensors if tensor.data is None), key=lambda tensor: tensor.size)
    name = tensor.name if len(tensor.name) <= NAME_CHARACTERS else f"{tensor.name[:NAME_CHARACTERS]}..."
    return f"tensor {name}, shape {tensor.shape}"

"""The commands `tinyren model` and `tinyren qualify`: from a .tflite to an artifact, a comparison or a table.

It decides nothing of models: models/ does, and its errors become one line and a code here. Exit codes: 0 every board
that ran gave the reference's bytes; 1 one did not; 2 the model is refused, no board could run it, or something is
missing.
"""

import importlib
import json
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from boards.board import BoardError
from gateway.errors import CommandError, Exit
from gateway.progress import Progress
from gateway.storage.cid import cid_of, encode_text
from gateway.text import one_line

EXTRA = "pip install tinyren[models]"
LINE_CHARACTERS = 400


def compile_file(arguments: Namespace) -> dict[str, Any]:
    """Compile a .tflite and write its artifact, whole or not at all; what was written."""
    content, compiled_ = compiled(arguments.model)
    out: Path = arguments.out or arguments.model.with_suffix(".ren")
    fresh = out.with_name(f".{out.name}.partial")
    fresh.write_bytes(compiled_)
    fresh.replace(out)
    return {
        "file": str(out),
        "model": encode_text(cid_of(content)),
        "tflite_bytes": len(content),
        "artifact_bytes": len(compiled_),
    }


def compiled(path: Path) -> tuple[bytes, bytes]:
    """A .tflite file's content, and the artifact of it; raises CommandError: it is refused, or something is missing."""
    check, artifact = load_models("check"), load_models("artifact")
    content = _read(check, path)
    return content, _told(lambda: artifact.compile_model(content))


def check_file(path: Path, arguments: Namespace, progress: Progress) -> dict[str, Any]:
    """Compare one model on boards with the reference (models/check.py).

    Args:
        arguments: boards (text), inputs, seed.
    Raises:
        CommandError: the model is refused, or nothing could run it.
    """
    check = load_models("check")
    content = _read(check, path)

    def compare() -> dict[str, Any]:
        boards = check.chosen_boards(arguments.boards)
        found: dict[str, Any] = check.check_model(content, boards, arguments.inputs, arguments.seed, progress.step)
        return found

    result = {"file": path.name, "model": encode_text(cid_of(content)), **_told(compare)}
    if all("skipped" in row for row in result["boards"]):
        reasons = "; ".join(f"{row['board']}: {row['skipped']}" for row in result["boards"])
        raise CommandError(_line(reasons), Exit.USAGE)
    return result


def exit_code(*results: dict[str, Any]) -> Exit:
    """OK only if every board that ran gave the reference's bytes, for each result of check_file."""
    is_identical = load_models("check").is_identical
    return Exit.OK if all(is_identical(result) for result in results) else Exit.FAILED


def train(arguments: Namespace, progress: Progress) -> dict[str, Any]:
    """Train a shipped model and write its files, or its float parameters alone; what was written.

    Args:
        arguments: name; out, elsewhere: folders or None; parameters_only.
    """
    trainer = load_models("train")
    out = _model_folder(trainer, arguments)
    call = partial(trainer.train_model, arguments.name, out, progress.step)
    return _written(call, elsewhere=arguments.elsewhere, parameters_only=arguments.parameters_only)


def export(arguments: Namespace, progress: Progress) -> dict[str, Any]:
    """Make a shipped model's int8 files of float parameters that were trained before; what was written.

    Args:
        arguments: name; parameters, out: folders or None.
    """
    trainer = load_models("train")
    out = _model_folder(trainer, arguments)
    source = arguments.parameters or trainer.FOLDER / arguments.name
    return _written(partial(trainer.export_model, arguments.name, source, out, progress.step))


def _model_folder(trainer: Any, arguments: Namespace) -> Path:
    """Where the files of a shipped model go; raises CommandError if there is no such model."""
    if arguments.name not in trainer.RECIPES:
        raise CommandError(f"model: got {arguments.name!r}, wanted one of {', '.join(trainer.RECIPES)}", Exit.USAGE)
    folder: Path = arguments.out or trainer.FOLDER / arguments.name
    return folder


def _written(call: Any, **options: Any) -> dict[str, Any]:
    """{"files": {path: bytes}, "figures": figures.json or None} of a call that writes a model's files."""
    refusals = (
        load_models("recipe").DataMissing,
        load_models("trained").ParametersRefused,
        load_models("quantize").NotQuantizable,
        *_refusals(),
    )
    try:
        paths = call(**options)
    except refusals as error:
        raise CommandError(_line(str(error)), Exit.USAGE) from error
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed: {EXTRA}", Exit.USAGE) from error
    figures = [json.loads(path.read_text()) for path in paths if path.name == "figures.json"]
    return {"files": {str(path): path.stat().st_size for path in paths}, "figures": figures[0] if figures else None}


def qualify(arguments: Namespace, progress: Progress) -> list[dict[str, Any]]:
    """Check every shipped model and every file given, on every board; a result each, as check_file gives it.

    Raises:
        CommandError: as check_file's, behind the file's path.
    """
    table = load_models("qualify")
    results = []
    for path in [*table.shipped_models(), *arguments.models]:
        progress.say(f"{path.parent.name}/{path.name}")
        try:
            results.append(check_file(path, arguments, progress))
        except CommandError as error:
            raise CommandError(f"{path}: {str(error).removeprefix(f'{path}: ')}", error.code) from error
        results[-1]["name"] = table.model_name(path)
    if arguments.write_readme:
        _told(lambda: table.write_table(arguments.write_readme, results))
    return results


def check_text(result: dict[str, Any]) -> str:
    """A check for a person: a line a board."""
    head = (
        f"{result['file']}: {result['macs']:,} MAC, {result['tflite_bytes']:,} bytes of .tflite, "
        f"{result['artifact_bytes']:,} of artifact, {result['arena_bytes']:,} of arena; {result['inputs']} inputs, "
        f"seed {result['seed']}, against {result['reference']}"
    )
    return "\n".join([head, *(f"  {row['board']:18} {_row_text(row)}" for row in result["boards"])])


def _row_text(row: dict[str, Any]) -> str:
    if "skipped" in row:
        return f"skipped: {row['skipped']}"
    same = "identical" if row["identical"] else f"DIFFERS by up to {row['max_abs_diff']}"
    if row["instructions"] is None:
        return f"{row['core']:10} {same}"
    per_mac = "" if row["instructions_per_mac"] is None else f", {row['instructions_per_mac']:.2f} per MAC"
    return f"{row['core']:10} {same}, {row['instructions']:,} instructions{per_mac}"


def load_models(name: str) -> Any:
    """The module models.NAME, of which each needs packages that a site does not."""
    try:
        return importlib.import_module(f"models.{name}")
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed: {EXTRA}", Exit.USAGE) from error


def _read(check: Any, path: Path) -> bytes:
    try:
        content: bytes = _told(lambda: check.read_model(path))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", Exit.USAGE) from error
    return content


def _told(call: Any) -> Any:
    """The value of call; what models/ and boards/ raise becomes a CommandError."""
    refusals = _refusals()
    try:
        return call()
    except refusals as error:
        raise CommandError(_line(str(error)), Exit.USAGE) from error


def _line(text: str) -> str:
    """Text that may quote a foreign file, as one line of printable characters."""
    return one_line(text) if len(text) <= LINE_CHARACTERS else one_line(text, LINE_CHARACTERS - 3) + "..."


def _refusals() -> tuple[type[Exception], ...]:
    shared = importlib.import_module("device.native.shared")
    return (
        BoardError,
        load_models("graph").ModelRefused,
        load_models("check").CheckFailed,
        load_models("reference").ReferenceFailed,
        shared.NativeError,
        shared.ArtifactError,
    )

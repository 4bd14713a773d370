"""Trains and exports a shipped encoder and writes its files: `python -m models.train NAME [--out FOLDER] [--elsewhere
DATA]`, and what `tinyren model train|export` calls.

It publishes nothing: there is no R1FS yet to publish to.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from device.native.shared import NativeError
from gateway.progress import Progress
from models import trained
from models.build import build, export
from models.recipe import DataMissing, Recipe

FOLDER = Path(__file__).resolve().parent
RECIPES = ("host", "motion", "vibration")


def train_model(
    name: str,
    out: Path,
    report: Callable[[str, float], None] | None = None,
    elsewhere: Path | None = None,
    parameters_only: bool = False,
) -> list[Path]:
    """Trains models/NAME and writes its files into out, each whole or not at all; their paths.

    Args:
        report: is called with a stage's name and how far it is, 0..1 (default: shown on stderr).
        elsewhere: a folder of data sets that are not in the tree, to measure the recipe on them as well.
        parameters_only: write the trained float parameters and nothing that follows from them.
    Raises:
        models.recipe.DataMissing, device.native.shared.NativeError: nothing was written.
    """
    recipe, report = find_recipe(name), report or Progress().step
    if parameters_only:
        return write_files(out, trained.write(trained.train(recipe, recipe.load(None), report)))
    return write_files(out, build(recipe, FOLDER / name, report, elsewhere))


def export_model(name: str, source: Path, out: Path, report: Callable[[str, float], None]) -> list[Path]:
    """Exports models/NAME from the trained parameters in the folder `source`: int8, artifact, figures, card; as above.

    Raises:
        ParametersRefused, OSError: no such parameters there. DataMissing, NativeError. Nothing was written.
    """
    recipe = find_recipe(name)
    return write_files(out, export(recipe, trained.read(recipe, source), FOLDER / name, report))


def find_recipe(name: str) -> Recipe:
    """The recipe of models/NAME, one of RECIPES."""
    recipe: Recipe = importlib.import_module(f"models.{name}.recipe").RECIPE
    return recipe


def write_files(out: Path, files: dict[str, bytes]) -> list[Path]:
    """Write {file name: content} into a folder, each file whole or not at all; their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for file, content in files.items():
        partial = out / f".{file}.partial"
        partial.write_bytes(content)
        os.replace(partial, out / file)
        paths.append(out / file)
    return paths


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.train", description="Train a shipped encoder.")
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="folder for its files (default: models/NAME)")
    parser.add_argument(
        "--elsewhere",
        type=Path,
        metavar="DATA",
        help="folder of data sets that are not in the tree "
        "(har/ for motion, nab/ for vibration): measure the recipe on them too",
    )
    chosen = parser.parse_args(arguments)
    try:
        paths = train_model(chosen.name, chosen.out or FOLDER / chosen.name, elsewhere=chosen.elsewhere)
    except (DataMissing, NativeError) as error:
        print(f"models.train: {error}", file=sys.stderr)
        return 1
    for path in paths:
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Trains a shipped encoder and writes its files: `python -m models.train NAME [--out FOLDER] [--elsewhere DATA]`.

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
from models.recipe import DataMissing, build

FOLDER = Path(__file__).resolve().parent
RECIPES = ("host", "motion", "vibration")


def write_model(
    name: str, out: Path, report: Callable[[str, float], None] | None = None, elsewhere: Path | None = None
) -> list[Path]:
    """Trains models/NAME and writes its files into out, each whole or not at all; their paths.

    Args:
        report: is called with a stage's name and how far it is, 0..1 (default: shown on stderr).
        elsewhere: a folder of data sets that are not in the tree, to measure the recipe on them as well.
    Raises:
        models.recipe.DataMissing, device.native.shared.NativeError: nothing was written.
    """
    recipe = importlib.import_module(f"models.{name}.recipe").RECIPE
    files = build(recipe, FOLDER / name, report or Progress().step, elsewhere)
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
        paths = write_model(chosen.name, chosen.out or FOLDER / chosen.name, elsewhere=chosen.elsewhere)
    except (DataMissing, NativeError) as error:
        print(f"models.train: {error}", file=sys.stderr)
        return 1
    for path in paths:
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Trains a shipped encoder and writes its files: `python -m models.train NAME [--out FOLDER]`; publishes nothing."""

import argparse
import importlib
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RECIPES = ("host",)


def write_model(name: str, out: Path) -> list[Path]:
    """Runs models.NAME.recipe and writes its files into out, each whole or not at all."""
    files = importlib.import_module(f"models.{name}.recipe").build()
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
    parser.add_argument("--out", type=Path, help="folder for its files (default: models/NAME)")
    chosen = parser.parse_args(arguments)
    for path in write_model(chosen.name, chosen.out or FOLDER / chosen.name):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

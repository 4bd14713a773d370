"""Synthetic temperature and vibration of rotating machines, anomalies put into them, and NAB's real temperatures.

A sample is temperature in 1/256 degC and the velocity of three axes, root mean square over 50 ms, in 1/100 mm/s. Our
guess at ordinary machines (the statistics of a trace; all draws seeded):
* load: between 0.2 and 1.0, a random walk of 0.5 % a sample; one machine in five idles at 0.05;
* vibration of a radial axis: 0.5 to 2.0 mm/s at full load (2.4 for the second), a tenth of it at none, a beat of 5
  to 15 % at 0.3 to 2 Hz, noise of 6 %; the axial axis has a third to two thirds of the first;
* temperature: 10 to 35 degC of room and up to 45 degC of heating, in proportion to the mean load, noise of 0.05 degC.
"""

import csv
import json
from pathlib import Path

import numpy as np

from models.recipe import DataMissing

WINDOW = 32
SAMPLE_S = 0.05
CHANNELS = ("temperature", "vibration x", "vibration y", "vibration z")
COUNTS = 100
COUNTS_MAX = 32767
ANOMALIES = ("imbalance", "bearing impacts", "looseness", "overheating", "dead axis")
NAB_SERIES = "machine_temperature_system_failure"
NAB_FILES = (f"nab/{NAB_SERIES}.csv", "nab/combined_windows.json")


def make_windows(rng: np.random.Generator, machines: int, windows: int) -> np.ndarray:
    """int16[machines * windows, WINDOW, 4]: raw samples, `windows` windows in a row from each machine."""
    return np.concatenate([_trace(rng, windows * WINDOW).reshape(windows, WINDOW, 4) for _ in range(machines)])


def inject_anomalies(rng: np.random.Generator, raw: np.ndarray, kind: str) -> np.ndarray:
    """A copy of int16[n, WINDOW, 4] in which every window holds one anomaly of the kind, from a random place on."""
    return np.stack([_spoil(rng, window.astype(np.float64), kind) for window in raw])


def read_nab(folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """(temperatures int16[n] in 1/256 degC, 5 minutes apart; whether each lies in a labelled failure, bool[n]).

    Raises:
        DataMissing: the folder does not hold NAB_FILES.
    """
    paths = [(folder or Path()) / name for name in NAB_FILES]
    if not all(path.is_file() for path in paths):
        raise DataMissing(f"{paths[0]}: no such file; wanted a folder that holds {' and '.join(NAB_FILES)}")
    with open(paths[0], newline="") as file:
        rows = list(csv.DictReader(file))
    times = np.array([row["timestamp"] for row in rows], "datetime64[s]")
    degrees = (np.array([row["value"] for row in rows], np.float64) - 32) * 5 / 9
    failures = json.loads(paths[1].read_text())[f"realKnownCause/{NAB_SERIES}.csv"]
    inside = [(np.datetime64(first) <= times) & (times <= np.datetime64(last)) for first, last in failures]
    return np.rint(degrees * 256).astype(np.int16), np.any(inside, axis=0)


def _trace(rng: np.random.Generator, samples: int) -> np.ndarray:
    load = _load(rng, samples)
    radial = rng.uniform(0.5, 2.0)
    sizes = (radial, radial * rng.uniform(0.8, 1.2), radial * rng.uniform(0.33, 0.67))
    axes = [_vibration(rng, size, load) for size in sizes]
    slow = rng.uniform(-0.05, 0.05) + load.mean()
    celsius = rng.uniform(10, 35) + 45 * np.clip(slow, 0, 1) + rng.normal(0, 0.05, samples)
    return _counts(np.stack([celsius * 256, *(axis * COUNTS for axis in axes)], axis=1))


def _load(rng: np.random.Generator, samples: int) -> np.ndarray:
    if rng.random() < 0.2:
        return np.full(samples, 0.05)
    level, out = rng.uniform(0.2, 1.0), np.empty(samples)
    for i in range(samples):
        level = float(np.clip(level + rng.normal(0, 0.005), 0.2, 1.0))
        out[i] = level
    return out


def _vibration(rng: np.random.Generator, size: float, load: np.ndarray) -> np.ndarray:
    time_s = np.arange(len(load)) * SAMPLE_S
    beat = 1 + rng.uniform(0.05, 0.15) * np.sin(2 * np.pi * (rng.uniform(0.3, 2.0) * time_s + rng.random()))
    return size * (0.1 + 0.9 * load) * beat * (1 + rng.normal(0, 0.06, len(load)))


def _counts(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[..., 1:] = np.clip(values[..., 1:], 0, COUNTS_MAX)
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16)


def _spoil(rng: np.random.Generator, window: np.ndarray, kind: str) -> np.ndarray:
    at = rng.integers(0, 16)
    axis = rng.integers(1, 4)
    if kind == "imbalance":
        window[at:, 1:3] *= rng.uniform(1.5, 3.0)
    elif kind == "bearing impacts":
        window[at :: rng.integers(3, 8), axis] *= rng.uniform(1.5, 4.0)
    elif kind == "looseness":
        period = rng.integers(4, 12)
        window[at:, 3] *= 1 + rng.uniform(0.5, 0.9) * np.sin(2 * np.pi * np.arange(WINDOW - at) / period)
    elif kind == "overheating":
        window[:, 0] += 256 * rng.uniform(20, 45)
    else:
        window[at:, axis] = 0
    return _counts(window)

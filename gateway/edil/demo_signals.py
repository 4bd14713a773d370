"""Labelled signals for the demo: what each device is given, and what it must add up; only who runs the demo knows them.

Three classes of windows of a synthetic machine (models/host/signals.py): ordinary, oscillating load, a step of the
temperature. A device sees one class only, as a machine in one state does.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device.agent.rounds import Manifest
from device.native.shared import Model
from models.host import signals

KINDS = (None, "oscillation", "temperature step")
FOLDER = Path(signals.__file__).parent

Raw = NDArray[np.int16]
Ints = NDArray[np.int64]


def make_windows(seed: int, class_: int, count: int) -> Raw:
    """Raw samples of windows of a class, each of a machine of its own: int16[count, 32, 4]."""
    raw: Raw = signals.make_windows(len(KINDS) * seed + class_, count, 1)
    kind = KINDS[class_]
    return raw if kind is None else signals.inject_anomalies(seed, raw, kind)


def embed(raw: Raw, clip: int = 127) -> Ints:
    """The embeddings of raw windows, as every device computes them and holds them to its round's clip: int64[n, w]."""
    model = Model((FOLDER / "encoder.ren").read_bytes())
    out, rows = bytearray(model.output_bytes), []
    for window in signals.quantize_windows(raw):
        model.run(window.tobytes(), out)
        rows.append(np.frombuffer(bytes(out), np.int8).astype(np.int64))
    return np.clip(np.stack(rows), -clip, clip)


def sum_windows(manifest: Manifest, z: Ints, class_: int) -> Ints:
    """The values of a classes round (EDIL.md, section 4) over windows of one class, in plain numpy."""
    upper = (z.T @ z)[np.triu_indices(manifest.width)]
    ones = np.eye(manifest.classes, dtype=np.int64)[np.full(len(z), class_)]
    return np.concatenate([z.sum(axis=0), upper, ones.sum(axis=0), (ones.T @ z).ravel()])


def fit_pooled(z: Ints, classes: Ints, count: int, ridge: float) -> NDArray[np.float64]:
    """The ridge head of pooled embeddings themselves, float[w + 1, count], the intercept last and not penalised."""
    rows = np.column_stack([z, np.ones(len(z))])
    centred = z - z.mean(axis=0)
    penalty = ridge * max(float((centred**2).sum()) / z.shape[1], 1.0)
    square = rows.T @ rows + penalty * np.diag([1.0] * z.shape[1] + [0.0])
    head: NDArray[np.float64] = np.linalg.solve(square, rows.T @ np.eye(count)[classes])
    return head

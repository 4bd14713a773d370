"""What a model folder says of its model: Recipe and Data. It makes nothing of them: models/build.py does.

recipe -> data -> training -> int8 export -> artifact -> figures -> card. All models share all of it but their data.
"""

import os
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from models import network

Report = Callable[[str, float], None]

# How far another machine's figures may lie from the committed ones, absolute but for errors, which are relative; about
# as far as those of another seed. "kind": the AUC of one kind of anomaly.
TOLERANCE = {"error": 0.15, "auc": 0.05, "kind": 0.1, "accuracy": 0.05}


class DataMissing(Exception):
    """A data set that is not in the tree cannot be had; the message says what to do."""


@dataclass(frozen=True)
class Data:
    """Raw windows int16[n, window, channels]. An encoder learns from `train` alone and never sees a label.

    anomalies: windows of each kind, told from the ordinary ones of `held_out` by measure.scorer.
    classes: their names, with labels int[n] of train and held_out that index them, for the linear head.
    """

    train: np.ndarray
    held_out: np.ndarray
    anomalies: dict[str, np.ndarray] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    train_labels: np.ndarray | None = None
    held_out_labels: np.ndarray | None = None


@dataclass(frozen=True)
class Recipe:
    """One encoder. A raw value enters as clamp((raw - offset) >> shift, -128, 127), an offset and a shift a channel.

    load: gives the data from `folder`, which only recipes of `others` need; raises DataMissing.
    about: the card's paragraphs does, data, licence and limits.
    others: the same network on data that is not in the tree: trained and measured, never shipped.
    """

    name: str
    channels: tuple[str, ...]
    offsets: tuple[int, ...]
    shifts: tuple[int, ...]
    sample_ms: int
    width: int
    seed: int
    load: Callable[[Path | None], Data]
    about: dict[str, str] = field(default_factory=dict)
    others: tuple["Recipe", ...] = ()
    window: int = 32
    steps: int = 1000
    batch: int = 64

    @property
    def network(self) -> network.Network:
        return network.Network(self.window, len(self.channels), self.width)

    def quantize_windows(self, raw: np.ndarray) -> np.ndarray:
        """int8 of the same shape as int16[n, window, channels], as the device does it."""
        shifted = (raw.astype(np.int32) - np.array(self.offsets, np.int32)) >> np.array(self.shifts, np.int32)
        return np.clip(shifted, -128, 127).astype(np.int8)


def describe_platform() -> dict[str, str]:
    """What the bytes depend on: the kind of processor, Python and the libraries; nothing that names a machine."""
    kind = [platform.machine()]
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            first = file.read().split("\n\n")[0]
        facts = dict(re.findall(r"(cpu family|model)\s*: (\d+)", first))
        kind += [f"{name} {number}" for name, number in facts.items()]
    return {
        "cpu": " ".join(kind),
        "python": platform.python_version(),
        **{name: version(name) for name in ("jax", "jaxlib", "numpy")},
    }

"""The encoder `vibration`: 1.6 s of a machine's temperature and vibration into 16 values."""

from pathlib import Path

import numpy as np

from models.recipe import Data, Recipe
from models.vibration import signals

SEED = 20250303
MACHINES, HELD_OUT_MACHINES, WINDOWS = 200, 60, 20
NAB_LEARN = 0.15


def load(folder: Path | None) -> Data:
    """Windows of machines; those of held_out are machines that train has none of."""
    rng = np.random.default_rng(SEED)
    train, held_out = (signals.make_windows(rng, machines, WINDOWS) for machines in (MACHINES, HELD_OUT_MACHINES))
    anomalies = {kind: signals.inject_anomalies(rng, held_out, kind) for kind in signals.ANOMALIES}
    return Data(train, held_out, anomalies)


def load_nab(folder: Path | None) -> Data:
    """NAB's series: the first NAB_LEARN of it, failures and all, is learnt from; raises models.recipe.DataMissing.

    A window is anomalous if its last sample lies in a labelled failure. Windows begin a sample apart.
    """
    degrees, failing = signals.read_nab(folder)
    begin = int(NAB_LEARN * len(degrees))
    windows = np.lib.stride_tricks.sliding_window_view(degrees, signals.WINDOW)[:, :, None]
    ends = np.arange(signals.WINDOW - 1, len(degrees))
    later = ends >= begin + signals.WINDOW
    bad = later & failing[ends]
    return Data(windows[ends < begin], windows[later & ~bad], {"labelled failure": windows[bad]})


def _nab(number: int) -> Recipe:
    return Recipe(
        name=f"nab, seed {number + 1}", channels=("temperature",), offsets=(6400,), shifts=(5,), sample_ms=300_000,
        width=8, seed=SEED + number, load=load_nab, about={
            "data": "Temperature of an industrial machine, 22,695 values 5 minutes apart, four labelled failures (NAB, "
                    "machine_temperature_system_failure). The first 15 % is learnt from, though a failure lies in it; "
                    "the rest is held out. The labels are NAB's windows of about two days around each failure.",
            "licence": "MIT (Numenta)."})  # fmt: skip


RECIPE = Recipe(
    name="vibration", channels=signals.CHANNELS, offsets=(12800, 128, 128, 128), shifts=(6, 1, 1, 1), sample_ms=50,
    width=8, seed=SEED, load=load, others=tuple(_nab(number) for number in range(3)),
    about={
        "does": "It turns the temperature and the vibration of a rotating machine into an embedding; how far that lies "
                "from ordinary ones is an anomaly score. Raw temperature is in 1/256 degC, vibration is velocity in "
                "1/100 mm/s.",
        "data": "Synthetic only (`signals.py`, seeded; its statistics stand there): 200 machines to learn from, 60 "
                "held out, into which five kinds of anomaly are put.",
        "licence": "Made by this project's code, under its licence.",
        "limits": "No real machine was measured, and the anomalies are our idea of them. Machines differ: fit the "
                  "score to embeddings of your own. Vibration above 3.8 mm/s saturates.",
    },
)  # fmt: skip

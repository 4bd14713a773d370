"""The encoder `host`: 1.6 s of a machine's temperature, cpu, memory and load into 16 values."""

from pathlib import Path

from models.host import signals
from models.recipe import Data, Recipe

SEED = 20250301
TRACES, HELD_OUT_TRACES, WINDOWS = 200, 60, 20


def load(folder: Path | None) -> Data:
    """Windows of machines; those of held_out are machines that train has none of."""
    held_out = signals.make_windows(SEED + 1, HELD_OUT_TRACES, WINDOWS)
    anomalies = {kind: signals.inject_anomalies(SEED + 2, held_out, kind) for kind in signals.ANOMALIES}
    return Data(signals.make_windows(SEED, TRACES, WINDOWS), held_out, anomalies)


RECIPE = Recipe(
    name="host", channels=signals.CHANNELS, offsets=signals.OFFSETS, shifts=signals.SHIFTS, sample_ms=50, width=8,
    seed=SEED, load=load,
    about={
        "does": "It turns what a computer says of itself into an embedding: temperature in 1/256 degC, the others at "
                "20 counts a percent. It is the encoder of `make up`.",
        "data": "Synthetic signals only (`signals.py`, seeded): drifting loads with bursts, memory ramps, load "
                "averages, temperatures that follow the load. The anomalies are put into them in the same way.",
        "licence": "Made by this project's code, under its licence.",
        "limits": "Nothing of a real machine is in it, and no figure below says how it does on one.",
    },
)  # fmt: skip

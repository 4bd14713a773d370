"""What a model folder says of its model (Recipe, Data), and how every file of it is made from that; writes none.

recipe -> data -> training -> int8 export -> artifact -> figures -> card. Two models share all of it but their data.
"""

import json
import os
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from device.native.shared import Model
from gateway.storage.cid import encode_text
from models import card, measure, network, plot
from models.artifact import compile_model, macs
from models.export import Activation, write_chain
from models.quantize import quantize_chain

Report = Callable[[str, float], None]

REPRESENTATIVE = 512
ELSEWHERE = "elsewhere.json"
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


def build(recipe: Recipe, folder: Path, report: Report, elsewhere: Path | None = None) -> dict[str, bytes]:
    """{file name: content} of a model; the same bytes each time on one machine.

    Args:
        folder: the model's, for figures of other data that are not measured again.
        report: is called with a stage's name and how far it is, 0..1.
        elsewhere: folder with the data of recipe.others; without it they are not measured.
    Raises:
        DataMissing: one line.
    """
    data = recipe.load(None)
    away = [(other, other.load(elsewhere)) for other in recipe.others if elsewhere]
    files, found = _make(recipe, data, report)
    if away:
        files[ELSEWHERE] = _json({other.name: _measure_elsewhere(other, data, report) for other, data in away}
                                 | {"platform": describe_platform()})  # fmt: skip
    elif (folder / ELSEWHERE).exists():
        files[ELSEWHERE] = (folder / ELSEWHERE).read_bytes()
    facts, others = json.loads(files[f"{recipe.name}.json"]), json.loads(files.get(ELSEWHERE, b"{}"))
    return files | {"card.md": card.render_card(recipe.about, facts, found, others, sorted(files)).encode()}


def _measure_elsewhere(recipe: Recipe, data: Data, report: Report) -> dict:
    found = _make(recipe, data, report)[1]
    return {"about": recipe.about, "windows": found["windows"], "figures": found["figures"]}


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


def _make(recipe: Recipe, data: Data, report: Report) -> tuple[dict[str, bytes], dict]:
    """The files of a recipe but for its card, and its figures."""
    shape = recipe.network
    reals = measure.as_reals(recipe.quantize_windows(data.train))
    parameters, losses = network.train(
        shape,
        reals,
        recipe.seed,
        recipe.steps,
        recipe.batch,
        lambda fraction, loss: report(f"training {recipe.name}", fraction),
    )
    content = _export(shape, parameters["encoder"], reals[:: max(1, len(reals) // REPRESENTATIVE)])
    artifact = compile_model(content)
    ways = measure.Ways(shape, parameters, content, artifact)
    figures, pictures = measure.measure(ways, data, recipe.quantize_windows)
    report(f"measuring {recipe.name}", 1.0)
    found = {
        "model": encode_text(ways.model.cid), "facts": _facts(content, artifact, ways.model),
        "windows": {"train": len(data.train), "held_out": len(data.held_out), "compared": ways.compared,
                    "identical": ways.identical},
        "losses": [float(f"{loss:.6g}") for loss in losses], "figures": figures, "tolerance": TOLERANCE,
        "platform": describe_platform(),
    }  # fmt: skip
    curve = [((part + 1) * recipe.steps / len(losses), loss) for part, loss in enumerate(losses)]
    pictures["curves.svg"] = plot.line_chart("Loss while training", "step", "mean square", {"loss": curve})
    files = {
        "encoder.tflite": content,
        "encoder.ren": artifact,
        f"{recipe.name}.json": _describe(recipe, ways),
        "figures.json": _json(found),
    }
    return files | {name: picture.encode() for name, picture in pictures.items()}, found


def _facts(content: bytes, artifact: bytes, model: Model) -> dict[str, int]:
    return {
        "tflite_bytes": len(content),
        "artifact_bytes": len(artifact),
        "macs": macs(content),
        "input_bytes": model.input_bytes,
        "output_bytes": model.output_bytes,
        "arena_bytes": model.arena_bytes,
    }


def _describe(recipe: Recipe, ways: measure.Ways) -> bytes:
    """What a device and a reader of its embeddings must know of the encoder."""
    return _json({
        "name": recipe.name, "model": encode_text(ways.model.cid), "window": [recipe.window, len(recipe.channels)],
        "sample_ms": recipe.sample_ms, "channels": recipe.channels, "offsets": recipe.offsets, "shifts": recipe.shifts,
        "embedding": network.EMBEDDING, "scale": ways.scale, "zero_point": ways.zero_point,
    })  # fmt: skip


def _export(shape: network.Network, encoder: list, representative: np.ndarray) -> bytes:
    outputs = network.encode(shape, encoder, representative)
    source = Activation((1, shape.window, 1, shape.channels), measure.INPUT_SCALE, 0)
    ranges = [(float(y.min()), float(y.max())) for y in outputs]
    return write_chain(source, quantize_chain(source, network.float_layers(shape, encoder), ranges))


def _json(value: dict) -> bytes:
    """One key a line, so that a change shows as a diff."""
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(content)}" for key, content in value.items())
    return f"{{\n{lines}\n}}\n".encode()

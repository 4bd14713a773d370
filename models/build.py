"""Makes every file of a model from its recipe: trained parameters, int8 export, artifact, figures, pictures, card. It
writes none of them.

Training and export are two steps: `export` begins from parameters that were trained before, here or elsewhere.
"""

import json
from pathlib import Path

import numpy as np

from device.native.shared import Model
from gateway.storage.cid import encode_text
from models import card, measure, network, plot, trained
from models.artifact import compile_model, macs
from models.export import Activation, write_chain
from models.quantize import quantize_chain
from models.recipe import TOLERANCE, Data, Recipe, Report, describe_platform
from models.trained import Trained, lines_json

REPRESENTATIVE = 512
ELSEWHERE = "elsewhere.json"


def build(recipe: Recipe, folder: Path, report: Report, elsewhere: Path | None = None) -> dict[str, bytes]:
    """{file name: content} of a model, trained anew; the same bytes each time on one machine.

    Args:
        folder: the model's, for figures of other data that are not measured again.
        report: is called with a stage's name and how far it is, 0..1.
        elsewhere: folder with the data of recipe.others; without it they are not measured.
    Raises:
        DataMissing: one line.
    """
    data = recipe.load(None)
    away = [(other, other.load(elsewhere)) for other in recipe.others if elsewhere]
    found = trained.train(recipe, data, report)
    others = _elsewhere(folder)
    if away:
        others = {other.name: _measure_elsewhere(other, data, report) for other, data in away}
        others["platform"] = describe_platform()
    return trained.write(found) | _export(recipe, found, data, others, report)


def export(recipe: Recipe, found: Trained, folder: Path, report: Report) -> dict[str, bytes]:
    """{file name: content} of a model whose parameters are trained, all but those; otherwise as build."""
    return _export(recipe, found, recipe.load(None), _elsewhere(folder), report)


def _elsewhere(folder: Path) -> dict:
    """Figures of other data, as they were measured before."""
    path = folder / ELSEWHERE
    return json.loads(path.read_text()) if path.exists() else {}


def _measure_elsewhere(recipe: Recipe, data: Data, report: Report) -> dict:
    found = _measure(recipe, trained.train(recipe, data, report), data, report)[1]
    return {"about": recipe.about, "windows": found["windows"], "figures": found["figures"]}


def _export(recipe: Recipe, found: Trained, data: Data, others: dict, report: Report) -> dict[str, bytes]:
    files, figures = _measure(recipe, found, data, report)
    if others:
        files[ELSEWHERE] = lines_json(others)
    facts = json.loads(files[f"{recipe.name}.json"])
    return files | {"card.md": card.render_card(recipe.about, facts, figures, others, sorted(files)).encode()}


def _measure(recipe: Recipe, found: Trained, data: Data, report: Report) -> tuple[dict[str, bytes], dict]:
    """The files of an export but for its card and what was measured elsewhere, and its figures."""
    report(f"exporting {recipe.name}", 0.0)
    shape = recipe.network
    reals = measure.as_reals(recipe.quantize_windows(data.train))
    content = _quantize(shape, found.parameters["encoder"], reals[:: max(1, len(reals) // REPRESENTATIVE)])
    artifact = compile_model(content)
    ways = measure.Ways(shape, found.parameters, content, artifact)
    figures, pictures = measure.measure(ways, data, recipe.quantize_windows)
    report(f"exporting {recipe.name}", 1.0)
    told = {
        "model": encode_text(ways.model.cid), "facts": _facts(content, artifact, ways.model),
        "windows": {"train": len(data.train), "held_out": len(data.held_out), "compared": ways.compared,
                    "identical": ways.identical},
        "losses": found.losses, "figures": figures, "tolerance": TOLERANCE,
        "trained_on": found.platform, "platform": describe_platform(),
    }  # fmt: skip
    curve = [((part + 1) * recipe.steps / len(found.losses), loss) for part, loss in enumerate(found.losses)]
    pictures["curves.svg"] = plot.line_chart("Loss while training", "step", "mean square", {"loss": curve})
    files = {
        "encoder.tflite": content,
        "encoder.ren": artifact,
        f"{recipe.name}.json": _describe(recipe, ways),
        "figures.json": lines_json(told),
    }
    return files | {name: picture.encode() for name, picture in pictures.items()}, told


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
    return lines_json({
        "name": recipe.name, "model": encode_text(ways.model.cid), "window": [recipe.window, len(recipe.channels)],
        "sample_ms": recipe.sample_ms, "channels": recipe.channels, "offsets": recipe.offsets, "shifts": recipe.shifts,
        "embedding": network.EMBEDDING, "scale": ways.scale, "zero_point": ways.zero_point,
    })  # fmt: skip


def _quantize(shape: network.Network, encoder: list, representative: np.ndarray) -> bytes:
    outputs = network.encode(shape, encoder, representative)
    source = Activation((1, shape.window, 1, shape.channels), measure.INPUT_SCALE, 0)
    ranges = [(float(y.min()), float(y.max())) for y in outputs]
    return write_chain(source, quantize_chain(source, network.float_layers(shape, encoder), ranges))

"""Trains an encoder's float parameters, and keeps them as two files; refuses files that do not belong together or to
the recipe. It knows nothing of int8.

parameters.f32  float32, little-endian: all of network.make_parameters' arrays in the order of JAX's tree, nothing else
trained.json    {"parameters": CID of that file, "losses": the mean of each tenth of the steps, "platform": where it was
                trained (recipe.describe_platform)}
"""

import json
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from gateway.storage.cid import cid_of, encode_text
from models import measure, network
from models.recipe import Data, Recipe, Report, describe_platform

PARAMETERS, FACTS = "parameters.f32", "trained.json"
FACTS_MAX_BYTES = 64 << 10
TEXT_CHARACTERS = 100


class ParametersRefused(ValueError):
    """The files hold no parameters of this encoder; one line."""


@dataclass(frozen=True)
class Trained:
    """parameters: as network.train gives them; losses: six digits each; platform: where they were trained."""

    parameters: dict
    losses: list[float]
    platform: dict[str, str]


def train(recipe: Recipe, data: Data, report: Report) -> Trained:
    """Train a recipe on data; report is called with a stage's name and how far it is, 0..1."""
    stage = f"training {recipe.name}"
    reals = measure.as_reals(recipe.quantize_windows(data.train))
    parameters, losses = network.train(
        recipe.network, reals, recipe.seed, recipe.steps, recipe.batch, lambda fraction, _: report(stage, fraction)
    )
    return Trained(parameters, [float(f"{loss:.6g}") for loss in losses], describe_platform())


def write(found: Trained) -> dict[str, bytes]:
    """{file name: content} of trained parameters; the same parameters give the same bytes."""
    content = b"".join(np.asarray(values, "<f4").tobytes() for values in jax.tree.leaves(found.parameters))
    facts = {"parameters": encode_text(cid_of(content)), "losses": found.losses, "platform": found.platform}
    return {PARAMETERS: content, FACTS: lines_json(facts)}


def read(recipe: Recipe, folder: Path) -> Trained:
    """Trained parameters of a recipe's network from a folder.

    Raises:
        ParametersRefused: a file is of another size or form, or the two are not of one training.
        OSError: a file cannot be read.
    """
    leaves, tree = jax.tree.flatten(network.make_parameters(recipe.network, 0))
    size = sum(leaf.size for leaf in leaves) * 4
    content, facts = _read(folder / PARAMETERS, size), _read(folder / FACTS, FACTS_MAX_BYTES)
    if len(content) != size:
        raise ParametersRefused(f"{folder / PARAMETERS}: got {len(content)} bytes, wanted {size} of {recipe.name}")
    values = np.frombuffer(content, "<f4")
    if not np.isfinite(values).all():
        raise ParametersRefused(f"{folder / PARAMETERS}: got values that are no numbers, wanted finite ones")
    losses, platform = _parse_facts(folder / FACTS, facts, encode_text(cid_of(content)))
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = [values[end - leaf.size : end].reshape(leaf.shape) for leaf, end in zip(leaves, ends, strict=True)]
    return Trained(jax.tree.unflatten(tree, parts), losses, platform)


def lines_json(value: dict) -> bytes:
    """JSON with one key a line, so that a change shows as a diff."""
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(content)}" for key, content in value.items())
    return f"{{\n{lines}\n}}\n".encode()


def _read(path: Path, limit: int) -> bytes:
    """At most one byte more than the limit."""
    with open(path, "rb") as file:
        return file.read(limit + 1)


def _parse_facts(path: Path, content: bytes, parameters: str) -> tuple[list[float], dict[str, str]]:
    try:
        facts = json.loads(content)
        named, losses, platform = (facts[name] for name in ("parameters", "losses", "platform"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ParametersRefused(f"{path}: wanted JSON with parameters, losses and platform") from error
    if named != parameters:
        raise ParametersRefused(f"{path}: parameters: got another CID than {parameters} of {PARAMETERS}")
    are_losses = isinstance(losses, list) and len(losses) == network.PARTS and all(map(_is_loss, losses))
    if not are_losses:
        raise ParametersRefused(f"{path}: losses: wanted {network.PARTS} finite numbers")
    are_texts = isinstance(platform, dict) and all(map(_is_text, platform.values()))
    if not are_texts or platform.keys() != describe_platform().keys():
        names = ", ".join(describe_platform())
        raise ParametersRefused(
            f"{path}: platform: wanted {names}, each at most {TEXT_CHARACTERS} printable characters"
        )
    return losses, platform


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and len(value) <= TEXT_CHARACTERS


def _is_loss(value: object) -> bool:
    return type(value) is float and bool(np.isfinite(value)) and value >= 0

"""A round as a data owner asks for it, options or TOML, into a manifest; refuses, with numbers, what does not fit.

Fields of the TOML file, and of the options, which go before it:
    kind       "moments", "classes", "decoder", "inference" or "vector"
    model      a model's facts (models/NAME/NAME.json): CID and width
    windows, clip, k_min, duration_s, deadline_s (from now)
    classes    kind classes; first_row, rows: kind decoder; rows: kind vector
    digits, ring    the least that carry the sums, if not given
    round      a number above every earlier one (default: seconds since 1970)
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from device.agent import rounds, statistics
from device.agent.errors import WireError
from device.agent.rounds import Manifest
from gateway.aggregation import rings
from gateway.aggregation.messages import WEIGHT_MAX, WEIGHTS_MAX
from gateway.storage.cid import decode_text

KINDS = {
    "moments": rounds.MOMENTS,
    "classes": rounds.CLASSES,
    "decoder": rounds.DECODER,
    "inference": rounds.INFERENCE,
    "vector": rounds.VECTOR,
}
DEFAULTS = {
    "classes": 0,
    "first_row": 0,
    "rows": 0,
    "windows": 32,
    "clip": 127,
    "k_min": 8,
    "duration_s": 120,
    "deadline_s": 600,
}
NUMBERS = {*DEFAULTS, "digits", "ring", "round"}
TEXTS = {"kind", "model"}


class PlanRefused(ValueError):
    """A round that cannot be asked for; one line with what was got and what was wanted."""


class ModelFacts(NamedTuple):
    """What a model's facts say of its embedding: CID (36 bytes), width, and real value = scale * (z - zero_point)."""

    model: bytes
    width: int
    scale: float
    zero_point: int


def read_facts(path: Path) -> ModelFacts:
    """A model's facts (models/NAME/NAME.json). Raises PlanRefused, OSError."""
    try:
        fields = json.loads(path.read_text())
        width, scale, zero = int(fields["embedding"]), float(fields["scale"]), int(fields["zero_point"])
        return ModelFacts(decode_text(fields["model"]), width, scale, zero)
    except (ValueError, KeyError, TypeError) as error:
        raise PlanRefused(f"{path}: {error!r}; wanted a model's facts: model, embedding, scale, zero_point") from None


def read_plan(path: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a round: the file's, with those of `options` that are not None before them.

    A model's path in the file is taken from the file's folder. Raises PlanRefused, OSError.
    """
    fields: dict[str, Any] = {}
    if path is not None:
        try:
            fields = tomllib.loads(path.read_text())
        except ValueError as error:
            raise PlanRefused(f"{path}: {error}") from None
        if isinstance(fields.get("model"), str):
            fields["model"] = str(path.parent / fields["model"])
    fields |= {name: value for name, value in options.items() if value is not None}
    for name, value in fields.items():
        kind = int if name in NUMBERS else str if name in TEXTS else None
        if kind is None:
            raise PlanRefused(f"{name}: unknown, wanted one of {', '.join(sorted(NUMBERS | TEXTS))}")
        if type(value) is not kind:
            raise PlanRefused(f"{name}: got {value!r}, wanted {kind.__name__}")
    for name in sorted(TEXTS - fields.keys()):
        raise PlanRefused(f"{name}: missing")
    return DEFAULTS | fields


def make_manifest(fields: Mapping[str, Any], facts: ModelFacts, holders: bytes, now_ms: int) -> Manifest:
    """The manifest of a round.

    Args:
        fields: as read_plan gives them. holders: Keccak-256 of the holders' keys. now_ms: since 1970.
    Raises:
        PlanRefused: a field is out of range, the sums do not fit the ring, or their noise would not stay small.
    """
    if fields["kind"] not in KINDS:
        raise PlanRefused(f"kind: got {fields['kind']!r}, wanted one of {', '.join(KINDS)}")
    tried = ""
    for ring in [fields["ring"]] if "ring" in fields else sorted(rounds.RINGS):
        for digits in [fields["digits"]] if "digits" in fields else range(1, 5):
            try:
                manifest = _manifest(fields, facts, holders, now_ms, ring, digits)
                statistics.check_fits(manifest)
            except WireError as error:
                tried = tried if tried and digits == 4 else str(error)
                continue
            check_noise(manifest)
            return manifest
    raise PlanRefused(tried)


def check_noise(manifest: Manifest) -> rings.Noise:
    """The noise of the worst sum that the round's weights allow. Raises PlanRefused: it could change the result."""
    noise = rings.noise_of_worst_sum(rings.RINGS[manifest.ring], WEIGHTS_MAX, WEIGHT_MAX)
    if not noise.suffices:
        raise PlanRefused(f"noise: got {noise}, wanted at most {noise.limit:.1f}")
    return noise


def _manifest(
    fields: Mapping[str, Any], facts: ModelFacts, holders: bytes, now_ms: int, ring: int, digits: int
) -> Manifest:
    kind, windows = KINDS[fields["kind"]], fields["windows"]
    clip = 127 if kind == rounds.VECTOR else fields["clip"]
    return Manifest(
        fields.get("round", now_ms // 1000), ring, facts.model, kind, facts.width, fields["classes"],
        fields["first_row"], fields["rows"], windows, clip, digits, fields["k_min"],
        1000 * fields["duration_s"], now_ms + 1000 * fields["deadline_s"], holders,
    )  # fmt: skip

"""What is fitted from a round's sums, in closed form; refuses sums that no embeddings have. It sees no embedding.

z is the embedding as devices sum it: int8, held to -clip..clip; its real value is scale * (z - zero point). Everything
here follows from n, sum z, sum z z^T and the sums per class or row, so it is what pooled embeddings would give: the
sums are exact integers, and floats come in only at the solving.

* mean, covariance; principal axes (eigenvectors of the covariance).
* anomaly: the squared Mahalanobis distance of an embedding, and a threshold that a share `false_alarms` of Gaussian
  embeddings exceeds: chi-square quantile by Wilson and Hilferty (1931).
* head: ridge regression of one-hot classes, the intercept not penalised: argmax(z weights + bias) is the class.
* decoder: the same regression of the window's rows, the linear decoder of an auto-encoder.
"""

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.agent import rounds, statistics
from device.agent.errors import WireError
from device.agent.rounds import Manifest
from gateway.curve import keccak
from gateway.storage.cid import decode_text

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class SumsRefused(ValueError):
    """The sums cannot be sums of embeddings, or do not hold what is asked of them."""


@dataclass(frozen=True)
class Sums:
    """Sums over all windows of a round, exact.

    windows: how many. z int[w]; zz int[w, w]. counts int[c] and class_z int[c, w] of kind classes; x int[r] and xz
    int[r, w] of kind decoder; empty where the kind has none.
    """

    windows: int
    z: Ints
    zz: Ints
    counts: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    class_z: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    x: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    xz: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @property
    def mean(self) -> Floats:
        return self.z / self.windows

    @property
    def scatter(self) -> Floats:
        """sum (z - mean)(z - mean)^T, float[w, w]; the numerator is exact."""
        w = self.zz.astype(object) * self.windows - np.outer(self.z.astype(object), self.z.astype(object))
        return w.astype(np.float64) / self.windows


def split(manifest: Manifest, windows: int, values: list[int]) -> Sums:
    """The values of a round (EDIL.md, section 4) as Sums.

    Raises:
        SumsRefused: another number of values, no window, or sums that no embeddings have.
    """
    if manifest.kind not in (rounds.MOMENTS, rounds.CLASSES, rounds.DECODER):
        raise SumsRefused(f"kind: got {manifest.kind}, wanted moments, classes or decoder")
    wanted = statistics.count_values(manifest)
    if len(values) != wanted or windows < 1:
        raise SumsRefused(f"sums: got {len(values)} values of {windows} windows, wanted {wanted} of at least 1")
    width = manifest.width
    whole = np.array(values, np.int64)
    upper = whole[width : statistics.moments(width)]
    zz = np.zeros((width, width), np.int64)
    zz[np.triu_indices(width)] = upper
    zz = zz + np.triu(zz, 1).T
    rest, rows = whole[statistics.moments(width) :], manifest.classes or manifest.rows
    first, second = rest[:rows], rest[rows:].reshape(rows, width)
    sums = Sums(windows, whole[:width], zz)
    if manifest.kind == rounds.CLASSES:
        sums = Sums(windows, whole[:width], zz, counts=first, class_z=second)
    elif manifest.kind == rounds.DECODER:
        sums = Sums(windows, whole[:width], zz, x=first, xz=second)
    _check(manifest, sums)
    return sums


def _check(manifest: Manifest, sums: Sums) -> None:
    """What holds for sums of any embeddings within the clip; a poisoned round can still keep to it (docs/edil.md)."""
    clip = manifest.clip
    reach = clip * sums.windows
    if np.abs(sums.z).max() > reach or np.abs(sums.zz).max() > clip * reach:
        raise SumsRefused(f"sums: got more than {sums.windows} windows within -{clip}..{clip} can give")
    if np.linalg.eigvalsh(sums.scatter).min() < -1e-6 * max(1.0, float(np.abs(sums.scatter).max())):
        raise SumsRefused("sums: got a scatter with a negative eigenvalue, which no embeddings have")
    if manifest.kind == rounds.CLASSES:
        if sums.counts.min() < 0 or sums.counts.sum() != sums.windows:
            raise SumsRefused(f"classes: got {sums.counts.tolist()} windows, wanted {sums.windows} in all")
        if (sums.class_z.sum(axis=0) != sums.z).any():
            raise SumsRefused("classes: got sums of classes that are not the sum of all")


def fit(
    manifest: Manifest, sums: Sums, scale: float, zero_point: int, ridge: float, false_alarms: float
) -> dict[str, Any]:
    """Everything that a round's sums give, JSON values; arrays as lists.

    Args:
        scale, zero_point: of the model's embedding. ridge: penalty, as a share of the mean variance of an element.
        false_alarms: share of ordinary windows above the threshold, 0..1.
    """
    covariance = sums.scatter / sums.windows
    variances, axes = np.linalg.eigh(covariance)
    found: dict[str, Any] = {
        "windows": sums.windows,
        "mean": (scale * (sums.mean - zero_point)).tolist(),
        "covariance": (scale**2 * covariance).tolist(),
        "pca": {"variances": (scale**2 * variances[::-1]).tolist(), "axes": axes.T[::-1].tolist()},
        "anomaly": anomaly(sums, ridge, false_alarms),
    }
    if manifest.kind == rounds.CLASSES:
        found["head"] = regress(sums, sums.class_z, sums.counts, ridge)
    if manifest.kind == rounds.DECODER:
        found["decoder"] = {"first_row": manifest.first_row, **regress(sums, sums.xz, sums.x, ridge)}
    return found


def regress(sums: Sums, outer: Ints, totals: Ints, ridge: float) -> dict[str, Any]:
    """Ridge regression of targets on z: {"weights" [w][targets], "bias" [targets]}, of z as devices sum it.

    outer int[targets, w]: sums of target times z; totals int[targets]: sums of targets.
    """
    scatter = sums.scatter
    penalty = ridge * max(np.trace(scatter) / len(scatter), 1.0)
    crossed = outer.T - np.outer(sums.mean, totals)
    weights = np.linalg.solve(scatter + penalty * np.eye(len(scatter)), crossed)
    return {"weights": weights.tolist(), "bias": (totals / sums.windows - sums.mean @ weights).tolist()}


def anomaly(sums: Sums, ridge: float, false_alarms: float) -> dict[str, Any]:
    """{"mean" [w], "precision" [w][w], "threshold"}: of z as devices sum it; anomalous is a distance above it."""
    covariance = sums.scatter / sums.windows
    width = len(covariance)
    penalty = ridge * max(np.trace(covariance) / width, 1.0)
    precision = np.linalg.inv(covariance + penalty * np.eye(width))
    normal = NormalDist().inv_cdf(1 - false_alarms)
    threshold = width * (1 - 2 / (9 * width) + normal * (2 / (9 * width)) ** 0.5) ** 3
    return {"mean": sums.mean.tolist(), "precision": precision.tolist(), "threshold": threshold}


def read_sums(fields: Any) -> tuple[Manifest, Sums]:
    """What `tinyren edil open` wrote (owner.Opened.as_json): the round and its sums. Raises SumsRefused."""
    try:
        named = {name: fields[name] for name in Manifest.FIELDS}
        named["model"] = decode_text(named["model"])
        named["holders"] = keccak(b"".join(bytes.fromhex(key) for key in named["holders"]))
        manifest = Manifest(*named.values())
        statistics.check_fits(manifest)
        windows, values = int(fields["count"]), [int(value) for value in fields["values"]]
    except (KeyError, TypeError, ValueError, AttributeError, WireError) as error:
        raise SumsRefused(f"sums: {error!r}; wanted what `tinyren edil open` wrote") from None
    return manifest, split(manifest, windows, values)


def read_rows(text: str, width: int) -> tuple[Ints, Ints]:
    """Labelled embeddings: a row is a class and `width` integers, comma between -> (classes [n], embeddings [n, w]).

    Raises SumsRefused.
    """
    try:
        rows = [[int(word) for word in line.split(",")] for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise SumsRefused(f"data: {error}; wanted a class and integers") from None
    if not rows or {len(row) for row in rows} != {width + 1}:
        raise SumsRefused(f"data: got {len(rows)} rows, wanted some, each a class and {width} integers")
    table = np.array(rows, np.int64)
    return table[:, 0], table[:, 1:]


def evaluate(fields: Any, text: str) -> dict[str, Any]:
    """Accuracy of the head in what `tinyren edil fit` wrote, on labelled embeddings as text. Raises SumsRefused."""
    try:
        head, clip = fields["head"], int(fields["clip"])
        width = np.array(head["weights"], float).shape[0]
    except (KeyError, TypeError, ValueError, IndexError):
        wanted = "what `tinyren edil fit` wrote of a round of kind classes"
        raise SumsRefused(f"fit: got no head, wanted {wanted}") from None
    classes, z = read_rows(text, width)
    correct = int((classify(head, np.clip(z, -clip, clip)) == classes).sum())
    return {"windows": len(z), "correct": correct, "accuracy": correct / len(z)}


def classify(head: dict[str, Any], z: Ints) -> Ints:
    """Class of each embedding int[n, w], held to the clip as in the sums."""
    logits: Floats = z @ np.array(head["weights"]) + np.array(head["bias"])
    best: Ints = logits.argmax(axis=1)
    return best


def distances(found: dict[str, Any], z: Ints) -> Floats:
    """Squared Mahalanobis distance of each embedding int[n, w]."""
    away = z - np.array(found["mean"])
    squared: Floats = np.einsum("nw,wv,nv->n", away, np.array(found["precision"]), away)
    return squared

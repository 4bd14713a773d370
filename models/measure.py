"""Measures an encoder on windows it never saw: what it keeps of them, what a score or a linear head makes of it.

Each figure three ways: the float network, the .tflite in tflite-runtime's reference kernels (int8), the artifact in the
kernels that devices run (device); the last two must agree in every byte, and are counted. Beside them a baseline
without a network: the mean window for errors, else the mean and spread of each channel.
"""

from collections.abc import Callable

import numpy as np
from tflite_runtime.interpreter import Interpreter, OpResolverType

from device.native.shared import Model
from models import network, plot

INPUT_SCALE = 1 / 128
WAYS = ("float", "int8", "device")
BASELINE = "baseline"
POINTS = 100
RIDGE = 1e-6
PENALTY = 1e-3
NEWTON_STEPS = 50


def as_reals(windows: np.ndarray) -> np.ndarray:
    """float32[n, window, 1, channels] of int8[n, window, channels]."""
    return windows[:, :, None, :].astype(np.float32) * np.float32(INPUT_SCALE)


class Reference:
    """A .tflite in tflite-runtime's reference kernels; an output's real value is scale * (q - zero_point)."""

    def __init__(self, content: bytes):
        self._interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self.scale, self.zero_point = self._interpreter.get_output_details()[0]["quantization"]

    def run(self, window: np.ndarray) -> np.ndarray:
        """int8[16] of int8[window, channels]."""
        self._interpreter.set_tensor(self._input["index"], window.reshape(self._input["shape"]))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)[0]


class Ways:
    """One encoder, run each way; `identical` of `compared` windows gave int8 and device the same bytes."""

    def __init__(self, shape: network.Network, parameters: dict, content: bytes, artifact: bytes):
        self.shape, self.parameters = shape, parameters
        self.reference, self.model = Reference(content), Model(artifact)
        self.scale, self.zero_point = self.reference.scale, self.reference.zero_point
        self.identical = self.compared = 0

    def embed(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """{way: float64[n, 16], and for the baseline [n, 2 * channels]} of int8[n, window, channels]."""
        reals = as_reals(windows)
        exact = np.stack([self.reference.run(window) for window in windows])
        device = np.stack([self._run(window) for window in windows])
        self.identical += int((exact == device).all(axis=1).sum())
        self.compared += len(windows)
        embeddings = network.encode(self.shape, self.parameters["encoder"], reals)[-1]
        return {
            "float": np.asarray(embeddings, np.float64), "int8": self._real(exact), "device": self._real(device),
            BASELINE: np.concatenate([reals.mean(axis=1), reals.std(axis=1)], axis=-1)[:, 0].astype(np.float64),
        }  # fmt: skip

    def _run(self, window: np.ndarray) -> np.ndarray:
        out = bytearray(self.model.output_bytes)
        self.model.run(window.tobytes(), out)
        return np.frombuffer(out, np.int8)

    def _real(self, embeddings: np.ndarray) -> np.ndarray:
        return (embeddings.astype(np.float64) - self.zero_point) * self.scale


def measure(ways: Ways, data, quantize: Callable[[np.ndarray], np.ndarray]) -> tuple[dict, dict[str, str]]:
    """Figures {name: {way: value}} and pictures {file name: SVG} of recipe.Data; quantize makes int8 of raw windows."""
    ordinary, held_out = quantize(data.train), quantize(data.held_out)
    learnt, seen = ways.embed(ordinary), ways.embed(held_out)
    figures = {"error": _errors(ways, ordinary, held_out, seen)}
    pictures = {}
    if data.anomalies:
        spoiled = {kind: ways.embed(quantize(windows)) for kind, windows in data.anomalies.items()}
        found, pictures["roc.svg"] = _measure_anomalies(learnt, seen, spoiled)
        figures |= found
    if data.classes:
        figures["accuracy"], pictures["confusion.svg"] = _measure_classes(learnt, seen, data)
    rounded = {name: {way: float(f"{value:.4g}") for way, value in row.items()} for name, row in figures.items()}
    return rounded, pictures


def _errors(ways: Ways, ordinary: np.ndarray, held_out: np.ndarray, seen: dict) -> dict[str, float]:
    wanted = as_reals(held_out).reshape(len(held_out), -1)

    def error(way):
        restored = network.decode(ways.parameters["decoder"], seen[way].astype(np.float32))
        return float(np.mean((np.asarray(restored) - wanted) ** 2))

    mean = as_reals(ordinary).mean(axis=0).reshape(1, -1)
    return {**{way: error(way) for way in WAYS}, BASELINE: float(np.mean((wanted - mean) ** 2))}


def _measure_anomalies(learnt: dict, seen: dict, spoiled: dict) -> tuple[dict, str]:
    """AUC of each kind and their mean, and the curves behind the mean: all kinds together."""
    rows: dict[str, dict[str, float]] = {kind: {} for kind in spoiled}
    curves = {}
    for way in (*WAYS, BASELINE):
        score = scorer(learnt[way])
        below = score(seen[way])
        above = {kind: score(embeddings[way]) for kind, embeddings in spoiled.items()}
        for kind, scores in above.items():
            rows[kind][way] = auc(below, scores)
        if way in ("device", BASELINE):
            curves[way] = _roc(below, np.concatenate(list(above.values())))
    mean = {way: float(np.mean([row[way] for row in rows.values()])) for way in (*WAYS, BASELINE)}
    picture = plot.line_chart(
        "Anomalies found", "share of ordinary windows called anomalous", "share of anomalous windows found", curves
    )
    return {"auc": mean} | {f"auc, {kind}": row for kind, row in rows.items()}, picture


def _measure_classes(learnt: dict, seen: dict, data) -> tuple[dict[str, float], str]:
    """Accuracy of a linear head on each way's embeddings, and the device's confusion matrix."""
    row, told = {}, np.empty(0)
    for way in (*WAYS, BASELINE):
        head = linear_head(learnt[way], data.train_labels, len(data.classes))
        answers = head(seen[way])
        row[way] = float((answers == data.held_out_labels).mean())
        told = answers if way == "device" else told
    counts = np.zeros((len(data.classes),) * 2, int)
    np.add.at(counts, (data.held_out_labels, told), 1)
    return row, plot.confusion_matrix("Linear head on the device's embedding", data.classes, counts.tolist())


def scorer(embeddings: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The function from embeddings float[n, d] to squared Mahalanobis distances float[n] from these."""
    centre = embeddings.mean(axis=0)
    inverse = np.linalg.pinv(np.cov(embeddings.T) + RIDGE * np.eye(embeddings.shape[1]))
    return lambda rows: np.einsum("ni,ij,nj->n", rows - centre, inverse, rows - centre)


def auc(below: np.ndarray, above: np.ndarray) -> float:
    """The chance that one of `above` exceeds one of `below`; ties count half."""
    ordered = np.sort(below)
    wins = np.searchsorted(ordered, above, "left") + np.searchsorted(ordered, above, "right")
    return float(wins.mean() / (2 * len(ordered)))


def linear_head(embeddings: np.ndarray, labels: np.ndarray, classes: int) -> Callable[[np.ndarray], np.ndarray]:
    """The function from embeddings float[n, d] to classes int[n]: logistic regression by Newton's method.

    The loss is the mean cross entropy plus PENALTY times the weights' squares, which makes its minimum unique.
    """
    centre, spread = embeddings.mean(axis=0), embeddings.std(axis=0) + 1e-9

    def rows_of(values):
        return np.concatenate([(values - centre) / spread, np.ones((len(values), 1))], axis=1)

    weights = fit_logistic(rows_of(embeddings), np.eye(classes)[labels])
    return lambda values: (rows_of(values) @ weights).argmax(axis=1)


def fit_logistic(rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """float[d, classes] that minimises the loss of rows float[n, d] and one-hot float[n, classes]."""
    weights = np.zeros((rows.shape[1], wanted.shape[1]))
    loss, shares = cross_entropy(rows, wanted, weights)
    for _ in range(NEWTON_STEPS):
        slope = rows.T @ (shares - wanted) / len(rows) + 2 * PENALTY * weights
        outer = np.einsum("nk,kl->nkl", shares, np.eye(shares.shape[1])) - np.einsum("nk,nl->nkl", shares, shares)
        curvature = np.einsum("ni,nj,nkl->ikjl", rows, rows, outer, optimize=True).reshape(weights.size, -1)
        curvature = curvature / len(rows) + 2 * PENALTY * np.eye(weights.size)
        step, size = np.linalg.solve(curvature, slope.ravel()).reshape(weights.shape), 1.0
        while (tried := cross_entropy(rows, wanted, weights - size * step))[0] > loss and size > 1e-6:
            size /= 2
        if loss - tried[0] < 1e-10:
            break
        weights, (loss, shares) = weights - size * step, tried
    return weights


def cross_entropy(rows: np.ndarray, wanted: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """The loss, and the share float[n, classes] that each class has of each row."""
    logits = rows @ weights
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits)
    total = shares.sum(axis=1, keepdims=True)
    losses = np.log(total[:, 0]) - (wanted * logits).sum(axis=1)
    return float(losses.mean() + PENALTY * (weights**2).sum()), shares / total


def _roc(below: np.ndarray, above: np.ndarray) -> list[tuple[float, float]]:
    """The share of `below` and of `above` over each of POINTS + 1 thresholds, and at last all of both."""
    thresholds = np.quantile(below, np.linspace(1, 0, POINTS + 1))
    return [(float((below > t).mean()), float((above > t).mean())) for t in thresholds] + [(1.0, 1.0)]

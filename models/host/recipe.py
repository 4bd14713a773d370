"""Makes every file of the encoder `host` from one seed: trains, quantises, exports, compiles, measures; writes none.

Measured on machines and anomalies that training never saw, with the very kernels that devices run. The anomaly score is
the Mahalanobis distance of an embedding from the training embeddings; AUC is the chance that an anomalous window scores
above an ordinary one.
"""

import json
import os
import platform
import re
from importlib.metadata import version

import numpy as np

from device.native.shared import Model
from gateway.storage.cid import encode_text
from models.artifact import compile_model, macs
from models.export import Activation, write_chain
from models.graph import read_graph
from models.host import network, signals
from models.host.card import render_card
from models.quantize import quantize_chain

SEED = 20250301
STEPS, BATCH = 1000, 64
TRACES, WINDOWS = 200, 20
HELD_OUT_TRACES = 60
REPRESENTATIVE = 512
INPUT_SCALE = 1 / 128
# How far another machine's figures may lie from the committed ones, relative for errors, absolute for AUC.
TOLERANCE = {"relative": 0.15, "auc": 0.03}


def build() -> dict[str, bytes]:
    """{file name: content} for models/host; the same bytes each time on one machine."""
    ordinary = signals.quantize_windows(signals.make_windows(SEED, TRACES, WINDOWS))
    parameters, losses = network.train(_as_reals(ordinary), SEED, STEPS, BATCH)
    content = _export(parameters["encoder"], _as_reals(ordinary[:: len(ordinary) // REPRESENTATIVE]))
    artifact = compile_model(content)
    model = Model(artifact)
    facts = {
        "tflite_bytes": len(content),
        "artifact_bytes": len(artifact),
        "macs": macs(content),
        "input_bytes": model.input_bytes,
        "output_bytes": model.output_bytes,
        "arena_bytes": model.arena_bytes,
    }
    scale, zero = _embedding_scale(content)
    figures = {
        "model": encode_text(model.cid),
        "facts": facts,
        "losses": [float(f"{loss:.6g}") for loss in losses],
        "figures": _measure(parameters, model, scale, zero, ordinary),
        "tolerance": TOLERANCE,
        "platform": describe_platform(),
    }
    host = {
        "name": "host",
        "model": encode_text(model.cid),
        "window": [signals.WINDOW, 4],
        "sample_ms": 50,
        "channels": signals.CHANNELS,
        "offsets": signals.OFFSETS,
        "shifts": signals.SHIFTS,
        "embedding": network.EMBEDDING,
        "scale": scale,
        "zero_point": zero,
    }
    return {
        "encoder.tflite": content,
        "encoder.ren": artifact,
        "host.json": _json(host),
        "figures.json": _json(figures),
        "card.md": render_card(figures, host, HELD_OUT_TRACES * WINDOWS).encode(),
    }


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


def _json(value: dict) -> bytes:
    """One key a line, so that a change shows as a diff."""
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(content)}" for key, content in value.items())
    return f"{{\n{lines}\n}}\n".encode()


def _as_reals(windows: np.ndarray) -> np.ndarray:
    """float32[n, 32, 1, 4] of int8[n, 32, 4]."""
    return windows[:, :, None, :].astype(np.float32) * np.float32(INPUT_SCALE)


def _export(encoder: list, representative: np.ndarray) -> bytes:
    ranges = [(float(y.min()), float(y.max())) for y in network.encode(encoder, representative)]
    source = Activation((1, signals.WINDOW, 1, 4), INPUT_SCALE, 0)
    return write_chain(source, quantize_chain(source, network.float_layers(encoder), ranges))


def _embedding_scale(content: bytes) -> tuple[float, int]:
    graph = read_graph(content)
    tensor = graph.tensors[graph.output]
    return tensor.scales[0], tensor.zero_points[0]


def _measure(parameters: dict, model: Model, scale: float, zero: int, ordinary: np.ndarray) -> dict[str, float]:
    def embed_float(windows):
        return np.asarray(network.encode(parameters["encoder"], _as_reals(windows))[-1], np.float64)

    def embed_int8(windows):
        out, rows = bytearray(model.output_bytes), []
        for window in windows:
            model.run(window.tobytes(), out)
            rows.append(np.frombuffer(bytes(out), np.int8))
        return (np.array(rows, np.float64) - zero) * scale

    def error(embedding, windows):
        restored = network.decode(parameters["decoder"], embedding.astype(np.float32))
        return float(np.mean((np.asarray(restored) - _as_reals(windows).reshape(len(windows), -1)) ** 2))

    raw = signals.make_windows(SEED + 1, HELD_OUT_TRACES, WINDOWS)
    held_out = signals.quantize_windows(raw)
    mean = _as_reals(ordinary).mean(axis=0)
    figures = {
        "error_of_the_mean_window": float(np.mean((_as_reals(held_out) - mean) ** 2)),
        "error_float": error(embed_float(held_out), held_out),
        "error_int8": error(embed_int8(held_out), held_out),
    }
    spoiled = {
        kind: signals.quantize_windows(signals.inject_anomalies(SEED + 2, raw, kind)) for kind in signals.ANOMALIES
    }
    for name, embed in (("float", embed_float), ("int8", embed_int8)):
        score = _scorer(embed(ordinary))
        below = score(embed(held_out))
        aucs = {kind: _auc(below, score(embed(windows))) for kind, windows in spoiled.items()}
        figures[f"auc_{name}"] = float(np.mean(list(aucs.values())))
        figures |= {f"auc_{name} {kind}": auc for kind, auc in aucs.items()}
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def _scorer(embeddings: np.ndarray):
    """The function from embeddings float[n, 16] to squared Mahalanobis distances float[n]."""
    centre = embeddings.mean(axis=0)
    inverse = np.linalg.pinv(np.cov(embeddings.T) + 1e-6 * np.eye(embeddings.shape[1]))
    return lambda rows: np.einsum("ni,ij,nj->n", rows - centre, inverse, rows - centre)


def _auc(below: np.ndarray, above: np.ndarray) -> float:
    """The chance that one of `above` exceeds one of `below`; ties count half."""
    ordered = np.sort(below)
    wins = np.searchsorted(ordered, above, "left") + np.searchsorted(ordered, above, "right")
    return float(wins.mean() / (2 * len(ordered)))

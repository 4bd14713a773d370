"""Synthetic signals of host machines, and anomalies put into them; no recording of any real machine is in here.

A trace is what boards/signals.py would say of a machine: temperature in 1/256 degC, then cpu, memory and load per core
at 20 counts a percent, each 50 ms. The ranges are our guess at ordinary machines: 2 to 16 cores, 15 to 35 degC of room,
up to 45 degC of heating, memory ramps of up to 2 % a second.
"""

import numpy as np

WINDOW = 32
CHANNELS = ("temperature", "cpu", "memory", "load")
OFFSETS = (12800, 1024, 1024, 1024)
SHIFTS = (6, 3, 3, 3)
SAMPLE_S = 0.05
COUNTS = 20
COUNTS_MAX = 2047
ANOMALIES = ("stuck channel", "temperature step", "memory jump", "axes swapped", "oscillation")


def make_windows(seed: int, traces: int, windows: int) -> np.ndarray:
    """int16[traces * windows, 32, 4]: raw samples of many machines, `windows` windows in a row from each."""
    rng = np.random.default_rng(seed)
    return np.concatenate([_trace(rng, windows * WINDOW).reshape(windows, WINDOW, 4) for _ in range(traces)])


def quantize_windows(raw: np.ndarray) -> np.ndarray:
    """int8 of the same shape: clamp((raw - offset) >> shift, -128, 127), as the device does it."""
    shifted = (raw.astype(np.int32) - np.array(OFFSETS, np.int32)) >> np.array(SHIFTS, np.int32)
    return np.clip(shifted, -128, 127).astype(np.int8)


def inject_anomalies(seed: int, raw: np.ndarray, kind: str) -> np.ndarray:
    """A copy of int16[n, 32, 4] in which every window holds one anomaly of the kind, at a random place."""
    rng = np.random.default_rng(seed)
    return np.stack([_spoil(rng, window.astype(np.int32), kind) for window in raw]).astype(np.int16)


def _trace(rng: np.random.Generator, samples: int) -> np.ndarray:
    busy = _busy(rng, samples)
    ticks = 5 * rng.choice([2, 4, 8, 16])
    cpu = 100.0 * rng.binomial(ticks, busy) / ticks
    load = _smooth(np.repeat(busy[::100], 100)[:samples] * rng.uniform(80, 140), 60.0, rng.uniform(0, 100))
    ramp = np.cumsum(rng.choice([0.0, 0.0, 1.0, -1.0], samples // WINDOW).repeat(WINDOW) * rng.uniform(0, 2) * SAMPLE_S)
    memory = np.clip(rng.uniform(10, 90) + ramp, 2, 99)
    return np.stack([_temperature(rng, busy), *(_counts(signal) for signal in (cpu, memory, load))], 1).astype(np.int16)


def _busy(rng: np.random.Generator, samples: int) -> np.ndarray:
    """The share of cpu in use: a level that drifts (AR(1)) under bursts of load."""
    level, burst, out = rng.uniform(0.0, 0.8), 0.0, np.empty(samples)
    for i in range(samples):
        level += 0.01 * (rng.uniform(0.0, 0.8) - level) + rng.normal(0, 0.01)
        if rng.random() < 0.01:
            burst = rng.uniform(0.2, 1.0)
        burst = burst if rng.random() < 0.95 else 0.0
        out[i] = level + burst
    return np.clip(out, 0.0, 1.0)


def _smooth(signal: np.ndarray, seconds: float, start: float) -> np.ndarray:
    """Exponential smoothing, as a load average and a heat sink do."""
    out, value, keep = np.empty(len(signal)), start, np.exp(-SAMPLE_S / seconds)
    for i, new in enumerate(signal):
        value = keep * value + (1 - keep) * new
        out[i] = value
    return out


def _temperature(rng: np.random.Generator, busy: np.ndarray) -> np.ndarray:
    """1/256 degC, cut to the sensor's 1/16 degC; one machine in four has no sensor and stays at 25 degC."""
    if rng.random() < 0.25:
        return np.full(len(busy), 25 * 256)
    warm = _smooth(busy * rng.uniform(15, 45), rng.uniform(5, 30), rng.uniform(5, 30))
    return np.floor((rng.uniform(15, 35) + warm + rng.normal(0, 0.1, len(busy))) * 16) * 16


def _counts(percent: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(percent * COUNTS), 0, COUNTS_MAX)


def _spoil(rng: np.random.Generator, window: np.ndarray, kind: str) -> np.ndarray:
    at = rng.integers(8, 24)
    if kind == "stuck channel":
        window[at:, rng.integers(1, 4)] = rng.choice([0, COUNTS_MAX])
    elif kind == "temperature step":
        window[at:, 0] += 256 * rng.integers(8, 20)
    elif kind == "memory jump":
        step = COUNTS * rng.integers(15, 40)
        window[at:, 2] += step if window[at, 2] < COUNTS_MAX // 2 else -step
    elif kind == "axes swapped":
        window[at:] = window[at:][:, [0, 2, 3, 1]]
    else:
        window[:, 3] += np.where(np.arange(WINDOW) // rng.integers(2, 5) % 2, 300, -300)
    window[:, 1:] = np.clip(window[:, 1:], 0, COUNTS_MAX)
    return window

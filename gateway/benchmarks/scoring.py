"""What it costs to score an epoch and build its tree, for 1,000 to a million devices, each in its own process.

The work of one oracle from decoded heartbeats to root and all that claims need: the rule of availability over every
heartbeat, rewards, leaves and the Merkle tree. To decode and to verify one heartbeat is measured beside it, on real
ones, because at this scale libsecp256k1 is the limit: a million devices send a million signatures a window, which an
oracle verifies as they come, not at the end.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from device.agent import wire
from gateway import curve
from gateway.oracle import availability, merkle, rewards
from gateway.oracle.availability import Heartbeat, Window, Windows
from gateway.oracle.epoch import SignerKeys, read_heartbeats
from gateway.oracle.rewards import Deed
from gateway.settlement.tree import Leaves, add_epoch

COUNTS = (1_000, 10_000, 100_000, 1_000_000)
WINDOWS, WINDOW_MS = 4, 60_000
SAMPLE = 2_000


def measure(counts: Sequence[int] = COUNTS) -> dict[str, Any]:
    """{"windows", "decode_us", "verify_us", "1000": {"score_s", "tree_s", "total_s", "peak_bytes"}, ...}."""
    decode_us, verify_us = measure_heartbeat()
    found: dict[str, Any] = {"windows": WINDOWS, "decode_us": decode_us, "verify_us": verify_us}
    for count in counts:
        command = [sys.executable, "-m", "gateway.benchmarks.scoring", str(count)]
        found[str(count)] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def measure_devices(count: int) -> dict[str, Any]:
    """Score one epoch of so many devices, each with a deed of its own, that answer three of four windows."""
    opened = [Window(w, w * WINDOW_MS, w, bytes(32), wire.make_beacon(1, w, bytes(32))) for w in range(WINDOWS)]
    windows = Windows(1, WINDOWS, WINDOW_MS, tuple(opened), WINDOWS)
    devices = [number.to_bytes(20, "big") for number in range(count)]
    deeds = {number: Deed(device, 1, (device,)) for number, device in enumerate(devices, 1)}

    def heartbeats() -> Iterator[Heartbeat]:
        for window in opened[1:]:
            for device in devices:
                yield Heartbeat(window.opened_ms, device, window.beacon, 1, window.window, b"", b"")

    started = time.perf_counter()
    scores = availability.score(windows, heartbeats(), lambda beat: True, devices)
    owners = {number: deed.owner for number, deed in deeds.items()}
    leaves = add_epoch(Leaves(), rewards.rewards_of(deeds, scores), owners, set())
    scored = time.perf_counter()
    tree = merkle.Tree([merkle.leaf(deed, wei) for deed, wei in leaves.deeds])
    ended = time.perf_counter()
    if len(tree) != len(deeds) or set(scores.values()) != {availability.FULL * 3 // 4}:
        raise AssertionError(f"{len(tree)} leaves, availability {set(scores.values())}")
    return {
        "score_s": round(scored - started, 3),
        "tree_s": round(ended - scored, 3),
        "total_s": round(ended - started, 3),
        "peak_bytes": _peak_bytes(),
    }


def _peak_bytes() -> int:
    """Of this process since its exec; getrusage counts what its parent had at the fork, too."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:"))


def measure_heartbeat() -> tuple[float, float]:
    """Microseconds to decode one heartbeat, and to verify its signature."""
    key = PrivateKey.from_int(7)
    device = curve.address(key.public_key.format())
    model = bytes.fromhex("01551220") + bytes(32)
    items = [
        (
            0,
            wire.sign_heartbeat(
                device, lambda d: key.sign_recoverable(d, hasher=None), bytes(14), 1, n, model, n, bytes(16), 0
            ),
        )
        for n in range(1, SAMPLE + 1)
    ]
    started = time.perf_counter()
    beats = list(read_heartbeats(items))
    decoded = time.perf_counter()
    is_signed = SignerKeys().is_signed
    if not all(is_signed(beat) for beat in beats) or len(beats) != SAMPLE:
        raise AssertionError("a heartbeat was refused")
    ended = time.perf_counter()
    return round((decoded - started) / SAMPLE * 1e6, 1), round((ended - decoded) / SAMPLE * 1e6, 1)


if __name__ == "__main__":
    print(json.dumps(measure_devices(int(sys.argv[1])) if sys.argv[1:] else measure()))

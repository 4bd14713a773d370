"""How many heartbeats a second the gateway verifies and stores, beside bare coincurve; refuses to leave the disk out.

"Bare" is `coincurve.PublicKey.verify` over the same digests, with DER signatures made before the clock starts. "Ingest"
is everything from topic and payload to the synced evidence and the registry's state. Both run on this thread, batch by
batch in turns, and the share is the median of the batches' shares, so that what else the machine does slows both alike.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from coincurve import PrivateKey

from device.agent import wire
from gateway import curve
from gateway.intake.evidence import Evidence
from gateway.intake.ingest import Ingest, Item
from gateway.intake.registry import Device, Registry

BATCH = 256
DEVICES = 64
MODEL = bytes.fromhex("01551220") + bytes(32)
BEACON = wire.make_beacon(1, 0, bytes(32))


def measure(heartbeats: int = 8192, folder: Path | None = None) -> dict[str, float]:
    """{"sign_per_s", "bare_per_s", "ingest_per_s", "share"} over so many heartbeats of 64 devices.

    Args:
        heartbeats: a multiple of BATCH.
        folder: where the evidence lies meanwhile, on the disk that a site would use; None: the system's temporary one.
    Raises:
        AssertionError: a heartbeat was not verified or not stored.
    """
    keys = [PrivateKey(number.to_bytes(32, "big")) for number in range(1, DEVICES + 1)]
    items = [heartbeat_of(keys[number % DEVICES], 1 + number // DEVICES) for number in range(heartbeats)]
    bare = [_bare(keys[number % DEVICES], frame) for number, (_, frame, _) in enumerate(items)]
    seconds: dict[str, list[float]] = {"sign": [], "bare": [], "ingest": []}
    good = 0
    with tempfile.TemporaryDirectory(dir=folder) as name:
        registry, evidence = Registry(Path(name) / "state.sqlite"), Evidence(Path(name))
        registry.enroll([device_of(key) for key in keys])
        evidence.open_epoch(1, 1, 1000, 0)
        ingest = Ingest(registry.devices, registry.progress)
        ingest.open_window(BEACON, 0, 1000)
        for at in range(0, heartbeats, BATCH):
            part = slice(at, at + BATCH)
            with _timed(seconds["sign"]):
                for key, _, digest in bare[part]:
                    key.sign_recoverable(digest, hasher=None)
            with _timed(seconds["bare"]):
                for key, signature, digest in bare[part]:
                    good += key.public_key.verify(signature, digest, hasher=None)
            with _timed(seconds["ingest"]):
                batch = ingest.decide(items[part])
                evidence.append(batch.stored)
                registry.advance(batch.progress)
        stored = sum(progress.heartbeats for progress in registry.progress.values())
        registry.close()
    if good != heartbeats or stored != heartbeats:
        raise AssertionError(f"{good} verified and {stored} stored, wanted {heartbeats} of both")
    shares = [bare_s / ingest_s for bare_s, ingest_s in zip(seconds["bare"], seconds["ingest"], strict=True)]
    rates = {f"{name}_per_s": round(BATCH / median(series)) for name, series in seconds.items()}
    return {**rates, "share": round(median(shares), 3)}


@contextmanager
def _timed(series: list[float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    series.append(time.perf_counter() - started)


def device_of(key: PrivateKey) -> Device:
    """An enrolled device of this key."""
    public_key = key.public_key.format()
    return Device(curve.address(public_key), public_key, "bench", "none", "0", MODEL, "none", 1)


def heartbeat_of(key: PrivateKey, sequence: int, beacon: bytes = BEACON) -> Item:
    """A heartbeat whose numbers are as long as they get."""
    device, top = curve.address(key.public_key.format()), 2**31
    claims = beacon, top, top + sequence, MODEL, top, bytes(16), 23
    frame = wire.sign_heartbeat(device, lambda digest: key.sign_recoverable(digest, hasher=None), *claims)
    return wire.topic(device, "heartbeat"), bytes(frame), 5


def _bare(key: PrivateKey, frame: bytes) -> tuple[PrivateKey, bytes, bytes]:
    digest = wire.open_sign1(frame)[3]
    return key, key.sign(digest, hasher=None), digest

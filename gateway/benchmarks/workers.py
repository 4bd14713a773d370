"""How many heartbeats a second a gateway takes off a broker, alone and with workers; a real broker, a real disk.

A heartbeat of each of many devices waits at the broker, so that who sends them takes no time. The clock runs from the
first quarter to the last heartbeat that is stored, because a worker checks ahead what it may have unacknowledged.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from coincurve import PrivateKey

from gateway.benchmarks import ingest as bench_ingest
from gateway.broker.broker import Broker
from gateway.broker.bus import Bus
from gateway.intake.epochs import Clock, Epochs
from gateway.intake.evidence import Evidence
from gateway.intake.ingest import Ingest, Item
from gateway.intake.intake import TOPICS, Intake
from gateway.intake.registry import Device, Registry
from gateway.intake.windows import Windows
from gateway.site import site_file
from gateway.site.site_file import Site
from gateway.site.threads import Threads
from gateway.site.workers import Workers

DEVICES = 12_288
WAIT_S = 60.0
WINDOW_MS = 600_000


class Rig:
    """Broker, gateway and workers over devices that are enrolled, without boards or a chain; `ends` ends it.

    Args:
        before: how many workers there were at the last start on the folder.

    Attributes:
        beacon: of the one window, open when this is made.
    """

    def __init__(self, folder: Path, count: int, devices: Sequence[Device], ends: ExitStack, before: int = 0) -> None:
        self.broker = Broker(folder / "broker")
        ends.callback(self.broker.stop)
        self.broker.start()
        folder.mkdir(parents=True, exist_ok=True)
        site_file.write(folder, Site(boards=["none"], broker_port=self.broker.port))
        self.registry, self.clock, self.intake, self.beacon = Registry(folder / "state.sqlite"), Clock(), Intake(), b""
        ends.callback(self.registry.close)
        self.registry.enroll(devices)
        self.bus = Bus("gateway", self.broker.port, self.broker.account(), self.intake.offer, self.clock)
        self.workers = Workers(count, self.bus, folder, self.clock.at, self.registry.devices)
        ingest = Ingest(self.registry.devices, self.registry.progress, self.workers.is_checked)
        plan, block = Windows(60, WINDOW_MS), (1, bytes(32))
        evidence = Evidence(folder / "evidence")
        self.epochs = Epochs(
            evidence, self.registry, ingest, plan, self.clock, lambda: block, self._tell, lambda epoch: None
        )
        self.workers.subscribe(*TOPICS)
        ends.callback(self.bus.stop)
        self.bus.start()
        self.epochs.resume()
        self.epochs.tell()
        self.epochs.turn()
        ends.callback(self.workers.stop)
        self.workers.start(self.intake.offer, before)
        if not (self.bus.wait_subscribed(WAIT_S) and self.workers.wait_ready(WAIT_S)):
            raise AssertionError("no subscription")
        self.threads = Threads(ends)

    def run(self) -> None:
        """Let the intake begin."""
        self.threads.start("intake", self.intake, self.workers, self.epochs)

    def _tell(self, beacon: bytes, _: int) -> None:
        self.beacon = beacon


def measure(folder: Path | None = None, workers: Sequence[int] = (0, 1, 2), devices: int = DEVICES) -> dict[str, int]:
    """{"workers_N_per_s"} for each number of workers; 0: the gateway does all of it in its own process."""
    keys = [PrivateKey(number.to_bytes(32, "big")) for number in range(1, devices + 1)]
    known = [bench_ingest.device_of(key) for key in keys]
    return {f"workers_{count}_per_s": _rate(count, keys, known, folder) for count in workers}


def _rate(count: int, keys: Sequence[PrivateKey], devices: Sequence[Device], folder: Path | None) -> int:
    with tempfile.TemporaryDirectory(dir=folder) as name, ExitStack() as ends:
        rig = Rig(Path(name), count, devices, ends)
        send(rig, [bench_ingest.heartbeat_of(key, 1, rig.beacon) for key in keys])
        rig.run()
        _wait(rig, len(keys) // 4)
        started_s, before = time.perf_counter(), len(rig.registry.progress)
        _wait(rig, len(keys))
        return round((len(keys) - before) / (time.perf_counter() - started_s))


def send(rig: Rig, items: Sequence[Item]) -> None:
    """Have the broker take every message, by an account that may send as any device."""
    sender = Bus("sender", rig.broker.port, rig.broker.account(), lambda *_: None, rig.clock)
    sender.subscribe("tinyren/nothing")
    sender.start()
    try:
        sender.wait_subscribed(WAIT_S)
        for topic, payload, _ in items:
            sender.publish(topic, payload, qos=1)
        if not sender.wait_published(WAIT_S):
            raise AssertionError("the broker took not all")
    finally:
        sender.stop()


def _wait(rig: Rig, count: int) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while len(rig.registry.progress) < count:
        rig.threads.watch()
        if time.monotonic() > deadline_s:
            raise AssertionError(f"{len(rig.registry.progress)} stored, wanted {count}: {rig.registry.rejected}")
        time.sleep(0.005)

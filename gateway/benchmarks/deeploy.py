"""Measures Deeploy: seconds and bytes from `job apply` until the last of many devices has confirmed a new encoder.

The devices are emulated boards, or processes of this computer (`python -m device.agent`), on a real broker; the gateway
is the site's own but for the chain: owners bind devices by their answer alone, and blocks are random numbers.
"""

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from boards.board import agent_board_names, load_board
from boards.build import Firmware
from boards.emulator import Emulator
from device.agent import wire
from gateway import curve
from gateway.broker.broker import Broker
from gateway.broker.bus import Bus, Token
from gateway.deeploy import compose, receiver, requests, spec
from gateway.deeploy.desired import DesiredStore
from gateway.deeploy.documents import job_of_cid
from gateway.deeploy.receiver import Receiver
from gateway.deeploy.requests import Request
from gateway.deeploy.service import Deeploy
from gateway.deeploy.trust import Trust
from gateway.deeploy.workload_jobs import WorkloadJobs
from gateway.intake import intake
from gateway.intake.epochs import Clock, Epochs
from gateway.intake.evidence import Evidence
from gateway.intake.ingest import Ingest
from gateway.intake.intake import Intake
from gateway.intake.registry import Registry
from gateway.intake.windows import Windows
from gateway.progress import Progress
from gateway.site.children import end_with
from gateway.site.threads import Threads
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_sqlite import SqliteEngine
from gateway.storage.embedded import Embedded

AGENTS = 100
MODEL = Path(__file__).parents[2] / "models" / "vibration" / "encoder.ren"
JOB = """
name = "bench"
[model]
file = "{model}"
"""
DOMAIN = 31337, bytes(20)
WINDOW_MS = 5_000
WINDOWS = 1 << 12
READY_S, DONE_S = 120.0, 300.0
POLL_S, ASK_S = 0.05, 2.0
NONCE, DEED = 1, 1
BOARDS = [*agent_board_names(), compose.CPYTHON]
Start = Callable[[Path, int], Callable[[], object]]


class Fleet:
    """A gateway and its devices, all of them bound and heard once this is made; `ends` stops them.

    Args:
        starts: starts a device in a folder, at a broker's port; gives what stops it.
    """

    def __init__(self, folder: Path, starts: Sequence[Start], ends: ExitStack, progress: Progress) -> None:
        self.update_key, self._owner, gateway_key = (PrivateKey(secrets.token_bytes(32)) for _ in range(3))
        self._progress, self.bytes_down, self.bytes_up = progress, 0, 0
        self._bound: set[bytes] = set()
        self._asked_s = 0.0
        self.clock = Clock()
        self.broker = Broker(folder / "broker", ())
        ends.callback(self.broker.stop)
        self.broker.start()
        self._bus = Bus("gateway", self.broker.port, self.broker.account(), self._received, self.clock)
        self.registry = Registry(folder / "state.sqlite")
        ends.callback(self.registry.close)
        self.r1fs = Embedded(folder / "r1fs")
        ends.callback(self.r1fs.close)
        engine = SqliteEngine(folder / "cstore.sqlite")
        ends.callback(engine.close)
        store = DesiredStore(Cstore(engine, gateway_key), self.r1fs)
        trust = Trust(store, curve.address_of(self.update_key.secret), [self._owner], DOMAIN, self._owners)
        self.deeploy = Deeploy(
            store,
            self.r1fs,
            trust,
            DOMAIN,
            self.registry.devices,
            self.registry.progress,
            dict,
            BOARDS,
            WorkloadJobs(folder / "workloads", self.r1fs),
            self._publish,
            self.clock,
            time.time,
        )
        self._receiver, self._intake = (
            Receiver(self.deeploy),
            Intake(self._on_bound, self.deeploy.gone, self.deeploy.greet),
        )
        self._start(folder, ends)
        for number, start in enumerate(starts):
            ends.callback(start(folder / f"device-{number}", self.broker.port))
        count = len(starts)
        self.wait(lambda: self._ask(count), READY_S, f"{count} devices bound")
        self.wait(lambda: len(self.registry.progress) == count, READY_S, f"{count} devices heard")

    def wait(self, is_so: Any, timeout_s: float, what: str) -> None:
        end_s = time.monotonic() + timeout_s
        while not is_so():
            if time.monotonic() > end_s:
                raise TimeoutError(f"{what}: not within {timeout_s} s")
            time.sleep(POLL_S)
        self._progress.say(what)

    def apply(self, text: str) -> dict[str, Any]:
        """Apply a job.toml's text, as `tinyren job apply` does."""
        about = self.deeploy.about(curve.address_of(self.update_key.secret))
        found = spec.parse(text, Path())
        composed = compose.compose(found, about, self.r1fs, self.update_key, compose.build_agent, BOARDS)
        compose.store(composed, self.r1fs)
        deadline_s = int(time.time()) + 60
        plain = Request(*DOMAIN, job_of_cid(composed.cid), requests.APPLY, about["nonce"], deadline_s)
        key = self.update_key
        return self.deeploy.request(requests.sign(plain, lambda digest: key.sign_recoverable(digest, hasher=None)))

    def _start(self, folder: Path, ends: ExitStack) -> None:
        epochs = Epochs(
            Evidence(folder / "evidence"),
            self.registry,
            Ingest(self.registry.devices, self.registry.progress),
            Windows(WINDOWS, WINDOW_MS),
            self.clock,
            lambda: (1, secrets.token_bytes(32)),
            lambda beacon, window_ms: intake.tell_beacon(self._bus, beacon, window_ms),
            lambda epoch: None,
        )
        self._bus.subscribe(*intake.TOPICS, *receiver.TOPICS)
        self._bus.start()
        ends.callback(self._bus.stop)
        self._bus.wait_subscribed(READY_S)
        epochs.resume()
        self._threads = Threads(ends)
        self._threads.start("intake", self._intake, self._bus, epochs)
        self._threads.start("deeploy", self._receiver, self._bus)

    def _owners(self) -> dict[bytes, bytes]:
        owner = curve.address_of(self._owner.secret)
        return dict.fromkeys(self._bound, owner)

    def _ask(self, count: int) -> bool:
        """Ask who has not bound itself, again each ASK_S; whether all have."""
        if time.monotonic() - self._asked_s >= ASK_S:
            self._asked_s = time.monotonic()
            owner = curve.address_of(self._owner.secret)
            for id, device in self.registry.devices.copy().items():
                if id not in self._bound:
                    fields = *DOMAIN, DEED, owner, device.board, NONCE, 1 << 40
                    self._bus.publish(wire.topic(id, "bind"), wire.encode_bind(*fields), qos=1)
        return len(self._bound) == count

    def _on_bound(self, device: bytes, nonce: int, signature: bytes) -> None:
        self._bound.add(device)

    def _received(self, topic: str, payload: bytes, receipt_ms: int, token: Token) -> None:
        if topic.rpartition("/")[2] in receiver.NAMES:
            self.bytes_up += len(payload)
            self._receiver.offer(topic, payload, receipt_ms, token)
        else:
            self._intake.offer(topic, payload, receipt_ms, token)

    def _publish(self, topic: str, payload: bytes) -> None:
        self.bytes_down += len(payload)
        self._bus.publish(topic, payload, qos=1)


def start_agent(folder: Path, port: int) -> Callable[[], object]:
    """`python -m device.agent` as a child; a function that kills it."""
    folder.mkdir()
    command = [sys.executable, "-m", "device.agent", "--broker", f"127.0.0.1:{port}", "--store", str(folder / "store")]
    parent, here = os.getpid(), Path(__file__).parents[2]
    with (folder / "log").open("ab") as log:
        child = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=log, cwd=here, preexec_fn=lambda: end_with(parent)
        )

    def stop() -> None:
        child.kill()
        child.wait()

    return stop


def start_board(firmware: Firmware, folder: Path, port: int) -> Callable[[], object]:
    """An emulated board; a function that ends it."""
    emulator = Emulator(load_board(firmware.board), firmware.elf, folder, ("127.0.0.1", port))
    emulator.start()
    return emulator.stop


def measure(firmwares: Sequence[Firmware], progress: Progress, agents: int = AGENTS) -> dict[str, Any]:
    """One new encoder to these boards, emulated, and to so many agents: {"boards": figures, "agents": figures}."""
    boards = [partial(start_board, firmware) for firmware in firmwares]
    return {"boards": _measure(boards, progress), "agents": _measure([start_agent] * agents, progress)}


def _measure(starts: Sequence[Start], progress: Progress) -> dict[str, Any]:
    """{"devices", "done", "seconds", "bytes_down", "bytes_up"}: MQTT payloads from the request to the last confirmed.

    Down are trust, manifests and chunks; up are wants and `installed`.
    """
    with tempfile.TemporaryDirectory() as work, ExitStack() as ends:
        fleet = Fleet(Path(work), starts, ends, progress)
        fleet.bytes_up = fleet.bytes_down = 0
        started_s = time.monotonic()
        fleet.apply(JOB.format(model=MODEL))
        fleet.wait(lambda: fleet.deeploy.job("bench")["finished"], DONE_S, f"{len(starts)} devices have ended")
        return {
            "devices": len(starts),
            "done": fleet.deeploy.job("bench")["counts"].get("done", 0),
            "seconds": round(time.monotonic() - started_s, 2),
            "bytes_down": fleet.bytes_down,
            "bytes_up": fleet.bytes_up,
        }

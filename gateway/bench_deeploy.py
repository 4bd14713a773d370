"""Measures Deeploy: seconds and bytes from `job apply` until the last of many devices has confirmed a new encoder.

The devices are processes of this computer (`python -m device.agent`) on a real broker; the gateway is the site's own
but for the chain: owners bind devices by the devices' signed answer alone, and blocks are random numbers.
"""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from device.agent import wire
from gateway import curve, intake
from gateway.broker import Broker
from gateway.bus import Bus, Token
from gateway.children import end_with
from gateway.deeploy import compose, receiver, requests, spec
from gateway.deeploy.desired import DesiredStore
from gateway.deeploy.documents import job_of_cid
from gateway.deeploy.receiver import Receiver
from gateway.deeploy.requests import Request
from gateway.deeploy.service import Deeploy
from gateway.deeploy.trust import Trust
from gateway.epochs import Clock, Epochs
from gateway.evidence import Evidence
from gateway.ingest import Ingest
from gateway.intake import Intake
from gateway.progress import Progress
from gateway.registry import Registry
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_sqlite import SqliteEngine
from gateway.storage.embedded import Embedded
from gateway.threads import Threads
from gateway.windows import Windows

AGENTS = 100
MODEL = Path(__file__).parents[1] / "models" / "vibration" / "encoder.ren"
JOB = """
name = "bench"
[model]
file = "{model}"
[rollout]
steps = [1, "25%", "100%"]
"""
DOMAIN = 31337, bytes(20)
WINDOW_MS = 5_000
WINDOWS = 1 << 12
READY_S, DONE_S = 120.0, 300.0
POLL_S, ASK_S = 0.05, 2.0
NONCE, DEED = 1, 1


class Fleet:
    """A gateway and so many agents on this computer; all of them are bound once this is made. Use as a context."""

    def __init__(self, folder: Path, agents: int, ends: ExitStack, progress: Progress) -> None:
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
            [compose.CPYTHON],
            self._publish,
            self.clock,
            time.time,
        )
        self._receiver, self._intake = Receiver(self.deeploy), Intake(self._on_bound, self.deeploy.gone, self.deeploy.greet)
        self._start(folder, ends)
        for number in range(agents):
            self._start_agent(folder / f"agent-{number}", ends)
        self.wait(lambda: self._ask(agents), READY_S, f"{agents} agents bound")
        self.wait(lambda: len(self.registry.progress) == agents, READY_S, f"{agents} agents heard")

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
        composed = compose.compose(found, about, self.r1fs, self.update_key, compose.build_agent, [compose.CPYTHON])
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

    def _start_agent(self, folder: Path, ends: ExitStack) -> None:
        folder.mkdir()
        command = [sys.executable, "-m", "device.agent", "--broker", f"127.0.0.1:{self.broker.port}"]
        parent = os.getpid()
        with (folder / "log").open("ab") as log:
            child = subprocess.Popen(
                [*command, "--store", str(folder / "store")],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=Path(__file__).parents[1],
                preexec_fn=lambda: end_with(parent),
            )
        ends.callback(child.wait)
        ends.callback(child.kill)

    def _owners(self) -> dict[bytes, bytes]:
        owner = curve.address_of(self._owner.secret)
        return dict.fromkeys(self._bound, owner)

    def _ask(self, agents: int) -> bool:
        """Ask who has not bound itself, again each ASK_S; whether all have."""
        if time.monotonic() - self._asked_s >= ASK_S:
            self._asked_s = time.monotonic()
            fields = *DOMAIN, DEED, curve.address_of(self._owner.secret), compose.CPYTHON, NONCE, 1 << 40
            for device in set(self.registry.devices.copy()) - self._bound:
                self._bus.publish(wire.topic(device, "bind"), wire.encode_bind(*fields), qos=1)
        return len(self._bound) == agents

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


def measure_deeploy(progress: Progress, agents: int = AGENTS) -> dict[str, Any]:
    """One new encoder to all agents: {"agents", "seconds", "bytes_down", "bytes_up", "done", "steps"}.

    Bytes are of MQTT payloads: trust, manifests and chunks down; wants and installed up.
    """
    with tempfile.TemporaryDirectory() as work, ExitStack() as ends:
        fleet = Fleet(Path(work), agents, ends, progress)
        started_s = time.monotonic()
        fleet.apply(JOB.format(model=MODEL))
        with contextlib.suppress(TimeoutError):
            fleet.wait(lambda: fleet.deeploy.job("bench")["finished"], DONE_S, "every agent ended")
        status = fleet.deeploy.job("bench")
        return {
            "agents": agents,
            "seconds": round(time.monotonic() - started_s, 2),
            "bytes_down": fleet.bytes_down,
            "bytes_up": fleet.bytes_up,
            "done": status["counts"].get("done", 0),
            "steps": status["steps"],
        }


if __name__ == "__main__":
    print(json.dumps(measure_deeploy(Progress(sys.stderr), int(sys.argv[1]) if sys.argv[1:] else AGENTS)))

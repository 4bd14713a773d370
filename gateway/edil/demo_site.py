"""The demo's site: a real broker, the gateway's EDIL service, its page, and a share-holder as a process of its own.

What a site has beyond that (chain, oracles, epochs) is left out: devices are bound by their and their owner's word
alone, and the share-holder counts those of a list that was read off the devices themselves, not told by the gateway.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from coincurve import PublicKey

from device.agent import eip712, wire
from gateway import curve, keys
from gateway.aggregation.aggregate import is_ciphertext
from gateway.aggregation.messages import Enrolment
from gateway.aggregation.receiver import NAMES, TOPICS, Receiver
from gateway.aggregation.rounds_store import RoundsStore
from gateway.aggregation.service import Aggregation
from gateway.aggregation.updates import Round, Updates
from gateway.broker.broker import Broker
from gateway.broker.bus import Bus, Token
from gateway.edil.edil_http import routes
from gateway.errors import CommandError, Exit
from gateway.intake.ingest import Ingest
from gateway.intake.registry import Registry
from gateway.progress import Progress
from gateway.site.children import Child
from gateway.web.app import app
from gateway.web.serve import serve

CHAIN_ID, CONTRACT, DEED, NONCE = 31337, bytes(20), 1, 1
VALID_S = 3600
POLL_S = 0.05
SUBSCRIBE_S = 10
WINDOW_MS = 60_000


class DemoSite:
    """Attributes: owner (the devices' owner's key), bound, inferences (by device id), sent (EDIL messages), url."""

    def __init__(self, folder: Path, progress: Progress, ends: ExitStack) -> None:
        self.folder, self._progress = folder, progress
        self.owner = keys.load_or_make(folder / "owner.key")
        self.bound: dict[bytes, bytes] = {}
        self.inferences: dict[bytes, int] = {}
        self.sent: list[tuple[str, bytes]] = []
        self._deadline_s = int(time.time()) + VALID_S
        self._beacons = 0
        self.broker = Broker(folder / "broker", ())
        ends.callback(self.broker.stop)
        self.broker.start()
        self.bus = Bus("gateway", self.broker.port, self.broker.account(), self._received, _now_ms)
        self._registry = Registry(folder / "state.sqlite")
        ends.callback(self._registry.close)
        self._ingest = Ingest(self._registry.devices, self._registry.progress)
        store = RoundsStore(folder / "edil.sqlite")
        ends.callback(store.close)
        gateway = keys.load_or_make(folder / "gateway.key")
        self.aggregation = Aggregation(
            store, gateway, (CHAIN_ID, CONTRACT), self._registry.devices, lambda: self.bound, self.publish, _now_ms
        )
        self._receiver = Receiver(self.aggregation)
        self._start(ends)

    def _start(self, ends: ExitStack) -> None:
        self.bus.subscribe(*TOPICS, *(f"tinyren/+/{name}" for name in ("announce", "bound", "heartbeat")))
        self.bus.start()
        ends.callback(self.bus.stop)
        if not self.bus.wait_subscribed(SUBSCRIBE_S):
            raise CommandError(f"the broker took no subscription within {SUBSCRIBE_S} s")
        thread = threading.Thread(target=self._receiver.run, args=(self.bus,), name="edil", daemon=True)
        thread.start()
        ends.callback(thread.join)
        ends.callback(self._receiver.stop)
        page = serve(app(Page(self), routes(self.aggregation)))
        ends.callback(page.stop)
        self.url = page.url

    def start_share_holder(self, key: Path, devices: list[bytes], least: int) -> Child:
        """`tinyren shareholder` as a process, for these devices of this owner."""
        owner = curve.address_of(self.owner.secret).hex()
        listed = self.folder / "devices.txt"
        listed.write_text("".join(f"0x{device.hex()} 0x{owner}\n" for device in devices))
        command = ["-m", "gateway.cli", "shareholder", "--key", str(key), "--gateway", self.url]
        command += ["--devices", str(listed), "--least", str(least), "--poll-seconds", "1"]
        child = Child("share-holder", [sys.executable, *command], self.folder / "shareholder.log")
        child.start()
        return child

    def judge(self, enrolment: Enrolment, found: Round) -> Updates:
        """A judge of updates like the gateway's own, to which none has come yet, for one round."""
        enrolments, known = {enrolment.digest: enrolment}, {found.digest: found}
        return Updates(self._registry.devices, lambda: self.bound, enrolments, known, is_ciphertext)

    def publish(self, topic: str, payload: bytes) -> None:
        self.bus.publish(topic, payload, qos=1)

    def feed(self, device: bytes, samples: bytes) -> None:
        """Give a device raw samples, int16[32, 4]."""
        self.publish(wire.topic(device, "samples"), wire.encode_samples("the demo", samples))

    def tell_beacon(self) -> None:
        """Ask all devices for a heartbeat: it says how many windows each has encoded."""
        self._beacons += 1
        beacon = wire.make_beacon(1, self._beacons, os.urandom(32))
        self.publish("tinyren/beacon", wire.encode_beacon(beacon, WINDOW_MS))

    def wait(self, what: str, is_so: Callable[[], bool], timeout_s: float, turn: Callable[[], Any] = int) -> None:
        """Wait for something, with `turn` called meanwhile. Raises CommandError: it did not come."""
        end_s = time.monotonic() + timeout_s
        while not is_so():
            if self._receiver.failure:
                raise self._receiver.failure
            if time.monotonic() > end_s:
                raise CommandError(f"after {timeout_s:.0f} s: {what} did not come; see {self.folder}", Exit.TIMEOUT)
            turn()
            time.sleep(POLL_S)

    def _received(self, topic: str, payload: bytes, receipt_ms: int, token: Token) -> None:
        name = topic.rpartition("/")[2]
        if name in NAMES:
            self.sent.append((topic, payload))
            self._receiver.offer(topic, payload, receipt_ms, token)
            return
        if name == "heartbeat":
            device, claims, _, _ = wire.open_sign1(payload)
            self.inferences[device] = wire.decode_heartbeat(claims)[4]
        else:
            batch = self._ingest.decide([(topic, payload, receipt_ms)])
            self._registry.enroll(batch.announced.values())
            for device in batch.announced:
                self._ask_to_bind(device)
            for device, nonce, signature in batch.bound:
                self._bind(device, nonce, signature)
        self.bus.ack(token)

    def _ask_to_bind(self, device: bytes) -> None:
        board, owner = self._registry.devices[device].board, curve.address_of(self.owner.secret)
        frame = wire.encode_bind(CHAIN_ID, CONTRACT, DEED, owner, board, NONCE, self._deadline_s)
        self.publish(wire.topic(device, "bind"), frame)

    def _bind(self, device: bytes, nonce: int, signature: bytes) -> None:
        board, owner = self._registry.devices[device].board, curve.address_of(self.owner.secret)
        digest = eip712.binding_digest(
            curve.keccak, CHAIN_ID, CONTRACT, DEED, device, owner, board, nonce, self._deadline_s
        )
        recoverable = signature[:64] + bytes([signature[64] - 27])
        signer = PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
        if curve.address(signer.format()) == device:
            self.bound = {**self.bound, device: owner}
            self.aggregation.greet(device)


class Page:
    """What the demo's page shows: its rounds."""

    def __init__(self, site: DemoSite) -> None:
        self._site = site

    def snapshot(self) -> dict[str, Any]:
        return {"site": str(self._site.folder), "edil": self._site.aggregation.rounds()}

    def changed(self, after: int, timeout_s: float) -> int:
        time.sleep(min(timeout_s, 1.0))
        return max(after + 1, int(time.monotonic()))

    def detail(self, what: str, name: str = "") -> None:
        return None

    def rpc(self, method: str, params: Any) -> Any:
        raise NotImplementedError("the demo has no chain")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

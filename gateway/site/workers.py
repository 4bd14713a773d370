"""Several processes that take heartbeats off the broker for one gateway; refuses to let two of them decide on anything.

    devices ─▶ broker ─▶ one worker: signature ─▶ this process: order, evidence, sync ─▶ the same worker: acknowledges

Rules:
1. A worker is stateless. It parses and checks signatures and says which it found good, with which key; this process
   looks for itself whether that is the device's key, decides in one thread (intake), and only then has it acknowledge.
2. So a heartbeat counts once, whoever brought it: what comes twice is a replay, as without workers.
3. The broker keeps what a worker that died had not acknowledged, gives it to the next with the same number, and the
   device repeats it. What is answered to a worker that died meanwhile is dropped.
4. A device sends its next heartbeat after the last is acknowledged, so its order holds, whichever worker it meets.
Shared subscriptions are MQTT 5's, which mosquitto also gives to 3.1.1; a broker that does not know them is refused.
"""

import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socketpair
from typing import NamedTuple

from gateway.broker import broker_url
from gateway.broker.broker_url import Account, Remote
from gateway.broker.bus import Bus, Token, client_id
from gateway.errors import CommandError, Exit
from gateway.intake.registry import Device
from gateway.site.children import Child

HEARTBEATS = "tinyren/+/heartbeat"
GROUP = "$share/gateway/"
SHARED_S = 5.0
Checked = tuple[bytes, bytes, bytes]
"""(public key, digest, signature) that belong together."""
Found = tuple[str, bytes, int, Token, Checked | None]
"""A message as a worker hands it on: topic, payload, monotonic ms at receipt, its own token, what it found good."""
Answer = tuple[list[tuple[str, bytes]], list[Token], dict[bytes, bytes]]
"""What a worker is to publish, then to acknowledge to the broker; public keys that it did not know, by device."""


class WorkerToken(NamedTuple):
    """Names a message that a worker brought to `Workers.ack`."""

    worker: "Place"
    start: int
    token: Token
    topic: str
    checked: Checked | None


Offer = Callable[[str, bytes, int, WorkerToken], None]


class Workers:
    """So many workers; to the intake it is the bus, and passes on what is not theirs.

    Args:
        folder: SITE. site_ms: the site's time at a moment of the monotonic clock. devices: those enrolled, by id.

    Attributes:
        checked: what workers found good and the intake has not dealt with. bringers: who brought it, by ack topic.
    """

    def __init__(
        self, count: int, bus: Bus, folder: Path, site_ms: Callable[[int], int], devices: Mapping[bytes, Device]
    ) -> None:
        self._bus, self._site_ms, self._devices, self._folder = bus, site_ms, devices, folder
        self.checked: set[Checked] = set()
        self.bringers: dict[str, Place] = {}
        self.workers = [Place(number, folder, self._take_in) for number in range(1, count + 1)]

    def start(self, offer: Offer, before: int = 0) -> None:
        """Start them; what they bring is offered with the site's time. Call from a thread that lives as long.

        Args:
            before: how many there were at the last start; the broker has to forget those that are no more.
        Raises:
            CommandError: the broker does not know shared subscriptions.
        """
        self._offer = offer
        self.forget_former(before)
        if self.workers:
            check_shared(*broker_url.find(self._folder, "gateway"))
        for worker in self.workers:
            worker.child.start()

    def forget_former(self, before: int) -> None:
        """Have the broker forget workers that there were and are no more: their sessions would get a share for ever."""
        for number in range(len(self.workers) + 1, before + 1):
            place, account = broker_url.find(self._folder, "gateway")
            broker_url.forget(place, account, client_id(worker_name(number), account))

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until each has its subscription; messages before that wait for nobody."""
        return all([worker.is_ready.wait(timeout_s) for worker in self.workers])

    def watch(self) -> list[str]:
        """Start again what ended; what happened in words."""
        return [said for worker in self.workers if (said := worker.child.watch())]

    def stop(self) -> None:
        for worker in self.workers:
            worker.child.stop()

    def is_checked(self, public_key: bytes, digest: bytes, signature: bytes) -> bool:
        """Whether a worker has found this signature good."""
        return (public_key, digest, signature) in self.checked

    def subscribe(self, *topics: str) -> None:
        """As Bus, but for heartbeats, which only the workers are to get, if there are any."""
        if not self.workers:
            self._bus.subscribe(*topics)
            return
        self._bus.unsubscribe(HEARTBEATS)
        self._bus.subscribe(*(topic for topic in topics if topic != HEARTBEATS))

    def wait_subscribed(self, timeout_s: float) -> bool:
        return self._bus.wait_subscribed(timeout_s)

    def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> bool:
        """By the worker that brought the device's heartbeat, where it is an acknowledgement of one."""
        worker = self.bringers.get(topic)
        if worker is None:
            return self._bus.publish(topic, payload, qos, retain)
        worker.answer(publish=(topic, payload))
        return True

    def ack(self, token: Token | WorkerToken) -> None:
        """The message was dealt with; who brought it may tell the broker."""
        if isinstance(token, Token):
            self._bus.ack(token)
            return
        if token.checked:
            self.checked.discard(token.checked)
        self.bringers.pop(token.topic, None)
        token.worker.answer(ack=token)

    def _take_in(self, worker: "Place", start: int, found: list[Found]) -> None:
        """On the worker's thread."""
        worker.taken += len(found)
        for topic, payload, at_ms, token, checked in found:
            answer_topic = topic.rpartition("/")[0] + "/ack"
            if checked:
                self.checked.add(checked)
            else:
                self._tell_key(worker, topic)
            self.bringers[answer_topic] = worker
            self._offer(topic, payload, self._site_ms(at_ms), WorkerToken(worker, start, token, answer_topic, checked))

    def _tell_key(self, worker: "Place", topic: str) -> None:
        with suppress(ValueError, IndexError):
            identity = bytes.fromhex(topic.split("/")[1])
            if known := self._devices.get(identity):
                worker.answer(key=(identity, known.public_key))


def check_shared(place: int | Remote, account: Account, wait_s: float = SHARED_S) -> None:
    """See whether a message comes by a shared subscription. CommandError: it does not."""
    topic, arrived = f"tinyren/probe/{secrets.token_hex(8)}", threading.Event()
    bus = Bus(f"probe-{secrets.token_hex(4)}", place, account, lambda *_: arrived.set(), lambda: 0)
    bus.subscribe(GROUP + topic)
    bus.start()
    try:
        bus.wait_subscribed(wait_s)
        bus.publish(topic, b"", qos=1)
        if not arrived.wait(wait_s):
            what = "the broker knows no shared subscriptions (NATS has none for MQTT)"
            raise CommandError(f"--workers: {what}; leave it out", Exit.REFUSED)
    finally:
        bus.stop()
        broker_url.forget(place, account, bus.client_id)


def worker_name(number: int) -> str:
    """How a worker calls itself to the broker, which keeps a session for it."""
    return f"worker-{number}"


class Place:
    """One of them, as this process sees it: a socket a start, a thread that reads and one that writes.

    Attributes:
        taken: how many messages it brought.
    """

    def __init__(self, number: int, folder: Path, take_in: Callable[["Place", int, list[Found]], None]) -> None:
        self.number, self.taken = number, 0
        command = [sys.executable, "-m", "gateway.site.worker", "--site", str(folder), "--number", str(number)]
        self.child = Child(f"worker {number}", command, folder / "logs" / f"worker-{number}.log", self.plug)
        self._take_in = take_in
        self._start = 0
        self._answer: Answer = ([], [], {})
        self._is_news, self._lock, self.is_ready = threading.Event(), threading.Lock(), threading.Event()

    def answer(
        self,
        publish: tuple[str, bytes] | None = None,
        ack: WorkerToken | None = None,
        key: tuple[bytes, bytes] | None = None,
    ) -> None:
        """Have it told, soon; never waits."""
        with self._lock:
            if publish:
                self._answer[0].append(publish)
            if ack and ack.start == self._start:
                self._answer[1].append(ack.token)
            if key:
                self._answer[2][key[0]] = key[1]
        self._is_news.set()

    def plug(self) -> int:
        """Its end of a new socket."""
        ours, theirs = socketpair()
        with self._lock:
            self._start += 1
            self._answer = ([], [], {})
        connection = Connection(ours.detach())
        for work in (self._read, self._write):
            threading.Thread(target=work, args=(connection, self._start), daemon=True).start()
        return theirs.detach()

    def _read(self, connection: Connection, start: int) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._take_in(self, start, connection.recv())  # the first is empty: it is subscribed
                self.is_ready.set()

    def _write(self, connection: Connection, start: int) -> None:
        with suppress(OSError):
            while True:
                self._is_news.wait()
                self._is_news.clear()
                with self._lock:
                    if self._start != start:
                        self._is_news.set()  # it is for who came after
                        return
                    answer, self._answer = self._answer, ([], [], {})
                connection.send(answer)

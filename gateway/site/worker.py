"""One worker of a gateway, a process: heartbeats off the broker, their signatures checked; decides and keeps nothing.

Standard input is a socket to the gateway (workers.py). Without it there is nothing to do, so its end ends this.
"""

import os
import queue
import sys
import threading
import time
from argparse import ArgumentParser
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from device.agent import wire
from gateway import curve
from gateway.broker import broker_url
from gateway.broker.bus import Bus, Token
from gateway.site.workers import GROUP, HEARTBEATS, Answer, Checked, Found, worker_name

MAX_BATCH = 512
MAX_QUEUED = 16_384
SUBSCRIBE_S = 5.0
Received = tuple[str, bytes, int, Token]


def main() -> None:
    parser = ArgumentParser(description="one worker of a gateway; `tinyren up --workers N` starts it")
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--number", type=int, required=True)
    arguments = parser.parse_args()
    inbox: queue.Queue[Received] = queue.Queue(MAX_QUEUED)  # full, it holds the broker back
    place, account = broker_url.find(arguments.site, "gateway")
    bus = Bus(worker_name(arguments.number), place, account, lambda *message: inbox.put(message), _now_ms)
    bus.subscribe(GROUP + HEARTBEATS)
    gateway, signatures = Connection(os.dup(sys.stdin.fileno())), Signatures()
    threading.Thread(target=_answer, args=(gateway, bus, signatures), daemon=True).start()
    bus.start()
    while not bus.wait_subscribed(SUBSCRIBE_S):
        pass
    gateway.send([])
    while True:
        batch = [inbox.get()]
        while len(batch) < MAX_BATCH and not inbox.empty():
            batch.append(inbox.get())
        gateway.send([_found(message, signatures) for message in batch])


class Signatures:
    """Checks by the keys of devices that the gateway told of."""

    def __init__(self) -> None:
        self._keys: dict[bytes, tuple[bytes, Any]] = {}

    def learn(self, keys: dict[bytes, bytes]) -> None:
        """Public keys of devices."""
        self._keys.update({device: (key, curve.parse_public_key(key)) for device, key in keys.items()})

    def check(self, frame: bytes) -> Checked | None:
        """What was found good of a message, whatever it holds; None: nothing."""
        try:
            device, _, signature, digest = wire.open_sign1(frame)
        except wire.WireError:
            return None
        public_key, parsed = self._keys.get(device, (b"", None))
        if parsed is None or not curve.verify(parsed, digest, signature):
            return None
        return public_key, digest, signature


def _found(message: Received, signatures: Signatures) -> Found:
    topic, payload, at_ms, token = message
    return topic, payload[: wire.HEARTBEAT_MAX_BYTES + 1], at_ms, token, signatures.check(payload)


def _answer(gateway: Connection, bus: Bus, signatures: Signatures) -> None:
    """Do what the gateway says until it is gone; then this process has no use."""
    try:
        while True:
            answer: Answer = gateway.recv()
            signatures.learn(answer[2])
            for topic, payload in answer[0]:
                bus.publish(topic, payload)
            for token in answer[1]:
                bus.ack(token)
    except (EOFError, OSError):
        os._exit(0)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


if __name__ == "__main__":
    main()

"""The gateway as a process of its own, with a real broker and real connections, killed at any moment."""

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from device.agent import wire
from gateway.intake import windows
from gateway.intake.epochs import Clock, Epochs
from gateway.intake.evidence import Evidence, heartbeats_path, read
from gateway.intake.ingest import Ingest
from gateway.intake.registry import Registry
from tests.ingest_site import BLOCK, A

ROOT = Path(__file__).parents[2]
WAIT_S = 20

GATEWAY = """
import signal
import sys
from pathlib import Path
from gateway.broker.broker import Broker
from gateway.broker.bus import Bus
from gateway.intake.epochs import Clock, Epochs
from gateway.intake.evidence import Evidence
from gateway.intake.ingest import Ingest
from gateway.intake.intake import TOPICS, Intake, tell_beacon
from gateway.intake.registry import Registry
from gateway.intake.windows import Windows

folder = Path(sys.argv[1])
broker = Broker(folder / "broker")
broker.start()
registry, clock, intake = Registry(folder / "state.sqlite"), Clock(), Intake()
bus = Bus("gateway", broker.port, broker.account(), intake.offer, clock)
epochs = Epochs(
    Evidence(folder / "evidence"), registry, Ingest(registry.devices, registry.progress), Windows(60, 60_000), clock,
    lambda: (1, bytes(32)), lambda beacon, window_ms: tell_beacon(bus, beacon, window_ms), print,
)
bus.subscribe(*TOPICS)
bus.start()
epochs.resume()
bus.wait_subscribed(20)
signal.signal(signal.SIGTERM, lambda *_: intake.stop())
print(broker.port, flush=True)
intake.run(bus, epochs)
bus.stop()
broker.stop()
"""


class BoardOnLink:
    """A device on the real broker: announces itself, sends heartbeats until each is acknowledged."""

    def __init__(self, signer, port):
        self.signer, self.beacon, self.acked = signer, None, set()
        self._changed = threading.Condition()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, signer.id.hex())
        self.client.on_message = self._received
        self.client.on_connect = self._connected
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _connected(self, client, *_):
        client.subscribe([("tinyren/beacon", 1), (self.signer.topic("ack"), 1)])
        client.publish(self.signer.topic("announce"), self.signer.announce(), 1)

    def _received(self, _client, _data, message):
        with self._changed:
            if message.topic == "tinyren/beacon":
                self.beacon = wire.decode_beacon(message.payload)[0]
            else:
                self.acked.add(wire.decode_ack(message.payload))
            self._changed.notify_all()

    def wait_for(self, condition):
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S)

    def send(self, frame):
        self.client.publish(self.signer.topic("heartbeat"), frame, 1)

    def end(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def start():
    """Starts a gateway with a broker of its own on a folder: (process, port). None outlives the test."""
    processes = []

    def start_one(folder):
        command = [sys.executable, "-c", GATEWAY, str(folder)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process, int(process.stdout.readline())

    yield start_one
    for process in processes:
        end(process, signal.SIGKILL)


def end(process, how):
    if process.poll() is None:
        process.send_signal(how)
    process.wait(WAIT_S)
    process.stdout.close()


def test_kill_9_loses_no_acknowledged_heartbeat_and_stores_none_twice(tmp_path, start):
    chance = random.Random(2)
    frames, acked = {}, set()
    for _ in range(3):
        gateway, port = start(tmp_path)
        board = BoardOnLink(A, port)
        board.wait_for(lambda board=board: board.beacon)
        places = [(1, number) for number in range(len(frames) + 1, len(frames) + 61)]
        frames |= {place: A.heartbeat(board.beacon, *place) for place in places}
        for place in places:
            board.send(frames[place])
        last = places[chance.randrange(60)]
        board.wait_for(lambda board=board, last=last: last in board.acked)
        end(gateway, signal.SIGKILL)
        board.end()
        acked |= board.acked
    folder = tmp_path / "evidence"
    again = Evidence(folder)
    assert again.resume() is not None
    stored = [frame for _, frame in read(heartbeats_path(folder, 1))]
    assert len(stored) == len(set(stored))
    assert {frames[place] for place in acked} <= set(stored)
    registry = Registry(tmp_path / "state.sqlite")
    Epochs(
        again,
        registry,
        Ingest(registry.devices, registry.progress),
        windows.Windows(60, 60_000),
        Clock(),
        lambda: BLOCK,
        lambda beacon, window_ms: None,
        lambda epoch: None,
    ).resume()
    assert registry.progress[A.id].heartbeats == len(stored)


def test_noise_over_the_real_broker_is_counted_and_the_next_heartbeat_is_stored(tmp_path, start):
    gateway, port = start(tmp_path)
    board = BoardOnLink(A, port)
    board.wait_for(lambda: board.beacon)
    board.send(os.urandom(1 << 20))
    board.send(A.heartbeat(board.beacon))
    board.wait_for(lambda: board.acked == {(1, 1)})
    board.end()
    end(gateway, signal.SIGTERM)
    assert gateway.returncode == 0
    assert [frame for _, frame in read(heartbeats_path(tmp_path / "evidence", 1))] == [A.heartbeat(board.beacon)]
    assert Registry(tmp_path / "state.sqlite").rejected == {"too_large": 1}

"""The agent against a real mosquitto, on a virtual clock and as a process."""

import contextlib
import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest
from eth_utils import to_checksum_address

from device.agent import mqtt, rounds, wire
from device.agent.port import FileMemory
from device.agent.run import start
from device.agent.store import Store
from device.native.shared import Model
from tests.agent_bench import (
    ARTIFACT,
    OFFSETS,
    ROOT,
    SECRET,
    SHIFTS,
    Counting,
    Ram,
    VirtualPort,
    bind_request,
    heartbeat,
)
from tests.broker_link import Broker, Link
from tests.edil_bench import OWNER, enrolment, gather, manifest, open_update, statuses


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    yield broker.start()
    broker.stop()


class Gateway:
    """A paho client that keeps the newest payload and the number of messages of each name, and gives beacons."""

    def __init__(self, port):
        self.seen = []
        self.ready = 0
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _c, _d, m: self.seen.append((m.topic.rpartition("/")[2], m.payload))
        self.client.on_connect = lambda *_: self.client.subscribe("tinyren/+/+", 1)
        self.client.on_subscribe = self._note_ready
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _note_ready(self, *_):
        self.ready += 1

    def give_beacon(self, epoch, window):
        frame = wire.encode_beacon(wire.make_beacon(epoch, window, bytes(32)), 5000)
        self.client.publish("tinyren/beacon", frame, 1, retain=True)

    def payloads(self, name):
        return [payload for seen, payload in self.seen if seen == name]


@pytest.fixture
def gateway(broker):
    gateway = Gateway(broker.port)
    link = waiting(broker)
    link.until(lambda: gateway.ready)
    yield gateway
    gateway.client.loop_stop()


def waiting(broker):
    """A link with nothing on it: waits in real time."""
    link = Link(broker)
    link.client, link.tick = mqtt.Client("", "", (), None, VirtualPort().entropy, 0), lambda _: None
    return link


def test_the_agent_answers_through_mosquitto_and_after_a_restart_sends_what_was_not_acknowledged(broker, gateway):
    port = VirtualPort()
    agent = start(port, Ram(), Counting(), Model(ARTIFACT), OFFSETS, SHIFTS)
    link = Link(broker)
    link.join(agent.client, agent.tick)
    link.until(lambda: gateway.payloads("announce"), step_ms=20)
    gateway.give_beacon(1, 0)
    link.until(lambda: gateway.payloads("heartbeat"))
    gateway.client.publish(wire.topic(agent.identity.id, "ack"), wire.encode_ack(1, 1), 1)
    gateway.give_beacon(1, 1)
    link.until(lambda: agent.sequence == 2 and len(gateway.payloads("heartbeat")) == 2)
    assert agent.counts["unacknowledged"] == 0

    broker.stop()
    link.until(lambda: not link.is_plugged)
    link.pass_ms(20_000)
    assert agent.client.state != mqtt.ONLINE
    broker.start()
    link.until(lambda: gateway.ready == 2)
    link.plug()

    link.until(lambda: len(gateway.payloads("heartbeat")) == 3, step_ms=20)
    first, second, third = gateway.payloads("heartbeat")
    assert heartbeat(first)[2] == 1 and second == third and agent.client.sessions == 2


class Process:
    """`python -m device.agent` as a child; hello is the line that it prints."""

    def __init__(self, broker, store, *options):
        command = [sys.executable, "-m", "device.agent", "--broker", f"127.0.0.1:{broker.port}", "--store", str(store)]
        self.child = subprocess.Popen(
            [*command, *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.hello = json.loads(self.child.stdout.readline() or "null")

    def end(self, signal_=signal.SIGKILL):
        self.child.send_signal(signal_)
        return self.child.wait(), self.child.stderr.read()


@pytest.fixture
def spawn(broker):
    with contextlib.ExitStack() as stack:

        def spawn(*arguments):
            process = Process(broker, *arguments)
            stack.callback(process.end)
            return process

        yield spawn


def test_the_process_keeps_its_identity_through_kill_9_and_tells_when_it_is_gone(broker, gateway, spawn, tmp_path):
    link = waiting(broker)
    first = spawn(tmp_path / "store")
    gateway.give_beacon(1, 0)
    link.until(lambda: gateway.payloads("heartbeat"))
    first.end(signal.SIGKILL)
    link.until(lambda: gateway.payloads("gone"))

    second = spawn(tmp_path / "store")
    link.until(lambda: len(gateway.payloads("announce")) == 2)

    assert second.hello == {**first.hello, "boot": 2}
    device_id = wire.open_sign1(gateway.payloads("heartbeat")[0])[0]
    assert first.hello["id"] == to_checksum_address(device_id)
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o600
    assert second.end(signal.SIGTERM) == (0, "")


def test_a_second_process_with_the_same_store_is_refused_in_one_line(spawn, tmp_path):
    spawn(tmp_path / "store")

    second = spawn(tmp_path / "store")

    code, told = second.child.wait(), second.child.stderr.read()
    assert (code, second.hello) == (1, None) and told.startswith("device.agent: ") and told.count("\n") == 1


def test_a_replay_is_announced_and_a_bad_one_is_refused_in_one_line(broker, gateway, spawn, tmp_path):
    recording = tmp_path / "office.csv"
    recording.write_text("temperature_c,x,y,z\n21.5,1,2,3\n")
    spawn(tmp_path / "store", "--replay", str(recording))
    waiting(broker).until(lambda: gateway.payloads("announce"))
    source = wire.decode_announce(wire.open_sign1(gateway.payloads("announce")[0], 384)[1])[-1]
    assert source == "recorded office.csv"

    recording.write_text("temperature_c,x,y,z\n21.5,1,2,40000\n")
    bad = spawn(tmp_path / "other", "--replay", str(recording))

    assert bad.child.wait() == 1 and "row 1: got (5504, 1, 2, 40000), wanted" in bad.child.stderr.read()


def test_a_process_with_a_vector_sends_what_its_file_then_holds_for_the_round_that_asks(
    broker, gateway, spawn, tmp_path
):
    numbers = tmp_path / "numbers.json"
    numbers.write_text("[1]")
    spawn(tmp_path / "store", "--vector", str(numbers))
    link = waiting(broker)
    link.until(lambda: gateway.payloads("announce"))
    device = SimpleNamespace()
    device.id, payload, _, _ = wire.open_sign1(gateway.payloads("announce")[0], wire.ANNOUNCE_MAX_BYTES)
    device.public_key = wire.decode_announce(payload)[5]
    numbers.write_text("[5, -7, 70000]")
    fields = {"kind": rounds.VECTOR, "rows": 3, "windows": 1}
    frames = [manifest(**fields), manifest(round=2, **(fields | {"rows": 4}))]

    for name, frame in (
        ("bind", bind_request(owner=OWNER.address, board="cpython")),
        ("enrol", enrolment()[0]),
        ("round", frames[0]),
    ):
        gateway.client.publish(wire.topic(device.id, name), frame, 1)
    link.until(lambda: gather(gateway.seen))
    gateway.client.publish(wire.topic(device.id, "round"), frames[1], 1)
    link.until(lambda: len(statuses(gateway.seen)) == 3)

    ((update, ciphertext),) = gather(gateway.seen)
    assert open_update(frames[0], enrolment()[1], device, update, ciphertext) == ([5, -7, 70000], 1, 1)
    assert [status for _, status in statuses(gateway.seen)] == ["enrolled", "joined", "bounds"]


@pytest.mark.parametrize("content", ["", "7", "[1.0]", "[true]", '["1"]'])
def test_a_vector_of_something_else_than_integers_is_refused_in_one_line(spawn, tmp_path, content):
    (tmp_path / "numbers.json").write_text(content)

    process = spawn(tmp_path / "store", "--vector", str(tmp_path / "numbers.json"))

    code, told = process.child.wait(), process.child.stderr.read()
    assert (code, process.hello) == (1, None) and told.startswith("device.agent: ") and told.count("\n") == 1


def test_a_file_memory_is_a_store(tmp_path):
    for boot in (1, 2, 3):
        memory = FileMemory(tmp_path / "store")
        store = Store(memory)
        assert store.open(lambda: SECRET) == SECRET and store.boot == boot
        memory.close()

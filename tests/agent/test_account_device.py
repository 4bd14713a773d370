"""A device's account on the device: its client on a virtual clock, and a real agent at a real broker."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from coincurve import PrivateKey

from device.agent import account, mqtt, packets, wire
from device.agent.errors import WireError
from device.agent.identity import Identity
from device.agent.port import Port
from device.agent.safe import Safe
from gateway.broker.broker import Broker
from gateway.broker.device_accounts import POLL_S, DeviceAccounts
from gateway.intake.registry import Device
from tests import update_bench
from tests.agent.test_mqtt_client import CONNACK, SUBACK, drain, online
from tests.broker_clients import Ear

ROOT = Path(__file__).parents[2]
GATEWAY = PrivateKey(b"\7" * 32)
TOLD = wire.encode_account(GATEWAY.public_key.format())
ME = Identity(b"\1" * 32, Port("", 0))
REENTER_MS = 1_200
VECTORS = json.loads((ROOT / "tests" / "vectors" / "account.json").read_text())
REFUSALS = [b"\x20\x02\x00\x04", b"\x20\x02\x00\x05"]


def entering():
    """A client that was told of its account while it had a message unacknowledged -> (client, what it sent then)."""
    client, _ = online()
    client.publish("to/all", b"work", 200)
    drain(client)
    account.enter(client, ME, TOLD, 300)
    return client, drain(client)


def test_a_device_says_goodbye_and_comes_back_with_its_account_and_all_that_was_not_acknowledged():
    client, sent = entering()
    assert sent == packets.DISCONNECT and client.state == mqtt.WAITING
    client.tick(300 + REENTER_MS - 1)
    assert not client.pending()
    client.tick(300 + REENTER_MS)
    name, pair = account.derive(ME.agree(GATEWAY.public_key.format()), ME.id, GATEWAY.public_key.format())
    assert drain(client) == packets.connect(name, 15, wire.topic(ME.id, "gone"), pair)
    client.feed(CONNACK + SUBACK[:3] + b"\x03\x01", 1_600)
    assert client.state == mqtt.ONLINE and client.account == pair
    assert drain(client).endswith(b"work")


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda vector: vector["name"])
def test_both_sides_derive_what_the_vectors_say(vector):
    me = Identity(bytes.fromhex(vector["secret"]), Port("", 0))
    gateway = wire.decode_account(bytes.fromhex(vector["frame"]))
    theirs = PrivateKey(bytes.fromhex(vector["gateway_secret"])).ecdh(me.public_key)
    wanted = vector["client_id"], (vector["user"], vector["password"])
    assert me.id.hex() == vector["id"] and gateway.hex() == vector["gateway"]
    assert me.agree(gateway) == theirs == bytes.fromhex(vector["agreed"])
    assert account.derive(theirs, me.id, gateway) == wanted


def test_a_device_in_safe_mode_enters_too():
    bench = update_bench.Device()
    bench.begin()
    safe = Safe(ME, bench.store, bench.port, bench.boot, 0)
    safe.client.tick(100)
    safe.client.feed(CONNACK + b"\x90\x06\x00\x01" + b"\x01" * 4, 100)
    drain(safe.client)
    safe.receive(wire.topic(ME.id, "account").encode(), TOLD, 200)
    assert safe.client.account and drain(safe.client) == packets.DISCONNECT
    safe.receive(wire.topic(ME.id, "account").encode(), b"\xff", 300)
    assert safe.counts["refused"] == 1


def test_connect_with_an_account_is_as_mqtt_3_1_1_has_it():
    packet = packets.connect("me", 15, "w", ("user", "pass"))
    assert packet == b"\x10\x1f\x00\x04MQTT\x04\xce\x00\x0f\x00\x02me\x00\x01w\x00\x00\x00\x04user\x00\x04pass"


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_device_whose_account_is_refused_is_a_stranger_again(refusal):
    client, _ = entering()
    client.tick(300 + REENTER_MS)
    drain(client)
    client.feed(refusal, 1_600)
    assert client.account is None and client.counts["refused"] == 1 and client.counts["protocol"] == 0
    client.tick(1_600 + client.ms_left(1_600))
    assert drain(client) == packets.connect("device", 15, "from/us/gone")
    client.feed(refusal, 2_300)
    assert (
        client.counts["refused"] == 1 and client.counts["protocol"] == 1
    )  # a stranger has nothing left to fall back to


@pytest.mark.parametrize("payload", [b"", TOLD])
def test_an_account_that_is_in_use_and_a_message_that_is_taken_back_change_nothing(payload):
    client, _ = entering()
    client.tick(300 + REENTER_MS)
    client.feed(CONNACK + SUBACK[:3] + b"\x03\x01", 1_600)
    drain(client)
    account.enter(client, ME, payload, 1_700)
    assert client.state == mqtt.ONLINE and drain(client) == b""


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["name"])
def test_a_wrong_message_is_refused_and_changes_nothing(vector):
    payload = bytes.fromhex(vector["frame"])
    client, _ = online()
    with pytest.raises(WireError):
        account.enter(client, ME, payload, 300)
    assert client.state == mqtt.ONLINE and client.account is None and drain(client) == b""


def test_a_real_agent_gets_its_account_when_bound_and_is_a_stranger_once_released(tmp_path):
    devices, bound, clock = {}, set(), [0.0]
    publish = lambda topic, payload, retain: ear.bus.publish(topic, payload, qos=1, retain=retain)  # noqa: E731
    accounts = DeviceAccounts(GATEWAY, devices, lambda: bound, publish, lambda: clock[0])
    broker = Broker(tmp_path / "broker", (), devices=accounts.at_start)
    broker.start()
    ear = Ear(broker)
    command = [
        sys.executable,
        "-m",
        "device.agent",
        "--broker",
        f"127.0.0.1:{broker.port}",
        "--store",
        tmp_path / "key",
    ]
    agent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def turn():
        clock[0] += POLL_S
        assert accounts.turn() == []

    def announces():
        return [payload for topic, payload in list(ear.heard) if topic.endswith("/announce")]

    try:
        assert ear.wait_until(lambda: announces())
        me, payload, *_ = wire.open_sign1(announces()[0], wire.ANNOUNCE_MAX_BYTES)
        board, boot, firmware, core, model, public_key, source = wire.decode_announce(payload)
        devices[me] = Device(me, public_key, board, core, firmware, model, source, boot)
        bound.add(me)
        turn()
        assert ear.wait_for(wire.topic(me, "entered"), b"")
        ear.bus.publish("tinyren/beacon", wire.encode_beacon(wire.make_beacon(1, 0, bytes(32)), 60_000), qos=1)
        assert ear.wait_until(lambda: any(topic == wire.topic(me, "heartbeat") for topic, _ in ear.heard))
        told = len(announces())
        bound.clear()
        turn()
        assert ear.wait_until(lambda: len(announces()) > told)
        bound.add(me)
        turn()
        assert ear.wait_until(lambda: sum(topic == wire.topic(me, "entered") for topic, _ in ear.heard) == 2)
    finally:
        agent.kill()
        agent.wait()
        ear.bus.stop()
        broker.stop()

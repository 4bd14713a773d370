"""Devices' accounts at a real broker: what they open, what strangers may do, how they are given, taken back, kept."""

import hmac
import json
import os
import signal

import psutil
import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import account, wire
from device.agent.errors import WireError
from device.agent.identity import Identity
from device.agent.port import Port
from gateway.benchmarks.ingest import device_of
from gateway.broker import accounts as broker_accounts
from gateway.broker.accounts import CONTROL_TOPIC, STRANGER_DOWN, STRANGER_UP, UP
from gateway.broker.broker import Broker
from gateway.broker.device_accounts import POLL_S, DeviceAccounts
from gateway.chain.chain import ChainError
from tests.broker_clients import Device, Ear

KEYS = [PrivateKey(bytes([number]) * 32) for number in (1, 2)]
DEVICES = {device.id: device for device in map(device_of, KEYS)}
A, B = DEVICES
GATEWAY = PrivateKey(b"\7" * 32)
PUBLIC = GATEWAY.public_key.format()


def identity(device):
    """What the device itself derives with: its key, by the curve functions of a board."""
    return Identity(KEYS[list(DEVICES).index(device)].secret, Port("", 0))


class Site:
    """A real broker and the accounts of it, on a chain and a clock that are the test's."""

    def __init__(self, folder):
        self.bound, self.now_s, self.is_away, self.ear = {A}, 0.0, False, None
        self.accounts = DeviceAccounts(GATEWAY, DEVICES, self._read_bound, self._publish, lambda: self.now_s)
        self.broker = Broker(folder / "broker", (), devices=self.accounts.at_start)
        self.broker.start()
        self.ear = Ear(self.broker, topics=("tinyren/#", broker_accounts.RESPONSE_TOPIC))

    def _read_bound(self):
        if self.is_away:
            raise ChainError("away")
        return self.bound

    def _publish(self, topic, payload, retain):
        self.ear.bus.publish(topic, payload, qos=1, retain=retain)

    def turn(self):
        self.now_s += POLL_S
        assert self.accounts.turn() == []
        mark = f"turn {self.now_s}".encode()  # the broker deals with one client's messages in their order
        self.ear.bus.publish("tinyren/turn", mark, qos=1)
        assert self.ear.wait_for("tinyren/turn", mark)

    def enter(self, device):
        """A client with the device's account, as the device derives it."""
        me = identity(device)
        name, pair = account.derive(me.agree(PUBLIC), me.id, PUBLIC)
        return Device(self.broker.port, name, pair)

    def listed(self):
        return {row["username"] for row in json.loads((self.broker.folder / "devices.json").read_text())["clients"]}

    def stop(self):
        self.ear.bus.stop()
        self.broker.stop()


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.stop()


def test_device_and_gateway_derive_the_same_account_each_from_its_own_key():
    me, public = identity(A), PUBLIC
    theirs = account.derive(GATEWAY.ecdh(me.public_key), A, public)
    assert account.derive(me.agree(public), A, public) == theirs
    name, (user, password) = theirs
    assert user == A.hex() and len(password) == 64 and name.startswith(user + "-") and password not in name
    assert account.derive(GATEWAY.ecdh(me.public_key), B, public)[1][1] != password
    extracted = hmac.digest(public, GATEWAY.ecdh(me.public_key), "sha256")
    assert password == hmac.digest(extracted, b"tinyren broker password" + A + b"\1", "sha256").hex()


def test_a_device_with_its_account_may_send_what_is_its_own_and_nothing_else(site):
    device = site.enter(A)
    device.subscribe("#")
    for topic in (f"tinyren/{B.hex()}/heartbeat", "tinyren/beacon", f"tinyren/{A.hex()}/ack", CONTROL_TOPIC):
        device.send(topic, b"forged")
    for name in UP:
        device.send(f"tinyren/{A.hex()}/{name}", name.encode())
    assert site.ear.wait_for(f"tinyren/{A.hex()}/{UP[-1]}", UP[-1].encode())
    assert sorted(site.ear.heard) == sorted((f"tinyren/{A.hex()}/{name}", name.encode()) for name in UP)
    for topic in (f"tinyren/{B.hex()}/ack", "tinyren/beacon", f"tinyren/{A.hex()}/ack"):
        site.ear.bus.publish(topic, topic.encode(), qos=1)
    assert device.wait_for(f"tinyren/{A.hex()}/ack", f"tinyren/{A.hex()}/ack".encode())
    assert {topic for topic, _ in device.heard if "/" in topic} == {"tinyren/beacon", f"tinyren/{A.hex()}/ack"}
    device.end()


def test_a_stranger_may_ask_to_be_bound_and_send_no_work_even_under_a_bound_devices_id(site):
    stranger = Device(site.broker.port, A.hex())
    stranger.subscribe("#")
    for name in UP:
        stranger.send(f"tinyren/{A.hex()}/{name}", b"unsigned")
    stranger.send(CONTROL_TOPIC, b'{"commands":[{"command":"createClient","username":"x","password":"y"}]}')
    stranger.send(f"tinyren/{A.hex()}/announce", b"last")
    assert site.ear.wait_for(f"tinyren/{A.hex()}/announce", b"last")
    assert {topic.rpartition("/")[2] for topic, _ in site.ear.heard} == set(STRANGER_UP)
    for name in ("ack", "trust", *STRANGER_DOWN):
        site.ear.bus.publish(f"tinyren/{A.hex()}/{name}", b"to it", qos=1)
    assert stranger.wait_for(f"tinyren/{A.hex()}/{STRANGER_DOWN[-1]}", b"to it")
    assert {topic.rpartition("/")[2] for topic, payload in stranger.heard if payload} == set(STRANGER_DOWN)
    assert site.listed() == {A.hex()}
    stranger.end()


def test_a_device_gets_its_account_when_it_is_bound_and_nobody_is_disconnected_by_it(site):
    site.turn()
    other = site.enter(A)
    assert other.wait_for("connected")
    refused = site.enter(B)
    assert refused.wait_for("refused")
    site.bound = {A, B}
    site.turn()
    device = site.enter(B)
    assert device.wait_for("connected")
    told = wire.encode_account(PUBLIC)
    assert site.ear.wait_for(wire.topic(B, "account"), told)
    assert site.listed() == {A.hex(), B.hex()}
    assert ("disconnected", b"") not in other.heard
    for client in (other, refused, device):
        client.end()


def test_a_device_that_is_released_is_disconnected_at_once_and_a_stranger_from_then_on(site):
    site.turn()
    device = site.enter(A)
    assert device.wait_for("connected")
    site.accounts.entered(A)
    site.bound = set()
    site.turn()
    assert device.wait_for("disconnected")
    assert not site.accounts.has_entered(A) and site.listed() == set()
    again = site.enter(A)
    assert again.wait_for("refused")
    newcomer = Device(site.broker.port, A.hex())
    newcomer.subscribe(wire.topic(A, "account"))
    site.ear.bus.publish(wire.topic(A, "bind"), b"", qos=1)
    assert all(topic != wire.topic(A, "account") for topic, _ in newcomer.heard)  # nothing retained is left
    for client in (device, again, newcomer):
        client.end()


def test_while_the_chain_is_away_everybody_keeps_what_he_has(site):
    site.turn()
    device = site.enter(A)
    site.is_away = True
    site.turn()
    device.send(wire.topic(A, "heartbeat"), b"work")
    assert site.ear.wait_for(wire.topic(A, "heartbeat"), b"work")
    assert site.listed() == {A.hex()}
    device.end()


def test_after_kill_9_of_the_broker_the_list_is_made_again_and_everybody_is_told_again(site):
    site.turn()
    site.bound = {A, B}
    path, told = site.broker.folder / "devices.json", (wire.topic(A, "account"), wire.encode_account(PUBLIC))
    os.kill(site.broker.process_id, signal.SIGKILL)
    psutil.Process(site.broker.process_id).wait(10)
    path.write_text('{"clients": [{"username": "planted"}')
    site.broker.start()
    assert site.listed() == {A.hex(), B.hex()}
    device = site.enter(B)
    assert device.wait_for("connected")
    before = site.ear.heard.count(told)
    site.turn()
    assert site.ear.wait_until(lambda: site.ear.heard.count(told) > before)
    device.end()


def test_reading_the_certificate_again_disconnects_nobody_and_accounts_go_on(site):
    site.turn()
    device = site.enter(A)
    assert device.wait_for("connected")
    site.broker.reload()
    site.bound = {A, B}
    site.turn()
    other = site.enter(B)
    assert other.wait_for("connected")
    device.send(wire.topic(A, "heartbeat"), b"work")
    assert site.ear.wait_for(wire.topic(A, "heartbeat"), b"work")
    assert ("disconnected", b"") not in device.heard
    site.bound = {B}
    site.turn()
    assert device.wait_for("disconnected")
    for client in (device, other):
        client.end()


def test_the_file_holds_no_password_and_is_its_users_alone(site):
    text = (site.broker.folder / "devices.json").read_text()
    assert account.derive(identity(A).agree(PUBLIC), A, PUBLIC)[1][1] not in text
    assert (site.broker.folder / "devices.json").stat().st_mode & 0o77 == 0


def test_hundreds_of_accounts_are_made_while_the_broker_runs(site):
    site.accounts._devices = {bytes([0, number]) * 10: DEVICES[A] for number in range(200)}
    site.bound = set(site.accounts._devices)
    site.turn()
    assert len(site.listed()) == 200
    site.bound = set()
    site.turn()
    assert site.listed() == set()


def test_what_the_broker_does_not_do_is_told(site):
    site.accounts.answered(b'{"responses":[{"command":"createClient","error":"Internal error"},{"command":"x"}]}')
    site.accounts.answered(b'{"responses":[{"command":"deleteClient","error":"Client not found"}]}')
    assert site.accounts.turn() == ["the broker refuses an account: createClient: Internal error"]
    assert site.accounts.turn() == []


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode)
)
def test_foreign_answers_and_account_messages_change_nothing(payload):
    assert all(isinstance(text, str) for text in broker_accounts.refusals(payload))
    client = type("Client", (), {"account": None, "enter": lambda *_: pytest.fail("entered")})()
    try:
        account.enter(client, identity(A), payload, 0)
    except WireError:
        pass
    assert client.account is None


def test_commands_come_in_parts_and_lead_from_what_is_there_to_what_is_wanted():
    wanted = {f"{number:040x}": "p" for number in range(300)}
    parts = [json.loads(part)["commands"] for part in broker_accounts.commands({"old", "0" * 40}, wanted)]
    assert [len(part) for part in parts] == [32] * 9 + [12]
    assert parts[0][0] == {"command": "deleteClient", "username": "old"}
    assert {command["username"] for part in parts for command in part} == {"old", *wanted} - {"0" * 40}
    assert broker_accounts.commands(wanted, wanted) == []

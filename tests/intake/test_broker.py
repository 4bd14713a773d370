"""The broker as it really runs: who may do what, its port, its end, and what comes back after it was killed."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gateway.broker import accounts as broker_accounts
from gateway.broker import broker as broker_module
from gateway.broker.broker import Broker, BrokerMissing
from tests.broker_clients import WAIT_S, Device, Ear

DEVICE, OTHER = "ab" * 20, "cd" * 20


@pytest.fixture
def broker(tmp_path):
    made = Broker(tmp_path / "broker", oracles=["oracle-1"])
    made.start()
    yield made
    made.stop()


def test_a_device_may_send_its_own_up_topics_and_no_other(broker):
    ear, device = Ear(broker), Device(broker.port, DEVICE)
    refused = [f"tinyren/{OTHER}/heartbeat", "tinyren/beacon", f"tinyren/{DEVICE}/ack", "tinyren/oracle/table", "other"]
    for topic in refused:
        device.send(topic, b"forged")
    for name in broker_accounts.UP:
        device.send(f"tinyren/{DEVICE}/{name}", name.encode())
    last = broker_accounts.UP[-1]
    assert ear.wait_for(f"tinyren/{DEVICE}/{last}", last.encode())
    assert sorted(ear.heard) == sorted((f"tinyren/{DEVICE}/{n}", n.encode()) for n in broker_accounts.UP)
    device.end()
    ear.bus.stop()


def test_a_device_may_read_the_beacon_and_its_own_down_topics_and_no_other(broker):
    ear, device = Ear(broker), Device(broker.port, DEVICE)
    device.subscribe("#")
    for topic in (f"tinyren/{OTHER}/ack", "tinyren/oracle/table", f"tinyren/{OTHER}/heartbeat"):
        ear.bus.publish(topic, b"not for you", qos=1)
    for topic in ("tinyren/beacon", f"tinyren/{DEVICE}/bind", f"tinyren/{DEVICE}/ack"):
        ear.bus.publish(topic, b"for you", qos=1)
    assert device.wait_for(f"tinyren/{DEVICE}/ack", b"for you")
    assert {payload for _, payload in device.heard} == {b"", b"for you"}
    device.end()
    ear.bus.stop()


@pytest.mark.parametrize("name", ["#", "+", f"{DEVICE}/#"])
def test_a_client_id_with_a_wildcard_opens_nothing(broker, name):
    ear, device = Ear(broker), Device(broker.port, name)
    device.subscribe("#")
    device.send(f"tinyren/{DEVICE}/heartbeat", b"forged")
    ear.bus.publish(f"tinyren/{DEVICE}/ack", b"not for you", qos=1)
    assert ear.wait_for(f"tinyren/{DEVICE}/ack", b"not for you")
    assert ear.heard == [(f"tinyren/{DEVICE}/ack", b"not for you")]
    assert device.heard == [("connected", b""), ("subscribed", b"")]
    device.end()
    ear.bus.stop()


def test_an_oracle_may_use_the_oracles_topics_and_no_other(broker):
    ear, oracle = Ear(broker), Ear(broker, "oracle-1")
    oracle.bus.publish(f"tinyren/{DEVICE}/ack", b"forged", qos=1)
    oracle.bus.publish("tinyren/oracle/table", b"a table", qos=1)
    assert ear.wait_for("tinyren/oracle/table", b"a table")
    assert oracle.wait_for("tinyren/oracle/table", b"a table")
    assert ear.heard == [("tinyren/oracle/table", b"a table")]
    oracle.bus.stop()
    ear.bus.stop()


def test_a_wrong_password_does_not_connect(broker):
    assert not broker_module._answers(broker.port, ("gateway", "guessed"))
    assert broker_module._answers(broker.port, broker.account())


def test_passwords_are_in_files_that_only_their_user_reads(broker):
    for name in ("gateway.password", "oracle-1.password", "passwords", "mosquitto.conf"):
        assert stat.S_IMODE((broker.folder / name).stat().st_mode) == 0o600
    assert broker.account()[1] not in (broker.folder / "passwords").read_text()


def test_a_megabyte_of_noise_reaches_the_gateway_and_more_than_two_does_not(broker):
    ear, device = Ear(broker), Device(broker.port, DEVICE)
    noise = os.urandom(1 << 20)
    device.send(f"tinyren/{DEVICE}/heartbeat", noise)
    assert ear.wait_for(f"tinyren/{DEVICE}/heartbeat", noise)
    device.client.publish(f"tinyren/{DEVICE}/heartbeat", bytes(3 << 20), 1)
    ear.bus.publish("tinyren/beacon", b"still here", qos=1)
    assert ear.wait_for("tinyren/beacon", b"still here")
    assert len(ear.heard) == 2
    device.end()
    ear.bus.stop()


def test_after_kill_9_it_starts_on_the_same_port_and_clients_come_back(broker):
    ear, port = Ear(broker), broker.port
    ear.bus.publish("tinyren/beacon", b"before", qos=1)
    assert ear.wait_for("tinyren/beacon", b"before")
    os.kill(broker.process_id, signal.SIGKILL)
    psutil.Process(broker.process_id).wait(WAIT_S)
    assert not broker.is_running()
    broker.start()
    assert broker.port == port
    device = Device(port, DEVICE)
    device.subscribe("tinyren/beacon")
    ear.bus.publish("tinyren/beacon", b"after", qos=1)
    assert device.wait_for("tinyren/beacon", b"after")
    device.end()
    ear.bus.stop()


def test_a_site_started_again_keeps_port_accounts_and_retained_messages(broker):
    ear = Ear(broker)
    ear.bus.publish("tinyren/beacon", b"kept", qos=1, retain=True)
    assert ear.wait_for("tinyren/beacon", b"kept")
    ear.bus.stop()
    before = broker.port, broker.account()
    broker.stop()
    again = Broker(broker.folder, oracles=["oracle-1"])
    again.start()
    assert (again.port, again.account()) == before
    device = Device(again.port, DEVICE)
    device.subscribe("tinyren/beacon")
    assert device.wait_for("tinyren/beacon", b"kept")
    device.end()
    again.stop()


def test_a_port_that_is_taken_is_left_alone(broker):
    broker.stop()
    taken = broker.port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        broker.start()
        assert broker.port != taken
        assert broker.is_running()


def test_a_port_taken_between_the_probe_and_the_start_is_tried_again(broker, monkeypatch):
    broker.stop()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken, really = other.getsockname()[1], broker_module.Broker._free_port
        ports = iter([taken])
        monkeypatch.setattr(Broker, "_free_port", lambda self: next(ports, None) or really(Broker(self.folder)))
        broker.start()
        assert broker.port != taken
        assert broker.is_running()


def test_without_mosquitto_one_line_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(broker_module.shutil, "which", lambda *_args, **_kwargs: None)
    with pytest.raises(BrokerMissing, match="apt-get install mosquitto"):
        Broker(tmp_path / "broker").start()
    assert not (tmp_path / "broker").exists()


def test_it_ends_with_the_gateway_even_after_kill_9(tmp_path):
    program = (
        "import sys, signal; from pathlib import Path; from gateway.broker.broker import Broker\n"
        f"broker = Broker(Path({str(tmp_path / 'broker')!r})); broker.start()\n"
        "print(broker.process_id, flush=True); signal.pause()"
    )
    root = Path(__file__).parents[2]
    gateway = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=root)
    child = psutil.Process(int(gateway.stdout.readline()))
    gateway.kill()
    gateway.wait()
    gateway.stdout.close()
    assert psutil.wait_procs([child], WAIT_S)[1] == [] or child.status() == psutil.STATUS_ZOMBIE

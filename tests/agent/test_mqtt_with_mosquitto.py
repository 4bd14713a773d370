"""The device's MQTT client against a real mosquitto, under a virtual clock."""

import paho.mqtt.client as paho
import pytest

from device.agent import mqtt
from tests.broker_link import Broker, Link

WRAP = 2**30


def make_client(now_ms):
    inbox = []

    def deliver(topic, payload, _):
        inbox.append((topic, bytes(payload)))

    def entropy(buffer):
        buffer[:] = bytes(len(buffer))

    return mqtt.Client("device", "from/us/gone", ("to/us",), deliver, entropy, now_ms), inbox


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    yield broker.start()
    broker.stop()


@pytest.fixture
def observer(broker):
    """A paho client that sees every topic; observer.seen holds (topic, payload)."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.seen = []
    client.ready = []
    client.on_message = lambda _client, _data, message: client.seen.append((message.topic, message.payload))
    client.on_subscribe = lambda *_: client.ready.append(True)
    client.on_connect = lambda *_: client.subscribe("#", 1)
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    link = Link(broker)
    link.tick, link.client = (lambda _: None), make_client(0)[0]
    link.until(lambda: client.ready)
    yield client
    client.loop_stop()


def joined(broker, now_ms=0):
    client, inbox = make_client(now_ms)
    link = Link(broker, now_ms)
    link.join(client)
    link.until(lambda: client.state == mqtt.ONLINE, step_ms=50)
    return client, inbox, link


@pytest.mark.parametrize("now_ms", [0, WRAP - 60], ids=["", "as the clock wraps"])
def test_a_message_of_qos_1_is_delivered_and_acknowledged(broker, observer, now_ms):
    client, _, link = joined(broker, now_ms)

    packet_id = client.publish("from/us", b"hello", link.now_ms)
    assert client.is_queued(packet_id)

    link.until(lambda: not client.is_queued(packet_id))
    link.until(lambda: ("from/us", b"hello") in observer.seen)


def test_messages_of_both_qualities_arrive(broker, observer):
    client, inbox, link = joined(broker)

    observer.publish("to/us", b"once", 0)
    observer.publish("to/us", b"at least once", 1)
    client.publish("from/us", b"maybe", link.now_ms, qos=0)

    link.until(lambda: len(inbox) == 2 and ("from/us", b"maybe") in observer.seen)
    assert inbox == [(b"to/us", b"once"), (b"to/us", b"at least once")]


def test_after_a_broker_restart_what_was_published_meanwhile_is_delivered(broker, observer):
    client, _, link = joined(broker)
    broker.stop()
    link.until(lambda: not link.is_plugged)
    packet_id = client.publish("from/us", b"while it was down", link.now_ms)
    link.pass_ms(mqtt.REPLY_MS)
    assert client.state != mqtt.ONLINE and client.counts["timeout"] == 1

    broker.start()
    link.until(lambda: len(observer.ready) == 2)
    link.plug()

    link.until(lambda: ("from/us", b"while it was down") in observer.seen, step_ms=50)
    link.until(lambda: not client.is_queued(packet_id))
    assert client.sessions == 2


def test_a_silent_change_of_the_wire_is_noticed_and_the_message_sent_again(broker, observer):
    client, _, link = joined(broker)

    link.plug()
    client.publish("from/us", b"into a session that is gone", link.now_ms)
    link.until(lambda: not link.is_plugged)
    link.pass_ms(mqtt.REPLY_MS)
    link.plug()

    link.until(lambda: ("from/us", b"into a session that is gone") in observer.seen, step_ms=50)
    assert client.sessions == 2


def test_the_will_is_published_when_the_wire_breaks(broker, observer):
    _, _, link = joined(broker)

    link.unplug()

    link.until(lambda: ("from/us/gone", b"") in observer.seen)


def test_a_quiet_connection_is_kept_by_pings(broker):
    client, _, link = joined(broker)

    for _ in range(5):
        link.pass_ms(mqtt.PING_MS, step_ms=mqtt.PING_MS)
        assert client.ms_left(link.now_ms) == mqtt.REPLY_MS
        link.until(lambda: client.ms_left(link.now_ms) == mqtt.PING_MS)

    assert client.state == mqtt.ONLINE and client.sessions == 1


def test_an_oversize_message_is_skipped_counted_and_acknowledged(broker, observer):
    client, inbox, link = joined(broker)

    for _ in range(25):  # more than mosquitto leaves unacknowledged
        observer.publish("to/us", bytes(50_000), 1)
    observer.publish("to/us", b"small", 1)

    link.until(lambda: inbox)
    assert inbox == [(b"to/us", b"small")] and client.counts["oversize"] == 25 and client.sessions == 1

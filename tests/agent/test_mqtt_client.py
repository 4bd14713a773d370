"""The device's MQTT client against scripted peers on a virtual clock, and foreign bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import mqtt, packets
from device.agent.errors import LocalError

CONNACK = b"\x20\x02\x00\x00"
SUBACK = b"\x90\x03\x00\x01\x01"
WRAP = 2**30


class Entropy:
    """Fills buffers with one byte."""

    def __init__(self, byte=0):
        self.byte = byte

    def __call__(self, buffer):
        buffer[:] = bytes([self.byte]) * len(buffer)


def make_client(now_ms=0, topics=("to/us",), entropy=None):
    inbox = []

    def deliver(topic, payload, _):
        inbox.append((topic, bytes(payload)))

    return mqtt.Client("device", "from/us/gone", topics, deliver, entropy or Entropy(), now_ms), inbox


def drain(client):
    """All output, taken as by a link that is never full."""
    data = bytes(client.pending())
    client.written(len(data))
    return data


def online(now_ms=0, **options):
    """A client that a scripted broker has accepted, at now_ms + 100 -> (client, inbox)."""
    client, inbox = make_client(now_ms, **options)
    client.tick((now_ms + 100) % WRAP)
    client.feed(CONNACK + SUBACK, (now_ms + 100) % WRAP)
    assert client.state == mqtt.ONLINE
    drain(client)
    return client, inbox


def test_a_client_waits_for_quiet_before_it_connects_but_not_for_ever():
    client, _ = make_client()

    client.feed(b"rest of an old session", 50)
    client.tick(149)
    assert client.state == mqtt.WAITING and client.ms_left(149) == 1
    client.tick(150)

    assert client.state == mqtt.CONNECTING
    noisy, _ = make_client()
    for now_ms in range(0, mqtt.QUIET_LIMIT_MS, 50):
        noisy.feed(b"\xff", now_ms)
        noisy.tick(now_ms)
        assert noisy.state == mqtt.WAITING
    noisy.tick(mqtt.QUIET_LIMIT_MS)
    assert noisy.state == mqtt.CONNECTING


def test_connect_asks_for_a_clean_session_with_a_will():
    client, _ = make_client()
    client.tick(100)

    assert drain(client) == b"\x10\x22\x00\x04MQTT\x04\x0e\x00\x0f\x00\x06device\x00\x0cfrom/us/gone\x00\x00"


@pytest.mark.parametrize("byte, least", [(0, 0.5), (255, 0.99)])
def test_failures_in_a_row_double_the_wait_up_to_a_limit(byte, least):
    client, _ = make_client(entropy=Entropy(byte))
    now_ms = 0
    waits = []
    for _ in range(8):
        now_ms += client.ms_left(now_ms)
        client.tick(now_ms)
        assert client.state == mqtt.CONNECTING
        now_ms += mqtt.REPLY_MS
        client.tick(now_ms)
        assert client.state == mqtt.WAITING
        waits.append(client.ms_left(now_ms))

    assert waits == sorted(waits)
    for wait_ms, full_ms in zip(waits, (500, 1000, 2000, 4000, 8000, 16000, 16000, 16000), strict=True):
        assert full_ms * least - 1 <= wait_ms <= full_ms
    assert client.counts["timeout"] == client.counts["connect"] == 8


@pytest.mark.parametrize("start", [0, WRAP - 200, WRAP - 3000])
def test_a_missing_puback_breaks_the_connection_and_the_message_is_marked_duplicate(start):
    client, _ = online(start)
    at = (start + 100) % WRAP
    client.publish("t", b"x", at)
    first = drain(client)

    client.tick((at + mqtt.REPLY_MS - 1) % WRAP)
    assert client.state == mqtt.ONLINE
    client.tick((at + mqtt.REPLY_MS) % WRAP)
    assert client.state == mqtt.WAITING
    client.tick((at + mqtt.REPLY_MS + 500) % WRAP)
    client.feed(CONNACK + b"\x90\x03\x00\x03\x01", (at + mqtt.REPLY_MS + 501) % WRAP)

    assert client.state == mqtt.ONLINE
    assert drain(client).endswith(bytes([first[0] | 8]) + first[1:])


def test_a_missing_pingresp_breaks_the_connection():
    client, _ = online()

    assert client.ms_left(100) == mqtt.PING_MS
    client.tick(100 + mqtt.PING_MS)
    assert drain(client) == b"\xc0\x00"
    client.tick(100 + mqtt.PING_MS + mqtt.REPLY_MS)

    assert client.state == mqtt.WAITING and client.counts["timeout"] == 1


def test_a_full_queue_drops_the_oldest_and_counts_it():
    client, _ = make_client()

    ids = [client.publish("t", bytes([n]), 0) for n in range(mqtt.QUEUE + 3)]

    assert [client.is_queued(packet_id) for packet_id in ids] == [False] * 3 + [True] * mqtt.QUEUE
    assert client.counts["dropped"] == 3


def test_at_most_four_messages_are_unacknowledged():
    client, _ = online()

    ids = [client.publish("t", bytes([n]), 100) for n in range(6)]
    assert drain(client).count(b"\x32") == mqtt.INFLIGHT
    client.feed(packets.puback(ids[0]), 100)

    assert drain(client).count(b"\x32") == 1


def test_the_output_is_bounded_and_what_does_not_fit_waits():
    client, _ = online()

    for _ in range(4):
        client.publish("t", bytes(500), 100)
    for _ in range(4):
        assert len(drain(client)) == 508
        client.tick(100)
    assert not drain(client)
    with pytest.raises(LocalError):
        client.publish("t", bytes(1000), 100)


def test_output_taken_in_small_portions_is_the_same_stream():
    whole, _ = online()
    parts, _ = online()
    taken = bytearray()

    for round_ in range(40):
        for client in (whole, parts):
            client.feed(b"\x30\x07\x00\x05to/us", 100)
            packet_id = client.publish("t", bytes([round_]) * 40, 100)
        taken += bytes(parts.pending()[:30])
        parts.written(min(30, len(parts.pending())))
        while len(parts.pending()) > 200:
            taken += bytes(parts.pending()[:1])
            parts.written(1)
        for client in (whole, parts):
            client.feed(packets.puback(packet_id), 100)
        if round_ == 0:
            stream = bytearray()
        stream += drain(whole)

    assert taken + drain(parts) == stream


@pytest.mark.parametrize(
    "cause, data",
    [
        ("CONNACK when it is connected", CONNACK),
        ("SUBACK again", SUBACK),
        ("a packet that only clients send", b"\x10\x00"),
        ("PUBREC", b"\x50\x02\x00\x01"),
        ("QoS 2", b"\x34\x09\x00\x05to/us\x00\x01"),
        ("packet type 0", b"\x00\x00"),
        ("PINGRESP with a body", b"\xd0\x01\x00"),
        ("PUBACK of three bytes", b"\x40\x03\x00\x01\x00"),
        ("PUBACK of a kilobyte", b"\x40\x80\x08"),
        ("a remaining length of five bytes", b"\x30\x80\x80\x80\x80\x01"),
        ("an empty topic", b"\x30\x02\x00\x00"),
        ("a topic longer than the packet", b"\x30\x03\x00\x05t"),
        ("no topic at all", b"\x30\x00"),
        ("packet id 0", b"\x32\x09\x00\x05to/us\x00\x00"),
        ("no packet id", b"\x32\x07\x00\x05to/us"),
    ],
)
def test_bytes_that_no_broker_may_send_end_the_connection_and_cost_no_message(cause, data):
    client, inbox = online()
    packet_id = client.publish("t", b"kept", 100)

    client.feed(data, 100)

    assert client.state == mqtt.WAITING and client.counts["protocol"] == 1, cause
    assert client.is_queued(packet_id) and not inbox and not len(client.pending())


@pytest.mark.parametrize(
    "data",
    [b"\x20\x02\x00\x05", b"\x20\x02\x01\x00", b"\x20\x01\x00", b"\x30\x07\x00\x05to/us", b"\xd0\x00", SUBACK],
)
def test_anything_but_acceptance_of_a_clean_session_refuses_the_connection(data):
    client, inbox = make_client()
    client.tick(100)

    client.feed(data, 100)

    assert client.state == mqtt.WAITING and client.counts["protocol"] == 1 and not inbox


@pytest.mark.parametrize("data", [b"\x90\x03\x00\x01\x80", b"\x90\x03\x00\x02\x01", b"\x90\x02\x00\x01"])
def test_a_subscription_that_is_not_granted_refuses_the_connection(data):
    client, _ = make_client()
    client.tick(100)
    client.feed(CONNACK, 100)

    client.feed(data, 100)

    assert client.state == mqtt.WAITING and client.counts["protocol"] == 1


def test_packet_ids_wrap_to_one_and_pass_over_those_in_use():
    client, _ = make_client()
    first = client.publish("t", b"", 0)
    client._packet_id = 0xFFFF

    assert (first, client.publish("t", b"", 0)) == (1, 2)


STREAM = b"".join(
    [
        b"\x30\x09\x00\x05to/usab",
        b"\x32\x0b\x00\x05to/us\x00\x07cd",
        b"\xd0\x00",
        bytes(packets.publish("to/us", bytes(900), 8)),
        b"\x40\x02\x00\x09",
        b"\x30\x08\x00\x05to/use",
    ]
)
TIMES = st.integers(0, WRAP - 1)
FUZZ = settings(derandomize=True, max_examples=200, deadline=None)


@FUZZ
@given(st.lists(st.integers(1, 40), max_size=30))
def test_a_stream_in_any_portions_is_the_same_messages(sizes):
    client, inbox = online()
    at = 0
    for size in sizes + [len(STREAM)]:
        client.feed(STREAM[at : at + size], 100)
        at += size

    assert inbox == [(b"to/us", b"ab"), (b"to/us", b"cd"), (b"to/us", b"e")]
    assert client.state == mqtt.ONLINE and client.counts["oversize"] == 1
    assert drain(client) == packets.puback(7) + packets.puback(8)


@FUZZ
@given(st.lists(st.binary(max_size=50) | st.sampled_from([CONNACK, SUBACK, STREAM]), max_size=20), TIMES)
def test_no_bytes_at_any_time_break_the_client(portions, now_ms):
    client, _ = make_client(now_ms)
    packet_id = client.publish("t", b"kept", now_ms)

    for portion in portions:
        client.tick(now_ms)
        client.feed(portion, now_ms)
        drain(client)
        now_ms = (now_ms + 700) % WRAP
        assert 0 <= client.ms_left(now_ms)

    # Whatever came, a broker that now behaves is found again.
    for _ in range(200):
        now_ms = (now_ms + 500) % WRAP
        client.tick(now_ms)
        if client.state == mqtt.CONNECTING:
            client.feed(CONNACK, now_ms)
            subscribe = drain(client)
            client.feed(b"\x90\x03" + subscribe[-10:-8] + b"\x01", now_ms)
        if client.state == mqtt.ONLINE and b"t" in drain(client):
            break
    client.feed(packets.puback(packet_id), now_ms)
    assert client.state == mqtt.ONLINE

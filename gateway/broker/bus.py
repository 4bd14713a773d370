"""The gateway's and the oracles' connection to the broker, the only file that knows paho; refuses to judge messages.

What QoS 1 does here. A message stays the broker's until `ack`, which the receiver calls after it has dealt with it; at
most the broker's in-flight limit is on its way meanwhile, so a slow receiver holds the broker back and its own memory
stays small. When the connection breaks, it is made again with a growing pause and the subscriptions with it, to the
next server where there are several; the broker then sends again what was not acknowledged. An acknowledgement for a
connection that is gone is dropped, because message ids start anew.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from itertools import cycle
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any, NamedTuple, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.broker.broker_url import Account, Remote

RETRY_MIN_S = 1
RETRY_MAX_S = 8
MAX_OUTGOING = 65_536


class Token(NamedTuple):
    """What names one received message to `Bus.ack`."""

    connection: int
    message_id: int
    qos: int


class Link(Protocol):
    """What the intake needs of a bus."""

    def subscribe(self, *topics: str) -> None: ...

    def wait_subscribed(self, timeout_s: float) -> bool: ...

    def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> bool: ...

    def ack(self, token: Any) -> None: ...


Receive = Callable[[str, bytes, int, Token], None]


def client_id(name: str, account: Account) -> str:
    """What a client of this name is called at the broker."""
    return f"{name}-{hashlib.sha256(account[1].encode()).hexdigest()[:16]}"


class Bus:
    """One client: a thread of paho's receives, any thread may publish.

    Args:
        name: begins the client id, whose session the broker keeps while this is away. The rest follows from the
            password: a broker lets a newcomer with the same id take the place, so strangers must not know it.
        place: port of a broker on this machine, or one elsewhere. account: (user, password), "" for none.
        receive: called on paho's thread with topic, payload, receipt time in ms and the token for `ack`; to be quick.
        clock: the site's time in ms.
    """

    def __init__(
        self, name: str, place: int | Remote, account: Account, receive: Receive, clock: Callable[[], int]
    ) -> None:
        self._receive = receive
        self._clock = clock
        self._topics: list[tuple[str, int]] = []
        self._unwanted: list[str] = []
        self._connections = 0
        self._last: mqtt.MQTTMessageInfo | None = None
        self._is_subscribed = threading.Event()
        self.client_id = client_id(name, account)
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            self.client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
        )
        if account[0]:
            self._client.username_pw_set(*account)
        remote = Remote((("127.0.0.1", place),)) if isinstance(place, int) else place
        self._places = cycle(remote.places)
        if context := remote.context():
            self._client.tls_set_context(context)
        self._client.max_queued_messages_set(MAX_OUTGOING)
        self._client.reconnect_delay_set(RETRY_MIN_S, RETRY_MAX_S)
        self._client.on_connect = self._connected
        self._client.on_socket_open = _send_at_once
        self._client.on_connect_fail = lambda *_: self._turn_to_next()
        self._client.on_disconnect = lambda *_: self._turn_to_next()
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._received
        self._is_stopping = False

    def start(self) -> None:
        """Begin to connect; `subscribe` and `publish` may come before the connection does."""
        self._turn_to_next()
        self._client.loop_start()

    def stop(self) -> None:
        """Send what is queued for sending, say goodbye and end the thread."""
        self._is_stopping = True
        self._client.disconnect()
        self._client.loop_stop()

    def is_connected(self) -> bool:
        return self._client.is_connected()

    def wait_subscribed(self, timeout_s: float) -> bool:
        """Wait until the broker granted a subscription; before that, what others publish may be missed."""
        return self._is_subscribed.wait(timeout_s)

    def subscribe(self, *topics: str) -> None:
        """Receive these topics with QoS 1, now and after each reconnection; those that it receives already are kept."""
        new = [(topic, 1) for topic in topics if (topic, 1) not in self._topics]
        self._topics += new
        if new and self._client.is_connected():
            self._client.subscribe(self._topics)

    def unsubscribe(self, topic: str) -> None:
        """Receive a topic no longer, to which the broker's session of an earlier start may still be subscribed."""
        self._unwanted.append(topic)
        if self._client.is_connected():
            self._client.unsubscribe(topic)

    def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> bool:
        """Send, or queue while there is no connection. False: the queue is full and the message is dropped."""
        sent = self._client.publish(topic, payload, qos, retain)
        if qos:
            self._last = sent
        return sent.rc in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_NO_CONN)

    def wait_published(self, timeout_s: float) -> bool:
        """Wait until the broker has what was last published with QoS 1, and so all of it; wants a connection."""
        if self._last is not None:
            self._last.wait_for_publish(timeout_s)
        return self._last is None or self._last.is_published()

    def ack(self, token: Token) -> None:
        """The message was dealt with; the broker may forget it."""
        if token.qos and token.connection == self._connections:
            self._client.ack(token.message_id, token.qos)

    def _turn_to_next(self) -> None:
        if not self._is_stopping:
            self._client.connect_async(*next(self._places), keepalive=30)

    def _subscribed(
        self, _client: mqtt.Client, _data: Any, _id: int, reasons: Sequence[ReasonCode], _: Properties | None
    ) -> None:
        if not any(reason.is_failure for reason in reasons):
            self._is_subscribed.set()

    def _connected(
        self, client: mqtt.Client, _data: Any, _flags: mqtt.ConnectFlags, reason: ReasonCode, _: Properties | None
    ) -> None:
        self._connections += 1
        if not reason.is_failure and self._unwanted:
            client.unsubscribe(self._unwanted)
        if not reason.is_failure and self._topics:
            client.subscribe(self._topics)

    def _received(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        self._receive(topic, bytes(message.payload), self._clock(), Token(self._connections, message.mid, message.qos))


def _send_at_once(_client: mqtt.Client, _data: Any, link: Any) -> None:
    """Without this a packet waits for the acknowledgement of the one before, up to 40 ms."""
    link.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)

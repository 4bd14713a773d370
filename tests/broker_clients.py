"""Clients of a real broker for tests: one with an account of the site's that hears, and a device."""

import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateway.broker.bus import Bus

WAIT_S = 10


class Ear:
    """A bus that remembers what it received, and can be waited on."""

    def __init__(self, broker, account="gateway", topics=("tinyren/#",)):
        self.heard = []
        self._arrived = threading.Condition()
        self.bus = Bus(f"{account}-test", broker.port, broker.account(account), self._receive, lambda: 0)
        self.bus.subscribe(*topics)
        self.bus.start()
        assert self.bus.wait_subscribed(WAIT_S)

    def _receive(self, topic, payload, receipt_ms, token):
        with self._arrived:
            self.heard.append((topic, payload))
            self._arrived.notify_all()
        self.bus.ack(token)

    def wait_for(self, topic, payload):
        return self.wait_until(lambda: (topic, payload) in self.heard)

    def wait_until(self, is_so):
        """Wait until a predicate of `heard` holds; whether it does."""
        with self._arrived:
            return self._arrived.wait_for(is_so, WAIT_S)


class Device:
    """A client with this client id; without an account, or with one: (user, password)."""

    def __init__(self, port, name, account=None):
        self.heard = []
        self._arrived = threading.Condition()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, name, reconnect_on_failure=False)
        if account:
            self.client.username_pw_set(*account)
        self.client.on_connect = self._connected
        self.client.on_disconnect = lambda *_: self._tell(("disconnected", b""))
        self.client.on_message = self._received
        self.client.on_subscribe = lambda *_: self._tell(("subscribed", b""))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _received(self, _client, _data, message):
        self._tell((message.topic, message.payload))

    def _tell(self, what):
        with self._arrived:
            self.heard.append(what)
            self._arrived.notify_all()

    def _connected(self, _client, _data, _flags, reason, _properties):
        self._tell(("refused" if reason.is_failure else "connected", b""))

    def wait_for(self, topic, payload=b""):
        with self._arrived:
            return self._arrived.wait_for(lambda: (topic, payload) in self.heard, WAIT_S)

    def subscribe(self, topic):
        self.client.subscribe(topic, 1)
        assert self.wait_for("subscribed", b"")

    def send(self, topic, payload):
        self.client.publish(topic, payload, 1).wait_for_publish(WAIT_S)

    def end(self):
        self.client.disconnect()
        self.client.loop_stop()

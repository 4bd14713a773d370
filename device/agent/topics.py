"""The topics that a device listens to, held as names: as texts they would take 1 KB of heap; it knows no message."""

from . import wire

BEACON_TOPIC = "tinyren/beacon"


class Topics:
    """names (tuple of str): "beacon" is the topic of all devices, each other name one of the device's own. Iterated
    over, it gives MQTT's topic filters in the order of the names.
    """

    def __init__(self, device_id: bytes, names):
        self.names = names
        self._own = wire.topic(device_id, "")

    def __len__(self):
        return len(self.names)

    def __iter__(self):
        return iter([self._listened(name) for name in self.names])

    def own(self, name: str) -> str:
        """The device's own topic of a name."""
        return self._own + name

    def name_of(self, topic: bytes):
        """The name whose topic this is; None if there is none."""
        try:
            text = str(topic, "utf-8")
        except UnicodeError:
            return None
        name = text.rpartition("/")[2]
        return name if name in self.names and text == self._listened(name) else None

    def _listened(self, name):
        return BEACON_TOPIC if name == "beacon" else self._own + name

"""A ciphertext on its way to the gateway, in parts that give way to whatever else waits; it decides nothing about it.

Rules (EDIL.md, section 3):
  1. The header goes first, then the parts in order. One more is queued only while fewer than two messages are, so that
     MQTT's queue never overflows and a heartbeat waits for at most two parts.
  2. Once the broker has all of it, header and parts are sent again each 5 s, the same bytes, 24 times at most.
"""

from . import rounds, ticks
from .cbor import const
from .mqtt import ONLINE

RESEND_MS = const(5000)
RESENDS = const(24)
QUEUED = const(2)

_HEADER = const(-1)


class Upload:
    """is_given_up: whether all of it was sent as often as it may be; resent: how often after the first time."""

    def __init__(self, client, topic, header: bytes, digest: bytes, ciphertext):
        """
        Args:
            client: mqtt.Client. topic: function name -> this device's topic of that name.
            header: frame of the update. digest: SHA-256 of the ciphertext (32 bytes).
            ciphertext: view of its bytes, which must stay as they are until the upload is over.
        """
        self.is_given_up = False
        self.resent = 0
        self._client = client
        self._topic = topic
        self._header = header
        self._digest = digest
        self._ciphertext = ciphertext
        self._at = _HEADER
        self._packet_id = 0
        self._sent_ms = 0

    def tick(self, now_ms: int):
        """Queue what may be queued now, and nothing while the client is not online."""
        if self._client.state != ONLINE:
            return
        if self._is_delivered():
            if ticks.diff(now_ms, self._sent_ms) < RESEND_MS:
                return
            if self.resent == RESENDS:
                self.is_given_up = True
                return
            self.resent += 1
            self._at = _HEADER
        self._sent_ms = now_ms
        while self._at < len(self._ciphertext) and self._client.queued < QUEUED:
            self._send_next(now_ms)

    def _is_delivered(self):
        return self._at >= len(self._ciphertext) and not self._client.is_queued(self._packet_id)

    def _send_next(self, now_ms):
        if self._at == _HEADER:
            name, payload, self._at = "update", self._header, 0
        else:
            data = self._ciphertext[self._at : self._at + rounds.PART_BYTES]
            name, payload = "part", rounds.encode_part(self._digest, self._at, data)
            self._at += len(data)
        self._packet_id = self._client.publish(self._topic(name), payload, now_ms)

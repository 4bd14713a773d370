"""MQTT 3.1.1 packets: those a client sends, and a reader of those a broker may send; refuses all others.

The reader takes a byte stream in any portions and keeps at most the bytes it was made for. A PUBLISH that is longer is
skipped as it passes; its head is kept, so that it can be acknowledged.
Source: OASIS MQTT 3.1.1, chapter 2 (structure) and 3 (packets).
"""

from .cbor import const
from .errors import LocalError, PeerError

CONNACK = const(0x20)
PUBLISH = const(0x30)
PUBACK = const(0x40)
SUBACK = const(0x90)
PINGRESP = const(0xD0)
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"

_DUP = const(0x08)
_CLEAN_WILL_QOS1 = const(0x0E)
_USER_PASSWORD = const(0xC0)
_MAX_REMAINING = const(0x0FFFFFFF)


def connect(client_id: str, keepalive_s: int, will_topic: str, account=()) -> bytes:
    """CONNECT with a clean session and an empty will of QoS 1, not retained. account: (user, password), () for none."""
    flags = _CLEAN_WILL_QOS1 | (_USER_PASSWORD if account else 0)
    head = b"\x00\x04MQTT\x04" + bytes([flags]) + keepalive_s.to_bytes(2, "big")
    strings = [client_id, will_topic, ""] + list(account)  # MicroPython has no * here
    return bytes(_packet(0x10, head + b"".join([_string(text) for text in strings])))


def subscribe(packet_id: int, topics) -> bytes:
    """SUBSCRIBE to every topic filter with QoS 1."""
    body = packet_id.to_bytes(2, "big") + b"".join([_string(topic) + b"\x01" for topic in topics])
    return bytes(_packet(0x82, body))


def publish(topic: str, payload: bytes, packet_id: int) -> bytearray:
    """PUBLISH, QoS 1 with a packet id from 1, QoS 0 with packet id 0."""
    if not packet_id:
        return _packet(PUBLISH, _string(topic) + payload)
    return _packet(PUBLISH | 0x02, _string(topic) + packet_id.to_bytes(2, "big") + payload)


class Message:
    """A published message (bytearray) that waits for its PUBACK; who sends it notes when."""

    def __init__(self, packet_id: int, packet):
        self.packet_id = packet_id
        self.packet = packet
        self.is_sent = False
        self.sent_ms = 0

    def unsend(self):
        """The connection on which it was sent is gone: it is to be sent again, and marked as a duplicate then."""
        if self.is_sent:
            self.is_sent = False
            self.packet[0] |= _DUP


def puback(packet_id: int) -> bytes:
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def split_publish(head: int, body):
    """Take a PUBLISH apart -> (topic bytes, packet id or 0, payload as a view of body).

    Raises:
        PeerError: the topic or the packet id is cut, empty or zero.
    """
    size_bytes = int.from_bytes(bytes(body[:2]), "big")
    at = 2 + size_bytes
    end = at + 2 if head & 0x02 else at
    if not size_bytes or end > len(body):
        raise PeerError(f"PUBLISH: got {len(body)} bytes, a topic of {size_bytes}, wanted a topic in it")
    packet_id = int.from_bytes(bytes(body[at:end]), "big")
    if end > at and not packet_id:
        raise PeerError("PUBLISH: got packet id 0, wanted 1..65535")
    return bytes(body[2:at]), packet_id, body[end:]


def _string(text):
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _packet(head, body):
    if len(body) > _MAX_REMAINING:
        raise LocalError(f"packet: got {len(body)} bytes, wanted at most {_MAX_REMAINING}")
    packet = bytearray([head])
    remaining = len(body)
    while remaining > 127:
        packet.append(remaining & 127 | 128)
        remaining >>= 7
    packet.append(remaining)
    packet.extend(body)
    return packet


class Reader:
    """Collects one packet at a time: head (its first byte), body (view, until reset), is_whole, is_cut."""

    def __init__(self, max_bytes: int):
        """max_bytes: the longest body that is kept."""
        self._view = memoryview(bytearray(max_bytes))
        self.reset()

    def reset(self):
        """Begin with the next packet."""
        self.head = 0
        self.is_cut = False
        self._shift = -7
        self._missing = 0
        self._kept = 0

    def read(self, data, at: int) -> int:
        """Take bytes from data[at:] until a packet is whole or data ends -> offset behind them.

        Raises:
            PeerError: no packet that a broker sends begins so.
        """
        while self._shift < 28 and at < len(data):
            self._take_head(data[at])
            at += 1
        if self._shift == 28:
            size = min(len(data) - at, self._missing)
            keep = min(size, len(self._view) - self._kept)
            self._view[self._kept : self._kept + keep] = data[at : at + keep]
            self._kept += keep
            self._missing -= size
            at += size
        return at

    @property
    def is_whole(self) -> bool:
        return self._shift == 28 and not self._missing

    @property
    def body(self):
        return self._view[: self._kept]

    def _take_head(self, byte):
        if self._shift < 0:
            if byte not in (CONNACK, PUBACK, SUBACK, PINGRESP) and (byte & 0xF0 != PUBLISH or byte & 0x04):
                raise PeerError(f"first byte: got {byte:#x}, wanted a packet of a broker, QoS 0 or 1")
            self.head = byte
            self._shift = 0
            return
        self._missing |= (byte & 127) << self._shift
        self._shift += 7
        if byte & 128:
            if self._shift == 28:
                raise PeerError("remaining length: got a fifth byte, wanted at most 4")
            return
        self._shift = 28
        self.is_cut = self._missing > len(self._view)
        if self.is_cut and self.head & 0xF0 != PUBLISH:
            raise PeerError(f"remaining length: got {self._missing}, wanted at most {len(self._view)}")

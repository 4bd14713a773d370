"""The device's last log lines and why it was reset, in memory that may survive the reset; refuses to grow.

Lines are short: seconds since boot, then what happened and where, as "link: timeout" or "error: NameError". Nothing of
what was received and no key belongs into one. The oldest makes room; a line that repeats the last one is left out.

The buffer holds "jl", the length of the text (u16 BE), CRC-32 (BE) of both and of the text, and the text, a line feed
after each line. If all that is right at boot, the memory survived, and the lines before the reset are there.
What is new is told after a connection, by the agent, which signs it; nobody acknowledges it beyond MQTT. It is the
core's, so of other modules it keeps constants alone.
"""

from binascii import crc32

from .cbor import const
from .mqtt import ONLINE
from .reports import LINE_MAX_BYTES, LINES
from .wire import TEXT_MAX_BYTES

LINES_MAX_BYTES = const(320)  # so that all of them, the reason and a signature are one message

_HEAD_BYTES = const(8)
_MAGIC = b"jl"


class Journal:
    """reason (text): why this boot began."""

    def __init__(self, buffer, reason: str):
        """
        Args:
            buffer: bytearray of 64 bytes or more, the journal's own; one that survives a reset if there is one.
            reason: "power", "watchdog", "asked", or what ended the last boot.
        """
        self.reason = _clean(reason, TEXT_MAX_BYTES) or "unknown"
        self._changes = 0  # how often a line was added
        self._told = 0  # of these changes, to a gateway that was there
        self._sent = (0, False)  # in which session, and whether the gateway was there
        self._was_online = False
        self._client = None
        self._buffer = buffer
        self._room = min(LINES_MAX_BYTES, len(buffer) - _HEAD_BYTES)
        if not self._is_valid():
            self._put(b"")
        self.note(0, "reset: " + self.reason)
        self._changes = 1  # a reset is told, also one for the reason of the last

    def note(self, uptime_s: int, text: str):
        """Add a line, so many seconds after boot."""
        line = _clean(text, LINE_MAX_BYTES - 11)
        last = self.lines()[-1:]
        if last and last[0].partition(" ")[2] == line:
            return
        kept = self._text() + b"%d %s\n" % (uptime_s, line.encode())
        while len(kept) > self._room or kept.count(b"\n") > LINES:
            kept = kept[kept.index(b"\n") + 1 :]
        self._put(kept)
        self._changes += 1

    def join(self, client, tell):
        """From now on `tick` looks at an mqtt.Client, and tells by tell(reason, lines, now_ms)."""
        self._client, self._tell = client, tell

    def tick(self, uptime_s: int, now_ms: int, is_heard: bool):
        """Note when the link is lost; after a connection, tell what was not told yet.

        And once more when the gateway is heard (is_heard: in this session it was): it may have come after the device.
        """
        client = self._client
        is_online = client.state == ONLINE
        if self._was_online and not is_online:
            self.note(uptime_s, "link: " + client.cause)
        self._was_online = is_online
        if is_online and self._sent != (client.sessions, is_heard) and self._told != self._changes:
            self._tell(self.reason, self.lines(), now_ms)
            self._sent = (client.sessions, is_heard)
            if is_heard:
                self._told = self._changes

    def lines(self) -> list:
        """The lines that are kept, oldest first."""
        return self._text().decode().split("\n")[:-1]

    def _text(self):
        return bytes(self._buffer[_HEAD_BYTES : _HEAD_BYTES + self._length()])

    def _length(self):
        return self._buffer[2] << 8 | self._buffer[3]

    def _put(self, text):
        self._buffer[:_HEAD_BYTES] = _MAGIC + len(text).to_bytes(2, "big") + bytes(4)
        self._buffer[_HEAD_BYTES : _HEAD_BYTES + len(text)] = text
        self._buffer[4:_HEAD_BYTES] = self._crc().to_bytes(4, "big")

    def _crc(self):
        return crc32(self._text(), crc32(bytes(self._buffer[:4]))) & 0xFFFFFFFF

    def _is_valid(self):
        is_whole = bytes(self._buffer[:2]) == _MAGIC and self._length() <= self._room
        return is_whole and int.from_bytes(bytes(self._buffer[4:_HEAD_BYTES]), "big") == self._crc()


def _clean(text, most):
    """Printable ASCII, cut."""
    return "".join([char if " " <= char <= "~" else "?" for char in text[:most]])

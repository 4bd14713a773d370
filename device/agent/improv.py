"""Improv over a serial port: a browser or a gateway brings a board Wi-Fi settings. It joins no network, keeps nothing.

Octets in, octets out; who calls it does what is asked and says how it ended. Rules:
  1. A frame is "IMPROV", version 1, type, length, data, checksum: the sum of all octets before it, modulo 256. Octets
     between frames are somebody else's; one of 0x03 there is Ctrl-C and stays one. Half a frame is forgotten after
     FRAME_MS.
  2. One thing is asked at a time; what comes before it has ended is refused.
  3. What a Wi-Fi network could not have as its name or password is refused here, with nothing asked.
Source: improv-wifi.com, "Improv via Serial"; IEEE 802.11-2020, 9.4.2.2 and J.4 (lengths of name and passphrase).
"""

from . import ticks
from .cbor import const

STATE, ERROR, COMMAND, RESULT = const(1), const(2), const(3), const(4)  # types
READY, JOINING, JOINED = const(2), const(3), const(4)  # states
WIFI, ASK_STATE, ASK_INFO, SCAN = const(1), const(2), const(3), const(4)  # commands
NONE, INVALID, UNKNOWN, NOT_JOINED, BUSY = const(0), const(1), const(2), const(3), const(0xFF)  # errors

FRAME_MS = const(1000)
URL_MAX_BYTES = const(200)
HEADER = b"IMPROV\x01"
_HEAD_BYTES = const(9)
_TEXTS_MAX_BYTES = const(253)
_CTRL_C = const(3)


def encode(kind: int, data: bytes) -> bytes:
    """A frame of a type with at most 255 bytes of data, and the line feed that ends it."""
    frame = HEADER + bytes((kind, len(data))) + data
    return frame + bytes((sum(frame) & 0xFF, 10))


def encode_command(command: int, texts=()) -> bytes:
    """A command's frame, with texts as `join_texts` has them; what a client sends."""
    data = join_texts(texts)
    return encode(COMMAND, bytes((command, len(data))) + data)


def join_texts(texts) -> bytes:
    """Each text in UTF-8 behind its length. Raises ValueError: together more than 253 bytes."""
    encoded = [text.encode() for text in texts]
    size = sum(map(len, encoded)) + len(encoded)
    if size > _TEXTS_MAX_BYTES:
        raise ValueError("texts: got " + str(size) + " bytes with their lengths, wanted 253 at most")
    return b"".join(bytes((len(text),)) + text for text in encoded)


def split_texts(data) -> list:
    """The texts of a command's or result's data: command, length, texts. Raises ValueError: it is not whole."""
    at, texts = 2, []
    if len(data) < 2 or data[1] != len(data) - 2:
        raise ValueError("texts: got another length than that of the data")
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            raise ValueError("texts: got one that is cut")
        texts.append(str(bytes(data[at + 1 : end]), "utf-8"))
        at = end
    return texts


class Frames:
    """Finds frames among octets that come one by one.

    is_between: the last octet belongs to no frame.
    """

    def __init__(self):
        self._buffer = bytearray(_HEAD_BYTES + 256)
        self._count = self._last_ms = 0
        self.is_between = True

    def take(self, octet: int, now_ms: int):
        """(type, data) of the frame that this octet ends, (0, b"") where its checksum is wrong, or None: not ended."""
        if self._count and ticks.diff(now_ms, self._last_ms) > FRAME_MS:
            self._count = 0
        self._last_ms = now_ms
        count = self._count
        if count < len(HEADER) and octet != HEADER[count]:
            count = 0
        self.is_between = count < len(HEADER) and octet != HEADER[count]
        if self.is_between:
            self._count = 0
            return None
        self._buffer[count] = octet
        self._count = count = count + 1
        if count < _HEAD_BYTES or count < _HEAD_BYTES + 1 + self._buffer[_HEAD_BYTES - 1]:
            return None
        self._count = 0
        if sum(memoryview(self._buffer)[: count - 1]) & 0xFF != octet:
            return 0, b""
        return self._buffer[7], bytes(memoryview(self._buffer)[_HEAD_BYTES : count - 1])


class Improv:
    """A board's side.

    asked: None, or what a client wants now: (WIFI, name, password) or (SCAN,).
    """

    def __init__(self, firmware: str, version: str, chip: str, name: str):
        """What the board says of itself."""
        self.asked = None
        self._about = firmware, version, chip, name
        self._frames = Frames()
        self._url = ""
        self._is_joined = False

    def receive(self, octets, now_ms: int) -> bytes:
        """What to answer to octets of the port, b"" for nothing.

        Raises:
            KeyboardInterrupt: Ctrl-C came, and not as a part of a frame; what follows it in octets is lost.
        """
        out = b""
        for octet in octets:
            frame = self._frames.take(octet, now_ms)
            if frame:
                out += self._answer(frame[0], frame[1])
            elif octet == _CTRL_C and self._frames.is_between:
                raise KeyboardInterrupt
        return out

    def joined(self, url: str = "") -> bytes:
        """The network is joined, and kept where it was asked for.

        url: the gateway's page, where a client goes next; one of more than URL_MAX_BYTES is left out.
        """
        self._is_joined, self._url = True, url if len(url.encode()) <= URL_MAX_BYTES else ""
        return self._end(WIFI, self._state() + self._result(WIFI, (self._url,)))

    def not_joined(self) -> bytes:
        """The network that was asked for could not be joined; the board is where it was."""
        return self._end(WIFI, _error(NOT_JOINED) + self._state())

    def scanned(self, networks) -> bytes:
        """networks: (name, signal in dBm, needs a password) of each."""
        found = [self._result(SCAN, (name, str(dbm), "YES" if has else "NO")) for name, dbm, has in networks]
        return self._end(SCAN, b"".join(found) + self._result(SCAN, ()))

    def _end(self, command: int, out: bytes) -> bytes:
        """out, if that is what was asked."""
        if self.asked is None or self.asked[0] != command:
            return b""
        self.asked = None
        return out

    def _answer(self, kind: int, data: bytes) -> bytes:
        if kind == 0:
            return _error(INVALID)
        if kind != COMMAND:
            return b""
        try:
            texts = split_texts(data)
        except ValueError:
            return _error(INVALID)
        command = data[0]
        if command == ASK_STATE:
            url = self._result(ASK_STATE, (self._url,)) if self._is_joined else b""
            return _error(NONE) + self._state() + url
        if command == ASK_INFO:
            return _error(NONE) + self._result(ASK_INFO, self._about)
        if command not in (WIFI, SCAN):
            return _error(UNKNOWN)
        if self.asked:
            return _error(BUSY)
        if command == WIFI and not (len(texts) == 2 and is_network(texts[0], texts[1])):
            return _error(INVALID)
        if command == SCAN:
            self.asked = (SCAN,)
            return b""  # clients scan again while they show why the last try failed
        self.asked = WIFI, texts[0], texts[1]
        return _error(NONE) + _line(encode(STATE, bytes((JOINING,))))

    def _state(self) -> bytes:
        return _line(encode(STATE, bytes((JOINED if self._is_joined else READY,))))

    def _result(self, command: int, texts) -> bytes:
        data = join_texts(texts)
        return _line(encode(RESULT, bytes((command, len(data))) + data))


def is_network(name: str, password: str) -> bool:
    """Whether a Wi-Fi network can have this name, 1..32 bytes, and password, none or 8..63 characters of ASCII."""
    has_control = any(ord(char) < 32 or ord(char) == 127 for char in name + password)
    is_ascii = len(password.encode()) == len(password)
    has_length = 1 <= len(name.encode()) <= 32 and (not password or 8 <= len(password) <= 63)
    return has_length and is_ascii and not has_control


def _error(number: int) -> bytes:
    return _line(encode(ERROR, bytes((number,))))


def _line(frame: bytes) -> bytes:
    """A frame on a line of its own, as clients look for it: something may have been printed before."""
    return b"\n" + frame

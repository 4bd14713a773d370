"""Shows which device this is (WIRE.md, section 14): blinks for some seconds when it is asked, and then rests.

Rules:
  1. At most MAX_S seconds a time, and no other time before REST_MS are over: whoever asks all day drains no battery.
  2. What asks is not signed, so nothing else comes of it.
"""

from . import cbor, ticks
from .cbor import const
from .errors import WireError
from .fields import check_int, take_fields
from .wire import SMALL_MAX_BYTES, encode_checked

MAX_S = const(30)
HALF_MS = const(250)
REST_MS = const(5000)


def encode_identify(seconds: int) -> bytes:
    """Message on tinyren/ID/identify: blink for so many seconds, 1..30 -> bytes."""
    return encode_checked([seconds], decode_identify)


def decode_identify(frame: bytes) -> int:
    """Message on tinyren/ID/identify -> seconds. Raises WireError."""
    (seconds,) = take_fields(cbor.decode(frame, SMALL_MAX_BYTES), "identify", (int,))
    return check_int(seconds, "seconds", 1, MAX_S)


class Light:
    """is_on, and is_done once it may be asked again."""

    def __init__(self, switch, seconds: int, now_ms: int):
        """switch: function(is_on), which it calls at each change. Begins to blink."""
        self.is_done = self.is_on = False
        self._switch = switch
        self._halves = seconds * 1000 // HALF_MS
        self._due_ms = now_ms
        self.tick(now_ms)

    def tick(self, now_ms: int):
        """Do what is due."""
        while self._halves and ticks.diff(now_ms, self._due_ms) >= 0:
            self._halves -= 1
            self.is_on = bool(self._halves) and not self.is_on
            self._switch(self.is_on)
            self._due_ms = ticks.add(self._due_ms, HALF_MS if self._halves else REST_MS)
        self.is_done = not self._halves and ticks.diff(now_ms, self._due_ms) >= 0

    def ms_left(self, now_ms: int) -> int:
        """Milliseconds until tick has something to do, at least 0."""
        return REST_MS if self.is_done else max(0, ticks.diff(self._due_ms, now_ms))


def begin(light, switch, frame, now_ms: int):
    """Answer an identify message: the Light that blinks.

    Args:
        light: the one before, or None. switch: of Light; None on a device without a light.
    Raises:
        WireError: it is none, there is no light, or it is too soon.
    """
    seconds = decode_identify(frame)
    if switch is None or (light and not light.is_done):
        raise WireError("malformed", "identify: got one, wanted a light that has rested")
    return Light(switch, seconds, now_ms)

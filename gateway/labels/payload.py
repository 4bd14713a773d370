"""What a label says, pure: packed, written and read back; refuses whatever is not exactly a label of this version.

    version 4 bits | capabilities 12 | board 32 | device 160 | set-up code 40 | CRC-16, 264 bits, most significant first

is 33 octets, "TR:" and 55 characters of Base38: 58 characters of QR's alphanumeric alphabet, which a version 3-M code
holds. `device` is the device id, that is the address of the device's key: who has read the label can tell whether what
answers is the device it was made for. `board` is the first four octets of SHA-256 of the board's name.

The same as a URL is HTTPS://HOST/B/ and the 55 characters, in upper case so that QR's alphanumeric mode holds it: a
phone's own camera opens the gateway's page by it. HOST is at most 56 characters, version 5-M at most; for 24 and fewer
version 4-M does.

The manual code beside it is for hands: 15 bits of SHA-256 of the device id, to find it among those of a site, and the
whole set-up code, in Crockford's base 32 with a check symbol behind, XXXX-XXXX-XXXX. The check is the sum of 2^i *
symbol over GF(32), i the symbol's place from 1, so it finds every wrong symbol and every two that changed places.

Sources: CRC-16/IBM-3740 ("CCITT-FALSE"); Crockford, "Base 32"; GF(32) by x^5 + x^2 + 1; RFC 3986, 6.2.2.1 (scheme and
host may be in upper case, a path may not change).
"""

import binascii
import hashlib
import re
from dataclasses import dataclass
from enum import IntFlag

from gateway.labels import base38

PREFIX = "TR:"
PATH = "/B/"
VERSION = 1
OCTETS = 33
CHARACTERS = 58
CODE_BITS = 40
_HINT_BITS = 15
_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {symbol: value for value, symbol in enumerate(_SYMBOLS)} | {"O": 0, "I": 1, "L": 1}
_MANUAL_SYMBOLS = 12
_MOST_HOST = 56
_PAGE = re.compile(r"https?://([a-z0-9.-]+(?::[0-9]{1,5})?)/?", re.IGNORECASE)
_URL = re.compile(rf"https?://[^/]+{PATH}", re.IGNORECASE)


class LabelError(ValueError):
    """A text is no label, or no manual code; the message names the field, what was got and what was wanted."""


class Capabilities(IntFlag):
    """How a device can be reached before it is bound."""

    NONE = 0
    WIFI = 1
    BLUETOOTH = 2
    SERIAL = 4


@dataclass(frozen=True)
class Label:
    """board: 4 octets (`board_digest`); device: 20 octets; code: the set-up code, 0..2^40 - 1, not shown."""

    device: bytes
    board: bytes
    code: int
    capabilities: Capabilities = Capabilities.NONE

    def __repr__(self) -> str:
        return f"Label(device={self.device.hex()}, board={self.board.hex()}, capabilities={self.capabilities!r})"


def board_digest(name: str) -> bytes:
    """What stands for a board's name on a label, 4 octets."""
    return hashlib.sha256(name.encode()).digest()[:4]


def encode(label: Label) -> str:
    """The text of the QR code, 58 characters."""
    head = VERSION << 12 | label.capabilities
    body = head.to_bytes(2, "big") + label.board + label.device + label.code.to_bytes(CODE_BITS // 8, "big")
    return PREFIX + base38.encode(body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big"))


def encode_url(label: Label, page: str) -> str:
    """The text of a QR code that opens a gateway's page, `page` as `check_page` gives it."""
    return page + PATH + encode(label).removeprefix(PREFIX)


def check_page(text: str) -> str:
    """Where phones find the gateway's page, in upper case and without a slash behind: "HTTPS://GW.LOCAL:8443".

    Raises:
        LabelError: it has a path, signs that QR's alphanumeric mode has not, or too many.
    """
    found = _PAGE.fullmatch(text)
    port = found[1].partition(":")[2] if found else ""
    if found is None or len(found[1]) > _MOST_HOST or not 0 < int(port or 1) < 1 << 16:
        wanted = f"wanted https://HOST or https://HOST:PORT, a name or IPv4 address, at most {_MOST_HOST} characters"
        raise LabelError(f"url: got {text!r}, {wanted}")
    return text.rstrip("/").upper()


def without_page(text: str) -> str:
    """What a label says, whether or not a gateway's page is in front of it; every other text as it is."""
    return _URL.sub(PREFIX, text, count=1) if _URL.match(text) else text


def decode(text: str) -> Label:
    """The label of a QR code's text, that of a URL too.

    Raises:
        LabelError: it is none, or one of another version.
    """
    text = without_page(text)
    if not text.startswith(PREFIX) or len(text) != CHARACTERS:
        raise LabelError(f"label: got {len(text)} characters, wanted {CHARACTERS} that start with {PREFIX}")
    try:
        octets = base38.decode(text.removeprefix(PREFIX))
    except base38.Base38Error as error:
        raise LabelError(f"label: {error}: it was read wrong, read it again") from error
    body, check = octets[:-2], int.from_bytes(octets[-2:], "big")
    if binascii.crc_hqx(body, 0xFFFF) != check:
        raise LabelError("label: its check does not fit: it was read wrong, read it again")
    version, capabilities = body[0] >> 4, int.from_bytes(body[:2], "big") & 0xFFF
    if version != VERSION:
        raise LabelError(f"label version: got {version}, wanted {VERSION}: it is for another release of tinyren")
    if capabilities & ~int(Capabilities.WIFI | Capabilities.BLUETOOTH | Capabilities.SERIAL):
        raise LabelError(f"capabilities: got {capabilities:#x}, wanted none but those of version {VERSION}")
    return Label(body[6:26], body[2:6], int.from_bytes(body[26:], "big"), Capabilities(capabilities))


def manual_code(label: Label) -> str:
    """The code for hands, as "7ZK3-0Q9M-HA2V"."""
    number = hint(label.device) << CODE_BITS | label.code
    values = [number >> 5 * place & 31 for place in reversed(range(_MANUAL_SYMBOLS - 1))]
    text = "".join(_SYMBOLS[value] for value in [*values, _check(values)])
    return "-".join(text[at : at + 4] for at in range(0, _MANUAL_SYMBOLS, 4))


def read_manual_code(text: str) -> tuple[int, int]:
    """(hint of the device, set-up code) of what somebody typed; case, spaces, hyphens, O, I and L do not matter.

    Raises:
        LabelError: it is no such code, or mistyped.
    """
    symbols = text.upper().replace("-", "").replace(" ", "")
    if len(symbols) != _MANUAL_SYMBOLS:
        raise LabelError(f"code: got {len(symbols)} letters and digits, wanted {_MANUAL_SYMBOLS}")
    for place, symbol in enumerate(symbols, 1):
        if symbol not in _VALUES:
            raise LabelError(f"code, place {place}: got {symbol!r}, wanted a digit or a letter but U")
    *values, check = (_VALUES[symbol] for symbol in symbols)
    if _check(values) != check:
        raise LabelError("code: mistyped: its last letter does not fit; compare it with the label")
    number = 0
    for value in values:
        number = number << 5 | value
    return number >> CODE_BITS, number & (1 << CODE_BITS) - 1


def hint(device: bytes) -> int:
    """15 bits by which a site finds the device that a manual code is of."""
    return int.from_bytes(hashlib.sha256(device).digest()[:2], "big") >> 16 - _HINT_BITS


def _check(values: list[int]) -> int:
    """Sum of 2^i * value over GF(32), i from 1."""
    total = 0
    for value in reversed(values):
        total = _double(total ^ value)
    return total


def _double(value: int) -> int:
    return value << 1 ^ (0b100101 if value & 16 else 0)

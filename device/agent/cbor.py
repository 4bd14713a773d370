"""Deterministic CBOR for the subset that the wire uses; refuses every other well-formed CBOR.

The subset: integers of 64 bits, byte strings, text strings, arrays, maps with keys of the first three kinds, and tag 18
(COSE_Sign1). Not in it: floats, simple values, other tags, indefinite lengths.

Rules (RFC 8949, 4.2.1): shortest heads, definite lengths, map keys in bytewise order of their encodings, no key twice.
A decoder that accepts only one encoding of a value lets its bytes stand for it. Nesting and size are bounded.
"""

from .errors import CBORError, LocalError

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


MAX_DEPTH = const(4)
TAG_SIGN1 = const(18)

_UINT = const(0)
_NINT = const(1)
_BYTES = const(2)
_TEXT = const(3)
_ARRAY = const(4)
_MAP = const(5)
_TAG = const(6)
_NAMES = ("integer", "negative integer", "byte string", "text string", "array", "map", "tag", "float or simple value")


class Sign1:
    """What tag 18 stands before: `items` is the tagged array (list)."""

    def __init__(self, items):
        self.items = items


def encode(value) -> bytes:
    """Encode int, bytes-like, str, list or tuple, dict, Sign1 -> bytes.

    Raises:
        LocalError: another type, or an integer outside -2**64 .. 2**64 - 1.
    """
    out = bytearray()
    _encode(out, value)
    return bytes(out)


def _encode(out, value):
    kind = type(value)
    if kind is int:
        if value >= 0:
            _put_head(out, _UINT, value)
        else:
            _put_head(out, _NINT, -1 - value)
    elif kind in (bytes, bytearray, memoryview):
        _put_head(out, _BYTES, len(value))
        out.extend(value)
    elif kind is str:
        text = value.encode()
        _put_head(out, _TEXT, len(text))
        out.extend(text)
    elif kind in (list, tuple):
        _put_head(out, _ARRAY, len(value))
        for item in value:
            _encode(out, item)
    elif kind is dict:
        _put_head(out, _MAP, len(value))
        for key, item in sorted((encode(key), item) for key, item in value.items()):
            out.extend(key)
            _encode(out, item)
    elif kind is Sign1:
        _put_head(out, _TAG, TAG_SIGN1)
        _encode(out, value.items)
    else:
        raise LocalError(f"value: got {kind.__name__}, wanted int, bytes, str, list, dict or Sign1")


def _put_head(out, major, argument):
    major <<= 5
    if argument < 24:
        out.append(major | argument)
        return
    if argument < 256:
        out.append(major | 24)
        out.append(argument)
        return
    for bits in range(1, 4):
        size_bytes = 1 << bits
        if argument < 1 << (8 * size_bytes):
            out.append(major | (24 + bits))
            out.extend(argument.to_bytes(size_bytes, "big"))
            return
    raise LocalError("integer: got more than 64 bits, wanted at most 64")


def decode(data, max_bytes: int):
    """Decode one item that fills `data` (bytes-like, read only) -> int, bytes, str, list, dict or Sign1.

    Raises:
        CBORError: reason `too_large` (longer than max_bytes; nothing was parsed), `malformed` (not CBOR, or outside the
            subset) or `not_deterministic`.
    """
    if len(data) > max_bytes:
        raise CBORError("too_large", 0, f"{len(data)} bytes", f"at most {max_bytes}")
    data = bytes(data)
    value, at = _decode(data, 0, 0)
    if at != len(data):
        raise CBORError("malformed", at, f"{len(data) - at} trailing bytes", "the end")
    return value


def _decode(data, at, depth):
    start = at
    major, argument, at = _head(data, at)
    if major == _UINT:
        return argument, at
    if major == _NINT:
        return -1 - argument, at
    if major == _TAG:
        if argument != TAG_SIGN1 or depth:
            raise CBORError("malformed", start, f"tag {argument}", "tag 18, outermost")
        items, at = _decode(data, at, depth + 1)
        if type(items) is not list:
            raise CBORError("malformed", start + 1, "no array", "the tagged array")
        return Sign1(items), at
    if argument > len(data) - at:
        raise CBORError("malformed", start, f"{_NAMES[major]} of length {argument}", "at most what follows")
    if major == _BYTES:
        return data[at : at + argument], at + argument
    if major == _TEXT:
        return _text(data, at, argument), at + argument
    if depth == MAX_DEPTH:
        raise CBORError("malformed", start, f"nesting over {MAX_DEPTH}", "less")
    if major == _ARRAY:
        return _array(data, at, argument, depth)
    return _map(data, at, argument, depth)


def _head(data, at):
    """Read a head -> (major type, argument, offset behind it)."""
    if at >= len(data):
        raise CBORError("malformed", at, "the end", "a head")
    major, info = data[at] >> 5, data[at] & 31
    if major > _TAG:
        raise CBORError("malformed", at, _NAMES[major], "another type")
    if info < 24:
        return major, info, at + 1
    if info == 31 and _BYTES <= major <= _MAP:
        raise CBORError("not_deterministic", at, "indefinite length", "a definite length")
    if info > 27:
        raise CBORError("malformed", at, f"additional information {info}", "at most 27")
    size_bytes = 1 << (info - 24)
    end = at + 1 + size_bytes
    if end > len(data):
        raise CBORError("malformed", at, "a cut head", f"{size_bytes} bytes of argument")
    argument = int.from_bytes(data[at + 1 : end], "big")
    if argument < (24 if size_bytes == 1 else 1 << (4 * size_bytes)):
        raise CBORError("not_deterministic", at, f"{argument} in {size_bytes} bytes", "the shortest head")
    return major, argument, end


def _text(data, at, size_bytes):
    try:
        return str(data[at : at + size_bytes], "utf-8")
    except UnicodeError:
        raise CBORError("malformed", at, "text that is not UTF-8", "UTF-8") from None


def _array(data, at, count, depth):
    items = []
    for _ in range(count):
        item, at = _decode(data, at, depth + 1)
        items.append(item)
    return items, at


def _map(data, at, count, depth):
    items = {}
    last = b""
    for _ in range(count):
        start = at
        key, at = _decode(data, at, depth + 1)
        if type(key) in (list, dict):
            raise CBORError("malformed", start, "a key that is an array or map", "integer, bytes or text")
        encoded = data[start:at]
        if encoded <= last:
            raise CBORError("not_deterministic", start, "a key at or before the last", "ascending keys, each once")
        last = encoded
        items[key], at = _decode(data, at, depth + 1)
    return items, at

"""Unsigned varints (multiformats, protobuf): 7 bits a byte, low ones first; refuses more than 9 bytes."""

from collections.abc import Callable

MAX_BYTES = 9


def encode_varint(value: int) -> bytes:
    """1 to 9 bytes of a number of at most 63 bits."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at an offset, and the offset behind it.

    Raises:
        ValueError: cut, longer than 9 bytes, or not the shortest form.
    """
    value = 0
    for count in range(MAX_BYTES):
        if at + count >= len(data):
            raise ValueError(f"varint at offset {at}: the data end in it")
        byte = data[at + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if byte == 0 and count:
                raise ValueError(f"varint at offset {at}: not the shortest form")
            return value, at + count + 1
    raise ValueError(f"varint at offset {at}: longer than {MAX_BYTES} bytes")


def read_length(read: Callable[[int], bytes]) -> int | None:
    """The number that a stream goes on with; None at its end. ValueError: as read_varint."""
    data = read(1)
    while data and data[-1] & 0x80 and (byte := read(1)) and len(data) <= MAX_BYTES:
        data += byte
    return read_varint(data, 0)[0] if data else None

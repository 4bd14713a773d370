"""How evidence files read, item by item and as streams; refuses anything that is not exactly what `evidence` writes.

A reader holds one chunk at a time, whatever a file claims: lengths are bounded before they are believed.
Source: RFC 8742 (CBOR sequences), RFC 8949 4.2.1 (heads); the items are in `evidence`'s docstring.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2

from device.agent import cbor
from gateway.oracle.availability import BEACON_BYTES, HASH_BYTES, Window

MAX_COSE_BYTES = 4096
MAX_WINDOWS_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 16
_PAIR = 0x82
ARGUMENT_BYTES = {24: 1, 25: 2, 26: 4, 27: 8}


class EvidenceDamaged(Exception):
    """A file holds something else than whole items. `offset`: where the first such byte lies."""

    def __init__(self, path: Path, offset: int, what: str) -> None:
        super().__init__(f"{path}: offset {offset}: {what}")
        self.offset = offset


@dataclass(frozen=True)
class EpochWindows:
    """A windows file: `count` windows of window_ms, those that were opened; once closed, when and at which block."""

    epoch: int
    count: int
    window_ms: int
    opened_ms: int
    windows: tuple[Window, ...]
    closed_ms: int | None = None
    block: int | None = None

    @property
    def is_closed(self) -> bool:
        return self.closed_ms is not None


def encode_item(value: Any) -> bytes:
    """Deterministic CBOR of one item of a windows file."""
    return bytes(cbor.encode(value))


def encode_heartbeat(receipt_ms: int, cose: bytes) -> bytes:
    """CBOR of [receipt time in ms, COSE_Sign1 bytes].

    Raises:
        ValueError: more than MAX_COSE_BYTES, which no reader would take.
    """
    if len(cose) > MAX_COSE_BYTES:
        raise ValueError(f"COSE_Sign1: {len(cose)} bytes, at most {MAX_COSE_BYTES}")
    return b"\x82" + head(0x00, receipt_ms) + head(0x40, len(cose)) + cose


def read(path: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Each (receipt time in ms, COSE_Sign1 bytes) of a heartbeats file from offset `start`, as a stream.

    Raises:
        EvidenceDamaged: after the last whole item, if anything follows it.
    """
    for _, receipt_ms, cose in walk(path, start):
        yield receipt_ms, cose


def walk(path: Path, start: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """As `read`, each item preceded by the offset behind it."""
    with path.open("rb") as file:
        file.seek(start)
        offset, chunk, at = start, b"", 0
        while True:
            try:
                found = _parse(chunk, at)
            except ValueError as error:
                raise EvidenceDamaged(path, offset + at, str(error)) from None
            if found is not None:
                receipt_ms, cose, at = found
                yield offset + at, receipt_ms, cose
                continue
            more = file.read(_CHUNK_BYTES)
            if not more:
                break
            offset, chunk, at = offset + at, chunk[at:] + more, 0
    if at < len(chunk):
        raise EvidenceDamaged(path, offset + at, f"a torn item of {len(chunk) - at} bytes")


def whole_bytes(items: Iterator[tuple[Any, ...]]) -> int:
    """Offset behind the last whole item of a walk."""
    end = 0
    try:
        for item in items:
            end = item[0]
    except EvidenceDamaged:
        pass
    return end


def walk_objects(path: Path) -> Iterator[tuple[int, Any]]:
    """Each item of a windows file, preceded by the offset behind it.

    Raises:
        EvidenceDamaged: after the last whole item, if anything follows it, or if the file is over MAX_WINDOWS_BYTES.
    """
    with path.open("rb") as file:
        data = io.BytesIO(file.read(MAX_WINDOWS_BYTES + 1))
    size = len(data.getbuffer())
    if size > MAX_WINDOWS_BYTES:
        raise EvidenceDamaged(path, MAX_WINDOWS_BYTES, "too large for a windows file")
    decoder = cbor2.CBORDecoder(data)
    while (start := data.tell()) < size:
        try:
            value = decoder.decode()
        except Exception as error:  # cbor2 raises its own errors and, on hostile bytes, those of what it calls
            raise EvidenceDamaged(path, start, f"no whole item ({type(error).__name__})") from None
        yield data.tell(), value


def read_windows(path: Path) -> EpochWindows:
    """The whole windows file of an epoch, closed or not.

    Raises:
        EvidenceDamaged: an item is missing, torn, of another shape, or behind the closing one.
    """
    items = list(walk_objects(path))
    try:
        header = _integers(items[0][1], ("epoch", "windows", "window_ms", "opened_ms"))
    except (IndexError, ValueError) as error:
        raise EvidenceDamaged(path, 0, f"no header ({error})") from None
    closing: list[int] | list[None] = [None, None]
    windows = []
    for (start, _), (_, item) in zip(items, items[1:], strict=False):
        try:
            if closing != [None, None]:
                raise ValueError("an item behind the closing one")
            if isinstance(item, dict):
                closing = _integers(item, ("closed_ms", "block"))
            else:
                windows.append(_window(item))
        except ValueError as error:
            raise EvidenceDamaged(path, start, str(error)) from None
    epoch, count, window_ms, opened_ms = header
    return EpochWindows(epoch, count, window_ms, opened_ms, tuple(windows), closing[0], closing[1])


def _integers(item: Any, names: tuple[str, ...]) -> list[int]:
    if not isinstance(item, dict) or set(item) != set(names):
        raise ValueError(f"a map of {', '.join(names)} wanted")
    values = [item[name] for name in names]
    if not all(type(value) is int and value >= 0 for value in values):
        raise ValueError(f"{', '.join(names)}: integers wanted")
    return values


def _window(item: Any) -> Window:
    wanted = [int, int, int, bytes, bytes]
    if not isinstance(item, list) or [type(value) for value in item] != wanted:
        raise ValueError("[window, opened_ms, block, block hash, beacon] wanted")
    if len(item[3]) != HASH_BYTES or len(item[4]) != BEACON_BYTES:
        raise ValueError(f"block hash of {len(item[3])} and beacon of {len(item[4])} bytes, wanted 32 and 14")
    return Window(*item)


def head(major: int, argument: int) -> bytes:
    """How an item of CBOR begins: its major type (0x00, 0x20, ..) and value or length."""
    if argument < 24:
        return bytes([major | argument])
    for information, size in ARGUMENT_BYTES.items():
        if argument >> (8 * size) == 0:
            return bytes([major | information]) + argument.to_bytes(size, "big")
    raise ValueError(f"integer {argument}, at most 64 bits wanted")


def _parse(data: bytes, at: int) -> tuple[int, bytes, int] | None:
    """The item at an offset and the offset behind it; None: the data end before it does; ValueError: none is there."""
    if at >= len(data):
        return None
    if data[at] != _PAIR:
        raise ValueError(f"byte 0x{data[at]:02x}, an array of two wanted")
    time = parse_head(data, at + 1, 0x00)
    size = time and parse_head(data, time[1], 0x40)
    if not time or not size:
        return None
    cose_bytes, start = size
    if cose_bytes > MAX_COSE_BYTES:
        raise ValueError(f"COSE_Sign1 of {cose_bytes} bytes, at most {MAX_COSE_BYTES}")
    if start + cose_bytes > len(data):
        return None
    return time[0], data[start : start + cose_bytes], start + cose_bytes


def parse_head(data: bytes, at: int, major: int) -> tuple[int, int] | None:
    """(value or length, offset behind it) of a head; None: the data end before it does; ValueError: none is there."""
    if at >= len(data):
        return None
    information = data[at] ^ major
    if information < 24:
        return information, at + 1
    size = ARGUMENT_BYTES.get(information)
    if size is None:
        raise ValueError(f"byte 0x{data[at]:02x}, a definite {'byte string' if major else 'integer'} wanted")
    end = at + 1 + size
    if end > len(data):
        return None
    argument = int.from_bytes(data[at + 1 : end], "big")
    if argument < (24 if size == 1 else 1 << (4 * size)):
        raise ValueError(f"{argument} in {size} bytes, the shortest head wanted")
    return argument, end

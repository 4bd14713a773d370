"""CAR v1 archives of graphs, written and read as streams; refuses sections that are cut, too large, or of another name.

A header {"roots": [CIDs], "version": 1} in dag-cbor, then sections of CID and block, each behind its length as a varint
(ipld.io/specs/transport/car/carv1). Written depth first, each block once, as other implementations export a graph.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from gateway.storage import dag_cbor
from gateway.storage.cid import CID_BYTES, MAX_BLOCK_BYTES, cid_of, codec_of, decode_any, encode_text, read_cid
from gateway.storage.dag import Get, walk
from gateway.storage.errors import Refused
from gateway.storage.varint import encode_varint, read_length

MAX_HEADER_BYTES = 64 * 1024
MAX_ROOTS = 256


class Source(Protocol):
    """What a CAR is read from."""

    def read(self, size: int, /) -> bytes: ...


def write_car(get: Get, roots: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a CAR of these graphs, a section at a time; what `get` and `walk` raise."""
    roots = list(roots)
    header = dag_cbor.encode_node({"roots": [dag_cbor.Link(encode_text(cid)) for cid in roots], "version": 1})
    yield encode_varint(len(header)) + header
    seen: set[bytes] = set()
    for root in roots:
        for cid in walk(get, root):
            if cid not in seen:
                seen.add(cid)
                block = get(cid)
                yield encode_varint(len(cid) + len(block)) + cid + block


def read_car(source: Source) -> tuple[list[bytes], Iterator[tuple[bytes, bytes]]]:
    """(the roots that a CAR claims, its blocks as (CID, bytes), each compared with its name as it comes).

    Raises:
        Refused: at once for the header, later for a section; blocks that came before it are good.
    """
    header = _section(source, MAX_HEADER_BYTES)
    if header is None:
        raise Refused("CAR: got nothing, wanted a header")
    try:
        value = dag_cbor.decode_node(header)
    except ValueError as error:
        raise Refused(f"CAR header: {error}") from None
    roots = value.get("roots") if isinstance(value, dict) else None
    if not isinstance(roots, list) or not all(isinstance(root, dag_cbor.Link) for root in roots):
        raise Refused("CAR header: wanted roots that are links")
    if value.get("version") != 1 or set(value) != {"roots", "version"} or len(roots) > MAX_ROOTS:
        raise Refused(f"CAR header: got version {value.get('version')!r}, {len(roots)} roots; wanted 1, {MAX_ROOTS}")
    return [decode_any(root.cid) for root in roots], _blocks(source)


def _blocks(source: Source) -> Iterator[tuple[bytes, bytes]]:
    while (section := _section(source, CID_BYTES + MAX_BLOCK_BYTES)) is not None:
        try:
            cid, start = read_cid(section)
        except ValueError as error:
            raise Refused(f"CAR section: {error}") from None
        block = section[start:]
        if cid_of(block, codec_of(cid)) != cid:
            raise Refused(f"CAR section {encode_text(cid)}: got bytes of another name")
        yield cid, block


def _section(source: Source, most: int) -> bytes | None:
    """What the next length stands before; None at the end."""
    try:
        size = read_length(source.read)
    except ValueError as error:
        raise Refused(f"CAR: {error}") from None
    if size is None:
        return None
    if not 0 < size <= most:
        raise Refused(f"CAR: got a section of {size} bytes, wanted 1 to {most}")
    section = _read_all(source.read, size)
    if len(section) != size:
        raise Refused(f"CAR: cut within a section, {len(section)} of {size} bytes")
    return section


def _read_all(read: Callable[[int], bytes], size: int) -> bytes:
    parts, left = [], size
    while left and (part := read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)

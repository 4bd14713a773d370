"""Graphs of blocks from a root: walk them, read files and folders; fetches nothing, stores nothing, trusts no number.

`get` gives a block's bytes, already compared with its name. What a graph claims is bounded before it is followed: depth
by MAX_DEPTH, a file by the sizes that each of its nodes says (unixfs), how much is written by the caller (files).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gateway.storage import dag_cbor, unixfs
from gateway.storage.cid import DAG_PB, RAW, codec_of, decode_any, encode_text
from gateway.storage.errors import Refused
from gateway.storage.streams import Chunks

MAX_DEPTH = 64
Get = Callable[[bytes], bytes]
Put = Callable[[bytes, int], bytes]


class Added(NamedTuple):
    """A root; `bytes` of its files; `blocks` in its layout, those that come twice counted twice."""

    cid: str
    bytes: int
    blocks: int


class Entry(NamedTuple):
    """What a folder says of one name; `tree_bytes`: of all blocks below, by the word of who made the folder."""

    name: str
    cid: str
    tree_bytes: int


def walk(get: Get, root: bytes) -> Iterator[bytes]:
    """The CIDs of a graph, each once, parents first, in the order of links; raw blocks are not read.

    Raises:
        Refused: a block is no node of its codec, or deeper than MAX_DEPTH; and what `get` raises.
    """
    seen: set[bytes] = set()
    waiting = [(root, 0)]
    while waiting:
        cid, depth = waiting.pop()
        if cid in seen:
            continue
        seen.add(cid)
        yield cid
        if codec_of(cid) != RAW:
            if depth == MAX_DEPTH:
                raise Refused(f"graph of {encode_text(root)}: deeper than {MAX_DEPTH}")
            waiting += [(link, depth + 1) for link in reversed(links_of(cid, get(cid)))]


def links_of(cid: bytes, block: bytes) -> list[bytes]:
    """CIDs that a block links to; Refused if it is no node of its codec."""
    with _refusing(cid):
        if codec_of(cid) == DAG_PB:
            return unixfs.links_of(block)
        return [] if codec_of(cid) == RAW else list(dag_cbor.links_of(dag_cbor.decode_node(block)))


def read_file(get: Get, root: bytes) -> Iterator[bytes]:
    """The bytes of a file, a leaf at a time.

    Raises:
        Refused: it is no file, or a node has another size than its parent said; and what `get` raises.
    """
    waiting: list[tuple[bytes, int | None, int]] = [(root, None, 0)]
    while waiting:
        cid, wanted_bytes, depth = waiting.pop()
        block = get(cid)
        with _refusing(cid):
            file_bytes = unixfs.size_of(cid, block)
        if wanted_bytes not in (None, file_bytes) or depth > MAX_DEPTH:
            raise Refused(f"block {encode_text(cid)}: got {file_bytes} bytes at depth {depth}, wanted {wanted_bytes}")
        if codec_of(cid) == RAW:
            yield block
            continue
        node = unixfs.decode(block)
        if node.data:
            yield node.data
        children = zip(node.links, node.sizes, strict=True)
        waiting += [(link.cid, size, depth + 1) for link, size in reversed(list(children))]


def read_folder(get: Get, cid: bytes) -> list[Entry] | None:
    """The entries of a folder in the order of names; None: it is a file. Refused: neither."""
    if codec_of(cid) == RAW:
        return None
    block = get(cid)
    if codec_of(cid) != DAG_PB:
        raise Refused(f"block {encode_text(cid)}: got a dag-cbor node, wanted a file or folder")
    with _refusing(cid):
        node = unixfs.decode(block)
    if not node.is_folder:
        return None
    return [Entry(link.name, encode_text(link.cid), link.tree_bytes) for link in node.links]


def write_file(put: Put, chunks: Iterable[bytes]) -> tuple[unixfs.Link, int, int]:
    """Lay out a stream: (link to the root, without a name; bytes; blocks)."""
    layout, stream, blocks = unixfs.Layout(), Chunks(chunks), 0
    chunk = stream.read(unixfs.CHUNK_BYTES)
    while chunk or not blocks:  # an empty file is one empty leaf
        nodes = layout.push(put(chunk, RAW), len(chunk))
        for node in nodes:
            put(node, DAG_PB)
        blocks += 1 + len(nodes)
        chunk = stream.read(unixfs.CHUNK_BYTES)
    nodes, root, file_bytes = layout.finish()
    for node in nodes:
        put(node, DAG_PB)
    return root, file_bytes, blocks + len(nodes)


def resolve(get: Get, path: str) -> bytes:
    """The CID at `CID/name/name`; Refused where a name is not there."""
    first, *names = path.removeprefix("/ipfs/").strip("/").split("/")
    cid = parse(first)
    for name in names:
        found = [entry.cid for entry in read_folder(get, cid) or [] if entry.name == name]
        if not found:
            raise Refused(f"path {path!r}: no {name!r} in {encode_text(cid)}")
        cid = decode_any(found[0])
    return cid


def parse(text: str) -> bytes:
    """The binary CID of a text that somebody typed; Refused if it is none."""
    try:
        return decode_any(text)
    except ValueError as error:
        raise Refused(str(error)) from None


@contextmanager
def _refusing(cid: bytes) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise Refused(f"block {encode_text(cid)}: {error}") from None

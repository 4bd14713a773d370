"""Files and folders as blocks: UnixFS v1 in dag-pb, encoded, decoded and laid out; reads and stores nothing itself.

The profile is part of a CID, so there is one: chunks of 256 KiB, raw leaves, CIDv1, at most 174 links a node, balanced;
a file of one chunk is that leaf. Sources: ipld.io/specs/codecs/dag-pb, specs.ipfs.tech/unixfs.

Rules for foreign nodes: fields in the order of the specification, each once; a file says the size of every child, none
is 0 and their sum is the file's, so that what a file will take is known before it is read; names of a folder are
bytewise ascending, each once, and can be names on a disk. Folders in shards (HAMT), symbolic links, and data inside
nodes with links are refused by name.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.storage.cid import DAG_PB, RAW, cid_of, codec_of, read_cid
from gateway.storage.varint import encode_varint, read_varint

CHUNK_BYTES = 256 * 1024
MAX_LINKS = 174
MAX_NODE_BYTES = 256 * 1024
PROFILE = "unixfs-v1 size-262144 links-174 raw-leaves cid-v1 balanced"
_TYPES = {0: "raw", 1: "folder", 2: "file", 3: "metadata", 4: "symbolic link", 5: "folder in shards"}
_FOLDER, _FILE = 1, 2


@dataclass(frozen=True)
class Link:
    """A dag-pb link: `tree_bytes` is the size of all blocks below, as the writer of the node says (Tsize)."""

    cid: bytes
    tree_bytes: int
    name: str = ""


@dataclass(frozen=True)
class Node:
    """A decoded file or folder node. `data`: content of a file without links. `sizes`: of a file's children."""

    is_folder: bool
    links: tuple[Link, ...]
    data: bytes
    sizes: tuple[int, ...]

    @property
    def file_bytes(self) -> int:
        return sum(self.sizes) + len(self.data)


class Layout:
    """Balanced tree over leaves as they come. `push` and `finish` give the nodes that are to be stored."""

    def __init__(self) -> None:
        self._levels: list[list[tuple[Link, int]]] = [[]]

    def push(self, leaf: bytes, size: int) -> list[bytes]:
        """One more leaf (its CID, its bytes); returns the nodes (dag-pb bytes) that it completed."""
        return self._push(0, Link(leaf, size), size)

    def finish(self) -> tuple[list[bytes], Link, int]:
        """(the last nodes, lowest first; the root; the file's bytes). There must have been a leaf."""
        nodes, height = [], 0
        while height < len(self._levels) - 1 or len(self._levels[height]) > 1:
            if self._levels[height]:
                nodes += self._close(height)
            height += 1
        ((root, file_bytes),) = self._levels[height]
        return nodes, root, file_bytes

    def _push(self, height: int, link: Link, file_bytes: int) -> list[bytes]:
        nodes = []
        if len(self._levels[height]) == MAX_LINKS:
            nodes = self._close(height)
        self._levels[height].append((link, file_bytes))
        return nodes

    def _close(self, height: int) -> list[bytes]:
        children, self._levels[height] = self._levels[height], []
        if height + 1 == len(self._levels):
            self._levels.append([])
        node = encode_file([link for link, _ in children], [size for _, size in children])
        link = Link(cid_of(node, DAG_PB), len(node) + sum(link.tree_bytes for link, _ in children))
        return [node, *self._push(height + 1, link, sum(size for _, size in children))]


def encode_file(links: list[Link], sizes: list[int]) -> bytes:
    """dag-pb of a file's inner node: its children and how many of the file's bytes each holds."""
    data = b"\x08\x02\x18" + encode_varint(sum(sizes)) + b"".join(b"\x20" + encode_varint(size) for size in sizes)
    return _node(links, data)


def encode_folder(links: list[Link]) -> bytes:
    """dag-pb of a folder.

    Raises:
        ValueError: a name that no folder may have, or twice, or more entries than fit into one block.
    """
    for link in links:
        check_name(link.name)
    if len({link.name for link in links}) != len(links):
        raise ValueError("folder: got a name twice, wanted each once")
    node = _node(sorted(links, key=lambda link: link.name.encode()), b"\x08\x01")
    if len(node) > MAX_NODE_BYTES:
        raise ValueError(f"folder: got {len(links)} entries of {len(node)} bytes, wanted at most {MAX_NODE_BYTES}")
    return node


def check_name(name: str) -> None:
    """ValueError unless a name can stand in a folder on a disk without leading out of it."""
    if name in ("", ".", "..") or "/" in name or "\0" in name or len(name.encode("utf-8", "surrogateescape")) > 255:
        raise ValueError(f"name in a folder: got {name[:64]!r}, wanted 1 to 255 bytes without '/' and NUL, not '..'")


def decode(block: bytes) -> Node:
    """The file or folder of a dag-pb block.

    Raises:
        ValueError: anything else; see the rules above.
    """
    links, data = _split(block)
    kind, content, file_bytes, sizes = _unixfs(data)
    if kind == _FOLDER:
        _check_folder(links, content, sizes)
        return Node(True, links, b"", ())
    if kind != _FILE and not (kind == 0 and not links):
        raise ValueError(f"UnixFS type: got {_TYPES.get(kind, kind)}, wanted file or folder")
    if len(sizes) != len(links) or 0 in sizes:
        raise ValueError(f"file node: got {len(links)} links and sizes {sizes[:4]}..., wanted one above 0 for each")
    if links and content:
        raise ValueError("file node: got content beside links, wanted one of both")
    node = Node(False, links, content, sizes)
    if file_bytes is not None and file_bytes != node.file_bytes:
        raise ValueError(f"file node: got a size of {file_bytes}, wanted that of its children, {node.file_bytes}")
    return node


def links_of(block: bytes) -> list[bytes]:
    """CIDs of the links of any dag-pb block, UnixFS or not; ValueError if it is none."""
    return [link.cid for link in _split(block)[0]]


def size_of(cid: bytes, block: bytes) -> int:
    """Bytes of the file that a block is the root of; ValueError for a folder or what is no UnixFS."""
    if codec_of(cid) == RAW:
        return len(block)
    node = decode(block) if codec_of(cid) == DAG_PB else None
    if node is None or node.is_folder:
        raise ValueError(f"content: got a {'folder' if node else 'dag-cbor node'}, wanted a file")
    return node.file_bytes


def _check_folder(links: tuple[Link, ...], content: bytes, sizes: tuple[int, ...]) -> None:
    names = [link.name for link in links]
    for name in names:
        check_name(name)
    if content or sizes or any(a.encode() >= b.encode() for a, b in zip(names, names[1:], strict=False)):
        raise ValueError("folder node: wanted names in bytewise order, each once, and no content")


def _node(links: list[Link], data: bytes) -> bytes:
    out = bytearray()
    for link in links:
        name = link.name.encode()
        body = b"\x0a" + encode_varint(len(link.cid)) + link.cid + b"\x12" + encode_varint(len(name)) + name
        body += b"\x18" + encode_varint(link.tree_bytes)
        out += b"\x12" + encode_varint(len(body)) + body
    return bytes(out + b"\x0a" + encode_varint(len(data)) + data)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a protobuf message of varints and byte strings."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if key & 7 == 0:
            yield key >> 3, value
        elif key & 7 == 2:
            if value > len(data) - at:
                raise ValueError(f"protobuf field {key >> 3}: got a length of {value}, {len(data) - at} bytes follow")
            yield key >> 3, data[at : at + value]
            at += value
        else:
            raise ValueError(f"protobuf field {key >> 3}: got wire type {key & 7}, wanted 0 or 2")


def _split(block: bytes) -> tuple[tuple[Link, ...], bytes]:
    links: list[Link] = []
    data: bytes | None = None
    for number, value in _fields(block):
        if not isinstance(value, bytes) or number not in (1, 2) or data is not None:
            raise ValueError(f"dag-pb: got field {number}, wanted links (2), then data (1) once")
        if number == 1:
            data = value
        else:
            links.append(_link(value))
    return tuple(links), data or b""


def _link(body: bytes) -> Link:
    fields = list(_fields(body))
    numbers, values = [number for number, _ in fields], dict(fields)
    if numbers != sorted(set(numbers)) or not set(numbers) <= {1, 2, 3} or 1 not in values:
        raise ValueError(f"dag-pb link: got fields {numbers}, wanted 1, 2, 3 in order")
    hash_, name, tree_bytes = values[1], values.get(2, b""), values.get(3, 0)
    if not isinstance(hash_, bytes) or not isinstance(name, bytes) or not isinstance(tree_bytes, int):
        raise ValueError("dag-pb link: wanted a CID, a name and a number")
    cid, size = read_cid(hash_)
    if size != len(hash_):
        raise ValueError("dag-pb link: bytes behind the CID")
    return Link(cid, tree_bytes, name.decode())


def _unixfs(data: bytes) -> tuple[int, bytes, int | None, tuple[int, ...]]:
    """(type, content, size or None, sizes of the children)."""
    kind: int | None = None
    content, file_bytes, sizes = b"", None, []
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2 and isinstance(value, bytes):
            content = value
        elif number == 3 and isinstance(value, int):
            file_bytes = value
        elif number == 4 and isinstance(value, int):
            sizes.append(value)
        elif number not in (5, 6, 7, 8):  # hash type and fanout, mode and time: not used
            raise ValueError(f"UnixFS: got field {number}, wanted type, content, size, sizes of children")
    if kind is None:
        raise ValueError("UnixFS: got no type")
    return kind, content, file_bytes, tuple(sizes)

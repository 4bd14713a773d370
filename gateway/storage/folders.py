"""Files and folders between a disk and a store; writes nothing outside its target, and the target whole or not at all.

A sealed folder travels as one stream, so that its names are sealed too: for each file or folder dag-cbor of {"path",
"folder"}, then the content in pieces and an empty piece; an empty head ends it. Heads and pieces stand behind their
length as a varint. What comes from a store is bounded by Limits
as it is written, whatever it claims of itself; names are checked by unixfs.check_name. Symbolic links and special files
are refused, modes and times are not kept.
"""

import itertools
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, Union

from coincurve import PrivateKey

from gateway.storage import dag, dag_cbor, sealed, unixfs
from gateway.storage.blocks import sync_folder
from gateway.storage.cid import DAG_PB, cid_of, encode_text
from gateway.storage.dag import MAX_DEPTH, Added, Entry, Put
from gateway.storage.errors import Refused, StoreError
from gateway.storage.streams import Chunks, ahead
from gateway.storage.varint import encode_varint, read_length

Tree = Iterable[tuple[str, Iterable[bytes] | None]]
Branch = dict[str, Union[unixfs.Link, "Branch"]]
_HEAD_BYTES = 16 * 1024
_PIECE_BYTES = unixfs.CHUNK_BYTES
_END = b"\0"


class Limits(NamedTuple):
    """What may be written for one CID at most."""

    bytes: int = 64 << 30
    entries: int = 100_000


class Readable(Protocol):
    """As much of r1fs.R1FS as is needed here."""

    def read(self, cid: str) -> Iterator[bytes]: ...

    def entries(self, cid: str) -> list[Entry] | None: ...


def read_path(path: Path) -> Iterator[bytes]:
    """The bytes of a file of this disk, in pieces."""
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def scan(folder: Path) -> Tree:
    """What is in a folder, by path; Refused at a symbolic link, a special file or a name that is no UTF-8."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
            raise Refused(f"{entry.path}: got a link or special file, wanted files and folders")
        if entry.name.encode("utf-8", "replace") != os.fsencode(entry.name):
            raise Refused(f"{entry.path!r}: got a name that is no UTF-8")
        if entry.is_file():
            yield entry.name, read_path(Path(entry.path))
        else:
            yield entry.name, None
            for path, content in scan(Path(entry.path)):
                yield f"{entry.name}/{path}", content


def link_tree(put: Put, tree: Tree) -> list[tuple[str, Added]]:
    """Lay out a folder: (path, what was added) of each file and folder, its root last with the path "".

    Raises:
        Refused: a path that leads out, one twice, deeper than MAX_DEPTH, or more entries than a folder can have.
    """
    root: Branch = {}
    sizes: dict[str, Added] = {}
    for path, content in tree:
        *above, name = split(path)
        branch = root
        for part in above:
            found = branch.setdefault(part, {})
            if not isinstance(found, dict):
                raise Refused(f"path {path!r}: {part!r} is a file")
            branch = found
        if name in branch and (content is not None or not isinstance(branch[name], dict)):
            raise Refused(f"path {path!r}: got it twice")
        if content is None:
            branch.setdefault(name, {})
            continue
        link, file_bytes, blocks = dag.write_file(put, content)
        branch[name] = unixfs.Link(link.cid, link.tree_bytes, name)
        sizes[path] = Added(encode_text(link.cid), file_bytes, blocks)
    _link_branch(put, "", root, sizes)
    return list(sizes.items())


def _link_branch(put: Put, path: str, branch: Branch, sizes: dict[str, Added]) -> unixfs.Link:
    links = []
    for name, item in branch.items():
        below = f"{path}/{name}" if path else name
        links.append(_link_branch(put, below, item, sizes) if isinstance(item, dict) else item)
    try:
        node = unixfs.encode_folder(links)
    except ValueError as error:
        raise Refused(f"folder {path or '.'!r}: {error}") from None
    put(node, DAG_PB)
    parts = [sizes[f"{path}/{name}" if path else name] for name in branch]
    added = Added(encode_text(cid_of(node, DAG_PB)), sum(p.bytes for p in parts), 1 + sum(p.blocks for p in parts))
    sizes[path] = added
    tree_bytes = len(node) + sum(link.tree_bytes for link in links)
    return unixfs.Link(cid_of(node, DAG_PB), tree_bytes, path.rpartition("/")[2])


def split(path: str) -> list[str]:
    """The names of a path within a folder; Refused if it leads out of it or is deeper than MAX_DEPTH."""
    names = path.split("/")
    try:
        for name in names:
            unixfs.check_name(name)
    except ValueError as error:
        raise Refused(f"path {path[:200]!r}: {error}") from None
    if len(names) > MAX_DEPTH:
        raise Refused(f"path {path[:200]!r}: deeper than {MAX_DEPTH}")
    return names


def pack(tree: Tree) -> Iterator[bytes]:
    """A folder as the one stream that is sealed."""
    for path, content in tree:
        head = dag_cbor.encode_node({"path": path, "folder": content is None})
        yield encode_varint(len(head)) + head
        for piece in content or ():
            if piece:
                yield encode_varint(len(piece)) + piece
        yield _END
    yield _END


def unpack(stream: Chunks) -> Tree:
    """What `pack` made a stream of; each content is to be read before the next. Refused: another stream."""
    while head := _read_piece(stream, _HEAD_BYTES):
        try:
            value = dag_cbor.decode_node(head)
        except ValueError as error:
            raise Refused(f"sealed folder: {error}") from None
        if not isinstance(value, dict) or set(value) != {"path", "folder"} or type(value["path"]) is not str:
            raise Refused("sealed folder: wanted a path and whether it is a folder")
        content = _pieces(stream)
        yield value["path"], None if value["folder"] else content
        for _ in content:
            raise Refused(f"sealed folder: {value['path'][:64]!r} has content that was not read")
    if stream.read(1):
        raise Refused("sealed folder: bytes behind its end")


def save(store: Readable, cid: str, out: Path, key: PrivateKey | None = None, limits: Limits = Limits()) -> int:  # noqa: B008
    """Write a file or folder to `out`, whole or not at all, opening it with `key` if it is sealed; its bytes.

    Raises:
        StoreError: it cannot be had. Refused: it is not what it says, over the limits, or `out` is in the way.
    """
    target = _Target(limits)
    with _whole(out) as part:
        if store.entries(cid) is not None:
            target.write_tree(part, _contents(store, cid))
        else:
            target.write_content(part, ahead(store.read(cid)), key)
    return target.bytes


def write_whole(out: Path, chunks: Iterable[bytes]) -> int:
    """Write a stream to a file, whole or not at all; its bytes. StoreError: it cannot be written."""
    target = _Target(Limits(1 << 62))
    with _whole(out) as part:
        target.write_file(part, chunks)
    return target.bytes


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A place beside `out` that takes its place at the end, on the disk, unless there was an exception."""
    part = out.with_name(f".{out.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        yield part
        if out.is_dir() or (part.is_dir() and out.exists()):
            raise Refused(f"{out}: it is there already")
        os.rename(part, out)
        sync_folder(out.absolute().parent)
    except OSError as error:
        _remove(part)
        raise StoreError(f"{error.filename or out}: {error.strerror}") from error
    except BaseException:
        _remove(part)
        raise


def tree_of(store: Readable, cid: str, depth: int = 1) -> Iterator[tuple[str, str]]:
    """(path, CID) of everything in a folder, at any depth up to MAX_DEPTH; nothing for a file."""
    if depth > MAX_DEPTH:
        raise Refused(f"folder: deeper than {MAX_DEPTH}")
    for entry in store.entries(cid) or []:
        yield entry.name, entry.cid
        for path, below in tree_of(store, entry.cid, depth + 1):
            yield f"{entry.name}/{path}", below


def _contents(store: Readable, cid: str) -> Tree:
    for path, below in tree_of(store, cid):
        yield path, store.read(below) if store.entries(below) is None else None


class _Target:
    """Counts what is written."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._entries, self.bytes = limits, 0, 0

    def write_content(self, path: Path, chunks: Iterator[bytes], key: PrivateKey | None) -> None:
        """A file, or what is sealed in it."""
        first = b""
        while len(first) < len(sealed.MAGIC) and (chunk := next(chunks, None)) is not None:
            first += chunk
        chunks = itertools.chain([first], chunks)
        if key is None or not sealed.is_sealed(first):
            self.write_file(path, chunks)
            return
        kind, opened = sealed.open_sealed(chunks, key)
        if kind == sealed.FOLDER:
            self.write_tree(path, unpack(Chunks(opened)))
        else:
            self.write_file(path, opened)

    def write_tree(self, path: Path, tree: Tree) -> None:
        path.mkdir()
        folders = [path]
        for name, content in tree:
            self._entries += 1
            if self._entries > self._limits.entries:
                raise Refused(f"folder: more than {self._limits.entries} entries")
            at = path.joinpath(*split(name))
            if content is None:
                at.mkdir()
                folders.append(at)
            else:
                self.write_file(at, content)
        for folder in folders:
            sync_folder(folder)

    def write_file(self, path: Path, chunks: Iterable[bytes]) -> None:
        with path.open("xb", buffering=0) as file:
            for chunk in chunks:
                self.bytes += len(chunk)
                if self.bytes > self._limits.bytes:
                    raise Refused(f"content: more than {self._limits.bytes} bytes")
                view = memoryview(chunk)
                while view:
                    view = view[file.write(view) :]
            os.fsync(file.fileno())


def _read_piece(stream: Chunks, most: int) -> bytes:
    """What the next length stands before; empty at an end mark."""
    try:
        size = read_length(stream.read)
    except ValueError as error:
        raise Refused(f"sealed folder: {error}") from None
    if size is None:
        raise Refused("sealed folder: cut where a length has to be")
    piece = stream.read(size) if size <= most else b""
    if len(piece) != size:
        raise Refused(f"sealed folder: got {len(piece)} of {size} bytes, at most {most}")
    return piece


def _pieces(stream: Chunks) -> Iterator[bytes]:
    while piece := _read_piece(stream, _PIECE_BYTES):
        yield piece


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

"""R1FS on a user's own IPFS node (Kubo, js-ipfs, or another gateway's /api/v0); the one file that knows ipfshttpclient.

Rules: what is added is added with the profile of unixfs, and its CID must come back as CIDv1. Nothing that the node
answers is hashed here: it is the user's own. `Client(addr)` is used because `connect()` refuses every node of today.
A node that has not a block asks its network for it, js-ipfs for ever: so it is asked for one block with a time limit
before it is asked for a graph.
"""

import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import ipfshttpclient  # type: ignore[import-untyped]

from gateway.storage import dag, unixfs
from gateway.storage.car import Source, read_car, write_car
from gateway.storage.cid import CODECS, RAW, codec_of, encode_text, normalise
from gateway.storage.dag import Added, Entry, parse
from gateway.storage.errors import Missing, Refused, StoreError
from gateway.storage.index import Pin
from gateway.storage.r1fs import Freed
from gateway.storage.streams import Chunks

TIMEOUT_S = 60
_AWAY = ("not found", "not here", "could not find", "NOT_FOUND", "timed out", "deadline exceeded")
warnings.filterwarnings("ignore", "The 'strict' parameter", FutureWarning)  # ipfshttpclient 0.7.0 says it to urllib3
_LAYOUT = {"chunker": f"size-{unixfs.CHUNK_BYTES}", "raw_leaves": True, "cid_version": 1}
_NAMES = {code: name for name, code in CODECS.items()}


class Kubo:
    """An IPFS node by the address of its API: a multiaddr, or http://HOST:PORT."""

    def __init__(self, address: str, timeout_s: float = TIMEOUT_S) -> None:
        """Refused: no such address. The node is asked nothing yet."""
        try:
            self._client = ipfshttpclient.Client(_multiaddr(address), timeout=2 * timeout_s)
        except ipfshttpclient.exceptions.AddressError:
            raise Refused(f"--ipfs: got {address!r}, wanted http://HOST:PORT or a multiaddr") from None
        self._client.chunk_size = unixfs.CHUNK_BYTES
        self._limit = {"timeout": f"{timeout_s}s"}

    def close(self) -> None:
        self._client.close()

    def add(self, chunks: Iterable[bytes]) -> Added:
        counted = _Counted(chunks)
        with _told():
            cid = normalise(self._client.add(counted, **_LAYOUT)["Hash"])
        return Added(cid, counted.bytes, _blocks(counted.bytes))

    def add_folder(self, folder: Path) -> Added:
        with _told():
            rows = self._client.add(str(folder), recursive=True, **_LAYOUT)
        root = normalise(rows[-1]["Hash"])
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        sizes = [path.stat().st_size for path in files]
        folders = 1 + sum(path.is_dir() for path in folder.rglob("*"))
        return Added(root, sum(sizes), folders + sum(_blocks(size) for size in sizes))

    def read(self, cid: str) -> Iterator[bytes]:
        text = encode_text(parse(cid))
        self.block(text)
        if self.entries(text) is not None:
            raise Refused(f"content {text}: got a folder, wanted a file")
        with _told(), self._client.cat(text, stream=True) as chunks:
            yield from chunks

    def entries(self, cid: str) -> list[Entry] | None:
        return dag.read_folder(self._get, parse(cid))

    def put_block(self, data: bytes, codec: int = RAW) -> str:
        name = _NAMES[codec]
        options = {"cid-codec": name, "format": name, "mhtype": "sha2-256", "version": "1"}
        with _told():
            return normalise(self._client.block.put(io.BytesIO(data), opts=options)["Key"])

    def block(self, cid: str) -> bytes:
        return self._get(parse(cid))

    def has(self, cid: str) -> bool:
        try:
            with _told():
                self._client.block.stat(encode_text(parse(cid)), opts={"offline": "true", "timeout": "1s"})
        except Missing:
            return False
        return True

    def pin(self, cid: str) -> None:
        self.block(cid)
        with _told():
            self._client.pin.add(encode_text(parse(cid)))

    def unpin(self, cid: str) -> bool:
        text = encode_text(parse(cid))
        if text not in {pin.cid for pin in self.pins()}:
            return False
        with _told():
            self._client.pin.rm(text)
        return True

    def pins(self) -> list[Pin]:
        """The node's recursive pins of what R1FS can name; it knows neither sizes nor profiles of them."""
        with _told():
            keys = self._client.pin.ls(type="recursive")["Keys"]
        return [Pin(cid, 0, "") for cid in sorted(filter(None, map(_named, keys)))]

    def export_car(self, cid: str) -> Iterator[bytes]:
        return write_car(self._get, [parse(cid)])

    def import_car(self, source: Source) -> list[str]:
        """As R1FS says; block by block, and each root walked before any is pinned."""
        roots, blocks = read_car(source)
        if not roots:
            raise Refused("CAR header: got no roots, wanted one or more")
        for cid, block in blocks:
            self.put_block(block, codec_of(cid))
        for root in roots:
            for cid in dag.walk(self._get, root):
                if not self.has(encode_text(cid)):
                    raise Refused(f"CAR: its roots are not whole: {encode_text(cid)} is not here")
        for root in roots:
            self.pin(encode_text(root))
        return [encode_text(root) for root in roots]

    def collect(self) -> Freed:
        with _told():
            rows = self._client.repo.gc()
        return Freed([normalise(row["Key"]["/"]) for row in rows if "Key" in row], 0)

    def _get(self, cid: bytes) -> bytes:
        with _told():
            data: bytes = self._client.block.get(encode_text(cid), opts=self._limit)
        return data


class _Counted(io.RawIOBase):
    """A stream as a file that ipfshttpclient reads; counts its bytes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._stream, self.bytes = Chunks(chunks), 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size if size > 0 else unixfs.CHUNK_BYTES)
        self.bytes += len(data)
        return data


@contextmanager
def _told() -> Iterator[None]:
    """The client's errors as ours."""
    errors = ipfshttpclient.exceptions
    try:
        yield
    except (errors.ErrorResponse, errors.PartialErrorResponse, errors.StatusError) as error:
        text = str(error).strip("'\"")
        away = any(sign in text for sign in _AWAY)
        raise (Missing if away else Refused)(f"IPFS node: {text}") from error
    except (errors.Error, ValueError) as error:
        raise StoreError(f"IPFS node: {error}") from error


def _blocks(file_bytes: int) -> int:
    """How many blocks the layout of a file has."""
    count = total = max(1, -(-file_bytes // unixfs.CHUNK_BYTES))
    while count > 1:
        count = -(-count // unixfs.MAX_LINKS)
        total += count
    return total


def _named(text: str) -> str | None:
    try:
        return normalise(text)
    except ValueError:
        return None


def _multiaddr(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return address
    try:
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return address
    kind = "ip4" if host and host.replace(".", "").isdigit() else "ip6" if host and ":" in host else "dns"
    return f"/{kind}/{host}/tcp/{port}/{parts.scheme}"

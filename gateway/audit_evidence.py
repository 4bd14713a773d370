"""An epoch's evidence as blocks of R1FS, found by what is on chain; believes nobody who brings a block.

    SITE/evidence/epoch-N.* ─ lend ─▶ R1FS ─ peers or a CAR ─▶ fetch ─▶ the same files elsewhere

The digest that oracles sign is SHA-256 of the two files' SHA-256. So it is the CID of a raw block of 64 bytes, `list`,
and each half of that block names a file: as a raw block where it fits into one, else in an index. An index is dag-cbor
{"epoch", "heartbeats", "list", "windows"}; it links all three, so that one CID pins and exports an epoch. Whoever has
no index finds files of up to MAX_BLOCK_BYTES from the chain alone.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway import evidence
from gateway.oracle.bundles import at_most
from gateway.storage import dag_cbor
from gateway.storage.cid import DAG_CBOR, MAX_BLOCK_BYTES, RAW, cid_from, encode_text
from gateway.storage.embedded import Embedded
from gateway.storage.errors import Missing, Refused, StoreError

DIGEST_BYTES = 32
CHUNK_BYTES = 1 << 18
FILES = ("heartbeats", "windows")


class NotHad(Exception):
    """Evidence cannot be had; the message says of which epoch, by which CID, and what was tried."""


def paths(folder: Path, epoch: int) -> tuple[Path, Path]:
    """Where the two files lie, in the order of FILES."""
    return evidence.heartbeats_path(folder, epoch), evidence.windows_path(folder, epoch)


def lend(store: Embedded, folder: Path, epoch: int) -> str:
    """Keep the evidence of a closed epoch in R1FS, pinned; the CID of its index, the same each time.

    Raises:
        OSError: a file cannot be read. StoreError: there is no space.
    """
    both = [(path, _digest(path)) for path in paths(folder, epoch)]
    index: dict[str, object] = {"epoch": epoch, "list": dag_cbor.Link(store.put_block(b"".join(d for _, d in both)))}
    for name, (path, _) in zip(FILES, both, strict=True):
        index[name] = dag_cbor.Link(_put(store, path))
    cid = store.put_block(dag_cbor.encode_node(index), DAG_CBOR)
    store.pin(cid)
    return cid


def fetch(store: Embedded, epoch: int, attested: bytes, indexes: Iterable[str], folder: Path) -> None:
    """Write the evidence of an epoch, whose digest the chain has, to a folder; the store asks its peers.

    Args:
        indexes: CIDs of indexes, of whichever epochs; they are hints, what they lead to is compared with the digest.
    Raises:
        NotHad: nobody has it, or it is of a form that is not known; nothing is written.
    """
    name = encode_text(cid_from(attested, RAW))
    try:
        listed = store.block(name)
        if len(listed) != len(FILES) * DIGEST_BYTES:
            raise Refused(
                f"its list has {len(listed)} bytes, wanted {len(FILES) * DIGEST_BYTES}: one gateway's evidence"
            )
        digests = [listed[:DIGEST_BYTES], listed[DIGEST_BYTES:]]
        known = _hints(store, epoch, indexes)
        files = [_file(store, digest, known.get(kind)) for kind, digest in zip(FILES, digests, strict=True)]
    except StoreError as error:
        told = f"epoch {epoch}: evidence {name}: {error}"
        raise NotHad(f"{told}; name a peer by --r1fs, or a file by --car") from error
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in zip(paths(folder, epoch), files, strict=True):
        path.write_bytes(content)


def _put(store: Embedded, path: Path) -> str:
    """A file as one block where it fits, so that its digest is its CID; else as a file, pinned by the index alone."""
    if path.stat().st_size <= MAX_BLOCK_BYTES:
        return store.put_block(path.read_bytes())
    was_pinned = {pin.cid for pin in store.pins()}
    cid = store.add(_chunks(path)).cid
    if cid not in was_pinned:
        store.unpin(cid)
    return cid


def _hints(store: Embedded, epoch: int, indexes: Iterable[str]) -> dict[str, str]:
    """{name of a file: CID} from the indexes that are this epoch's; one that cannot be had or read is no hint."""
    for cid in indexes:
        try:
            value = dag_cbor.decode_node(store.block(cid))
        except (StoreError, ValueError):
            continue
        if isinstance(value, dict) and value.get("epoch") == epoch:
            return {name: value[name].cid for name in FILES if isinstance(value.get(name), dag_cbor.Link)}
    return {}


def _file(store: Embedded, digest: bytes, hint: str | None) -> bytes:
    """A file by its digest; what another CID leads to is compared."""
    whole = encode_text(cid_from(digest, RAW))
    if hint is None or hint == whole:
        return store.block(whole)
    content = b"".join(_bounded(store.read(hint)))
    if hashlib.sha256(content).digest() != digest:
        raise Missing(f"{hint} is not the file with digest {digest.hex()}")
    return content


def _bounded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    from gateway.oracle.availability import EvidenceError

    try:
        yield from at_most(chunks)
    except EvidenceError as error:
        raise Refused(str(error)) from error


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk

"""An epoch's evidence as a folder of R1FS, found by what is on chain; believes nobody who brings a block.

    SITE/evidence/epoch-N.* ─ lend ─▶ R1FS ─ peers or a CAR ─▶ fetch ─▶ the same files elsewhere

The digest that oracles sign is SHA-256 of the two files' SHA-256. So it is the CID of a raw block of 64 bytes, the
list, and each half of that block names a file, as the raw block that a file of one chunk is (unixfs). The folder holds
both files and the list: one CID pins, exports and gets an epoch, and it is the same for whoever has the files. Whoever
has no folder's CID finds files of up to CHUNK_BYTES from the chain alone.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway import evidence
from gateway.oracle.availability import EvidenceError
from gateway.oracle.bundles import at_most
from gateway.storage.cid import RAW, cid_from, encode_text
from gateway.storage.embedded import Embedded
from gateway.storage.errors import Missing, Refused, StoreError
from gateway.storage.folders import read_path

DIGEST_BYTES = 32


class NotHad(Exception):
    """Evidence cannot be had; the message says of which epoch, by which CID, and what was tried."""


def paths(folder: Path, epoch: int) -> tuple[Path, Path]:
    """Where heartbeats and windows lie, in the order in which the digest takes them."""
    return evidence.heartbeats_path(folder, epoch), evidence.windows_path(folder, epoch)


def lend(store: Embedded, folder: Path, epoch: int) -> str:
    """Keep the evidence of a closed epoch in R1FS, pinned; the CID of its folder, the same each time.

    Raises:
        OSError: a file cannot be read. StoreError: there is no space.
    """
    both = paths(folder, epoch)
    listed = b"".join(_digest(path) for path in both)
    tree = [*((path.name, read_path(path)) for path in both), (f"epoch-{epoch}.list", [listed])]
    return store.add_tree(tree)[-1][1].cid


def fetch(store: Embedded, epoch: int, attested: bytes, indexes: Iterable[str], folder: Path) -> None:
    """Write the evidence of an epoch, whose digest the chain has, to a folder; the store asks its peers.

    Args:
        indexes: CIDs of folders, of whichever epochs; they are hints, what they lead to is compared with the digest.
    Raises:
        NotHad: nobody has it, or it is of a form that is not known; nothing is written.
    """
    name = encode_text(cid_from(attested, RAW))
    both = paths(folder, epoch)
    try:
        listed = store.block(name)
        if len(listed) != len(both) * DIGEST_BYTES:
            raise Refused(
                f"its list has {len(listed)} bytes, wanted {len(both) * DIGEST_BYTES}: one gateway's evidence"
            )
        digests = [listed[:DIGEST_BYTES], listed[DIGEST_BYTES:]]
        known = _hints(store, both[0].name, indexes)
        files = [_file(store, digest, known.get(path.name)) for path, digest in zip(both, digests, strict=True)]
    except StoreError as error:
        told = f"epoch {epoch}: evidence {name}: {error}"
        raise NotHad(f"{told}; name a peer by --r1fs, or a file by --car") from error
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in zip(both, files, strict=True):
        path.write_bytes(content)


def _hints(store: Embedded, name: str, indexes: Iterable[str]) -> dict[str, str]:
    """{name of a file: CID} of the first folder that has a file of this name; what is no folder is no hint."""
    for cid in indexes:
        try:
            entries = store.entries(cid) or []
        except StoreError:
            continue
        found = {entry.name: entry.cid for entry in entries}
        if name in found:
            return found
    return {}


def _file(store: Embedded, digest: bytes, hint: str | None) -> bytes:
    """A file by its digest; what another CID leads to is compared."""
    place = hint or encode_text(cid_from(digest, RAW))
    content = b"".join(_bounded(store.read(place)))
    if hashlib.sha256(content).digest() != digest:
        raise Missing(f"{place} is not the file with digest {digest.hex()}")
    return content


def _bounded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from at_most(chunks)
    except EvidenceError as error:
        raise Refused(str(error)) from error


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()

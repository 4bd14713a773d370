"""An epoch's evidence as a folder of R1FS, found by what is on chain; believes nobody who brings a block.

    SITE/evidence/epoch-N.* ─ lend ─▶ R1FS ─ peers or a CAR ─▶ fetch ─▶ the same files elsewhere

The digest that oracles sign is SHA-256 of the two files' SHA-256. So it is the CID of a raw block of 64 bytes, the
list, and each half of that block names a file, as the raw block that a file of one chunk is (unixfs). The folder holds
both files and the list: one CID pins, exports and gets an epoch, and it is the same for whoever has the files. Whoever
has no folder's CID finds files of up to CHUNK_BYTES from the chain alone.
Where several gateways heard an epoch, oracles sign the digest of a set (agreed.py), so that is the CID of the set; the
folder holds it, and a folder 0xGATEWAY for each further gateway's files and list.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.intake import evidence
from gateway.oracle.availability import EvidenceError
from gateway.oracle.bundles import at_most
from gateway.settlement import agreed
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
        OSError: a file cannot be read. StoreError: there is no space. EvidenceError: its set is none.
    """
    tree = _files(folder, epoch, "")
    path = agreed.set_path(folder, epoch)
    if path.exists():
        data = path.read_bytes()
        tree.append((path.name, [data]))
        for bundle in agreed.decode_set(data):
            if (place := agreed.folder_of(folder, epoch, bundle.gateway)) != folder:
                tree += _files(place, epoch, f"{place.name}/")
    return store.add_tree(tree)[-1][1].cid


def _files(folder: Path, epoch: int, above: str) -> list[tuple[str, Iterable[bytes]]]:
    """One gateway's files and their list, by path within the epoch's folder."""
    both = paths(folder, epoch)
    listed = b"".join(_digest(path) for path in both)
    return [*((above + path.name, read_path(path)) for path in both), (f"{above}epoch-{epoch}.list", [listed])]


def fetch(store: Embedded, epoch: int, attested: bytes, indexes: Iterable[str], folder: Path) -> None:
    """Write the evidence of an epoch, whose digest the chain has, to a folder; the store asks its peers.

    Args:
        indexes: CIDs of folders, of whichever epochs; they are hints, what they lead to is compared with the digest.
    Raises:
        NotHad: nobody has it, or it is of a form that is not known; nothing is written.
    """
    name = encode_text(cid_from(attested, RAW))
    known = _hints(store, epoch, indexes)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.part-") as text:
        coming = Path(text)
        try:
            first = store.block(name)
            if len(first) == 2 * DIGEST_BYTES:
                _two_files(store, epoch, first, known.get("", {}), coming)
            else:
                for bundle in agreed.decode_set(first):
                    place = coming / f"0x{bundle.gateway.hex()}"
                    listed = store.block(encode_text(cid_from(bundle.digest, RAW)))
                    _two_files(store, epoch, listed, known.get(place.name) or known.get("", {}), place)
                agreed.set_path(coming, epoch).write_bytes(first)
        except (StoreError, EvidenceError) as error:
            told = f"epoch {epoch}: evidence {name}: {error}"
            raise NotHad(f"{told}; name a peer by --r1fs, or a file by --car") from error
        for path in sorted(coming.rglob("*.*")):
            (target := folder / path.relative_to(coming)).parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)


def _two_files(store: Embedded, epoch: int, listed: bytes, known: dict[str, str], folder: Path) -> None:
    """Write heartbeats and windows by the list that names them; `known`: CIDs by file name."""
    if len(listed) != 2 * DIGEST_BYTES:
        raise Refused(f"its list has {len(listed)} bytes, wanted {2 * DIGEST_BYTES}")
    folder.mkdir(exist_ok=True)
    for path, digest in zip(paths(folder, epoch), (listed[:DIGEST_BYTES], listed[DIGEST_BYTES:]), strict=True):
        _write(path, store, digest, known.get(path.name))


def _hints(store: Embedded, epoch: int, indexes: Iterable[str]) -> dict[str, dict[str, str]]:
    """{folder within the epoch's, "" for itself: {name of a file: CID}} of the first folder of this epoch."""
    name = paths(Path(), epoch)[0].name
    for cid in indexes:
        root = _entries(store, cid)
        found = {above: _entries(store, root[above]) for above in root if above.startswith("0x")} | {"": root}
        if any(name in entries for entries in found.values()):
            return found
    return {}


def _entries(store: Embedded, cid: str) -> dict[str, str]:
    """What a folder holds, by name; what cannot be had, or is no folder, is no hint."""
    try:
        return {entry.name: entry.cid for entry in store.entries(cid) or []}
    except StoreError:
        return {}


def _write(path: Path, store: Embedded, digest: bytes, hint: str | None) -> None:
    """Write a file by its digest, as it comes; what another CID leads to is compared."""
    cid, found = hint or encode_text(cid_from(digest, RAW)), hashlib.sha256()
    with path.open("wb") as file:
        for piece in _bounded(store.read(cid)):
            found.update(piece)
            file.write(piece)
    if found.digest() != digest:
        raise Missing(f"{cid} is not the file with digest {digest.hex()}")


def _bounded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from at_most(chunks)
    except EvidenceError as error:
        raise Refused(str(error)) from error


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()

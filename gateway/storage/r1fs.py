"""R1FS: content by its CID, as the rest of the gateway uses it; refuses to hold what is not what its name says.

    store = Embedded(SITE / "r1fs")      # storage.embedded; or storage.kubo.Kubo(address) for a user's own IPFS node
    added = store.add(chunks)            # an iterable of bytes; pinned and on the disk when it returns
    for chunk in store.read(added.cid):  # each block hashed again before it is given out
        ...
    store.unpin(added.cid)               # and store.collect() frees what no pin reaches

Nothing here encrypts: `sealed.seal(chunks, readers)` goes before `add`, `sealed.open_sealed` behind `read`;
`folders.save` writes either to a disk. Structures are blocks: `put_block(dag_cbor.encode_node(value), DAG_CBOR)`, then
`pin`. CIDs are text of CIDv1 (cid.encode_text). Errors are those of storage.errors; after each of them, what was
acknowledged before is still there.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from gateway.storage.car import Source
from gateway.storage.cid import RAW
from gateway.storage.dag import Added, Entry
from gateway.storage.index import Pin


class Freed(NamedTuple):
    """What a collection freed: CIDs of blocks, bytes of the disk."""

    cids: list[str]
    bytes: int


class R1FS(Protocol):
    """A store of content. Any number of threads may use it."""

    def add(self, chunks: Iterable[bytes]) -> Added:
        """Keep a file, pinned."""

    def add_folder(self, folder: Path) -> Added:
        """Keep a folder of files and folders, pinned; Refused if it holds anything else."""

    def read(self, cid: str) -> Iterator[bytes]:
        """The bytes of a file. Refused: it is a folder or structure, or no CID."""

    def entries(self, cid: str) -> list[Entry] | None:
        """The entries of a folder, or None for a file."""

    def put_block(self, data: bytes, codec: int = RAW) -> str:
        """Keep one block, not pinned."""

    def block(self, cid: str) -> bytes:
        """One block's bytes."""

    def has(self, cid: str) -> bool:
        """Whether a block is here; peers are not asked."""

    def pin(self, cid: str) -> None:
        """Keep everything below a CID; fetches what is missing. Missing: nobody has a block of it."""

    def unpin(self, cid: str) -> bool:
        """Whether it was pinned."""

    def pins(self) -> list[Pin]:
        """What is kept."""

    def export_car(self, cid: str) -> Iterator[bytes]:
        """A CAR of everything below a CID."""

    def import_car(self, source: Source) -> list[str]:
        """Keep what a CAR brings, its roots pinned; their CIDs. Refused: it is none, is cut, or its roots not whole."""

    def collect(self) -> Freed:
        """Free what no pin reaches."""

"""R1FS in a folder of this disk: needs no service, and another gateway only for what is missing or damaged here.

Rules:
1. What is pinned was whole when it was pinned, and nothing that a pin reaches is collected. Where a pin is not whole
   any more, nothing is collected: what lies below the missing block cannot be known.
2. A block that is missing or damaged here is asked of the peers, compared with its name and kept. A peer's CAR is taken
   only as far as each block in it was linked to by one before it.
3. A fetch or import that ends early leaves the blocks that came, unpinned: the next try goes on from there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from gateway.storage import dag
from gateway.storage.blocks import Blocks, Writing
from gateway.storage.car import Source, read_car, write_car
from gateway.storage.cid import RAW, cid_of, codec_of, digest_of, encode_text
from gateway.storage.dag import Added, Entry, parse
from gateway.storage.errors import Damaged, Missing, Refused, StoreError
from gateway.storage.folders import Tree, link_tree, scan
from gateway.storage.index import Pin
from gateway.storage.r1fs import Freed
from gateway.storage.unixfs import PROFILE, size_of

MAX_FETCH_BYTES = 64 << 30


class Checked(NamedTuple):
    """What a check found: CIDs of blocks still damaged, of those that peers healed, of pins with something missing."""

    blocks: int
    bytes: int
    healed: list[str]
    damaged: list[str]
    incomplete: list[str]


class Peer(Protocol):
    """Another gateway. What it gives is not believed."""

    def block(self, cid: bytes) -> bytes | None:
        """The bytes that it says a block has, or None; StoreError if it does not answer."""

    def car(self, cid: bytes) -> "Body":
        """A CAR of everything below a CID, to be closed; StoreError if the peer does not answer."""


class Body(Source, Protocol):
    """What a peer sends; StoreError where it breaks off."""

    def close(self) -> None: ...


class Embedded:
    """Blocks in one folder; any number of threads and processes may use it."""

    def __init__(
        self,
        folder: Path,
        peers: Sequence[Peer] = (),
        limit_bytes: int = MAX_FETCH_BYTES,
        progress: Callable[[int], None] = lambda size: None,
    ) -> None:
        """Open a folder, made if there is none.

        Args:
            limit_bytes: that peers may bring at once.
            progress: gets the bytes of each block that is added, fetched, imported, read or checked.
        """
        self._blocks, self._peers = Blocks(folder), peers
        self._limit_bytes, self._progress = limit_bytes, progress

    def close(self) -> None:
        self._blocks.close()

    def add(self, chunks: Iterable[bytes]) -> Added:
        with self._blocks.writing() as writer:
            root, file_bytes, blocks = dag.write_file(self._counted(writer), chunks)
            return self._keep(writer, Added(encode_text(root.cid), file_bytes, blocks))

    def add_folder(self, folder: Path) -> Added:
        return self.add_tree(scan(folder))[-1][1]

    def add_tree(self, tree: Tree) -> list[tuple[str, Added]]:
        """Keep a folder given as (path within it, content); each file and folder as it was added, the root last."""
        with self._blocks.writing() as writer:
            rows = link_tree(self._counted(writer), tree)
            self._keep(writer, rows[-1][1])
            return rows

    def read(self, cid: str) -> Iterator[bytes]:
        return dag.read_file(self.get, parse(cid))

    def entries(self, cid: str) -> list[Entry] | None:
        return dag.read_folder(self.get, parse(cid))

    def put_block(self, data: bytes, codec: int = RAW) -> str:
        with self._blocks.writing() as writer:
            return encode_text(writer.put(data, codec))

    def block(self, cid: str) -> bytes:
        return self.get(parse(cid))

    def has(self, cid: str) -> bool:
        return self._blocks.has(parse(cid))

    def pin(self, cid: str) -> None:
        root = parse(cid)
        with self._blocks.writing() as writer, _keeping(writer):
            self._fetch(writer, root)
            writer.flush()
            self._blocks.index.pin(Pin(cid, self._require(root), ""))

    def unpin(self, cid: str) -> bool:
        return self._blocks.index.unpin(encode_text(parse(cid)))

    def pins(self) -> list[Pin]:
        return self._blocks.index.pins()

    def collect(self) -> Freed:
        """Free what no pin reaches. Missing, Damaged: a pin is not whole, so nothing is known to be free."""
        with self._blocks.alone():
            live = {digest_of(cid) for pin in self.pins() for cid in dag.walk(self._blocks.get, parse(pin.cid))}
            cids, disk_bytes = self._blocks.sweep(live)
            return Freed([encode_text(cid) for cid in cids], disk_bytes)

    def check(self) -> Checked:
        """Read every block and follow every pin; what peers have is healed."""
        blocks, total_bytes = 0, 0
        healed: list[str] = []
        damaged: list[str] = []
        incomplete: list[str] = []
        for cid, size, is_good in self._blocks.check():
            blocks, total_bytes = blocks + 1, total_bytes + size
            if not is_good:
                (healed if self._is_healed(cid) else damaged).append(encode_text(cid))
            self._progress(size)
        for pin in self.pins():
            try:
                self._require(parse(pin.cid))
            except StoreError:
                incomplete.append(pin.cid)
        return Checked(blocks, total_bytes, healed, damaged, incomplete)

    def export_car(self, cid: str) -> Iterator[bytes]:
        """A CAR of everything below a CID."""
        return write_car(self.get, [parse(cid)])

    def import_car(self, source: Source) -> list[str]:
        """Keep what a CAR brings, its roots pinned; their CIDs.

        Raises:
            Refused: it is no CAR, is cut, or has roots that are not whole with it; nothing is pinned then.
        """
        roots, blocks = read_car(source)
        if not roots:
            raise Refused("CAR header: got no roots, wanted one or more")
        with self._blocks.writing() as writer, _keeping(writer):
            for cid, block in blocks:
                writer.put(block, codec_of(cid))
                self._progress(len(block))
            writer.flush()
            try:
                pins = [Pin(encode_text(root), self._require(root), "") for root in roots]
            except Missing as error:
                raise Refused(f"CAR: its roots are not whole: {error}") from None
            for pin in pins:
                self._blocks.index.pin(pin)
        return [pin.cid for pin in pins]

    def get_here(self, cid: bytes) -> bytes:
        """One block's bytes by its binary CID. Missing, Damaged: peers are not asked."""
        return self._blocks.get(cid)

    def get(self, cid: bytes) -> bytes:
        """One block's bytes by its binary CID; what is missing or damaged here comes from a peer and is kept.

        Raises:
            Missing, Damaged: and no peer has it; each one's reason is in the message.
        """
        try:
            data = self._blocks.get(cid)
        except (Missing, Damaged) as error:
            data = self._ask(cid, error)
            with self._blocks.writing() as writer:
                writer.put(data, codec_of(cid))
        self._progress(len(data))
        return data

    def _counted(self, writer: Writing) -> dag.Put:
        def put(data: bytes, codec: int) -> bytes:
            self._progress(len(data))
            return writer.put(data, codec)

        return put

    def _keep(self, writer: Writing, added: Added) -> Added:
        writer.flush()
        self._blocks.index.pin(Pin(added.cid, added.bytes, PROFILE))
        return added

    def _fetch(self, writer: Writing, root: bytes) -> None:
        """Have everything below a CID here: by CAR from one peer where the root is missing, then block by block."""
        left_bytes = self._limit_bytes

        def keep(cid: bytes, block: bytes) -> bytes:
            nonlocal left_bytes
            left_bytes -= len(block)
            if left_bytes < 0:
                raise Refused(f"graph of {encode_text(root)}: more than {self._limit_bytes} bytes")
            writer.put(block, codec_of(cid))
            self._progress(len(block))
            return block

        def get(cid: bytes) -> bytes:
            try:
                return self._blocks.get(cid)
            except (Missing, Damaged) as error:
                return keep(cid, self._ask(cid, error))

        if self._peers and not writer.has(root):
            self._take_car(keep, root)
            writer.flush()
        for cid in dag.walk(get, root):
            if codec_of(cid) == RAW and not writer.has(cid):
                get(cid)

    def _take_car(self, keep: Callable[[bytes, bytes], bytes], root: bytes) -> None:
        """As much as one peer's CAR brings of a graph; a block that none before it linked to ends that peer's.

        A peer that is away, lies or has not all of it is no error yet: what is missing is asked of each, with reasons.
        """
        wanted = {root}
        for peer in self._peers:
            with suppress(StoreError), closing(peer.car(root)) as body:
                for cid, block in read_car(body)[1]:
                    if cid not in wanted:
                        raise Refused(f"{peer}: sent {encode_text(cid)}, which nothing before it links to")
                    wanted.update(dag.links_of(cid, keep(cid, block)))
                return

    def _ask(self, cid: bytes, error: StoreError) -> bytes:
        """A block from the first peer that has it; else `error` again, with what each peer said."""
        reasons = [str(error)]
        for peer in self._peers:
            try:
                data = peer.block(cid)
            except StoreError as failed:
                reasons.append(str(failed))
                continue
            if data is not None and cid_of(data, codec_of(cid)) == cid:
                return data
            reasons.append(f"{peer} {'has it not' if data is None else 'gave bytes of another name'}")
        raise type(error)("; ".join(reasons))

    def _is_healed(self, cid: bytes) -> bool:
        try:
            self.get(cid)
        except StoreError:
            return False
        return True

    def _require(self, root: bytes) -> int:
        """Bytes of what is below a CID: a file's, or all blocks of anything else. Missing: it is not whole here."""
        total_bytes = 0
        for cid in dag.walk(self._blocks.get, root):
            size = self._blocks.size(cid)
            if size is None:
                raise Missing(f"block {encode_text(cid)} is not here")
            total_bytes += size
        try:
            return size_of(root, self._blocks.get(root))
        except ValueError:
            return total_bytes


@contextmanager
def _keeping(writer: Writing) -> Iterator[None]:
    """What came before a failure is written all the same, so that a later try goes on from there."""
    try:
        yield
    except StoreError:
        writer.flush()
        raise

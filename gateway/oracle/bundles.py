"""A gateway's evidence of one epoch as oracles take it: as it was announced and as the chain says, or refused.

In R1FS a bundle is one file, deterministic CBOR: [the gateway's signed close, without a CID; the windows file; the
heartbeats file]. So whoever has the CID has the gateway's word for it, and needs to have heard nothing.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gateway.intake import evidence, evidence_file
from gateway.oracle import availability, commitments, messages
from gateway.oracle import epoch as epochs
from gateway.oracle.availability import EvidenceError, Heartbeat, Windows
from gateway.oracle.commitments import Seen
from gateway.oracle.messages import Site
from gateway.oracle.statements import Bundle, Close, Said
from gateway.ratio1 import MessageRefused
from gateway.storage.folders import read_path
from gateway.storage.streams import Chunks

MAX_BYTES = 4 << 30  # what a gateway that lies can take of a disk, for a while; 15,000 devices in an epoch of a day
MAX_CLOSE_BYTES = 4096
PARTS = 3
_PIECE_BYTES = 1 << 20
_ARRAY, _BYTES, _INFORMATION = 0x80, 0x40, 0x1F  # heads of CBOR, RFC 8949, 3


def pack(folder: Path, epoch: int, close: Said) -> Iterator[bytes]:
    """The bundle of a closed epoch, in pieces; `close` is the gateway's, sealed, its cid empty."""
    yield evidence_file.head(_ARRAY, PARTS) + evidence_file.head(_BYTES, len(close.payload)) + close.payload
    for path in (evidence.windows_path(folder, epoch), evidence.heartbeats_path(folder, epoch)):
        yield evidence_file.head(_BYTES, path.stat().st_size)
        yield from read_path(path)


def unpack(chunks: Iterable[bytes], bundle: Bundle, epoch: int, site: Site, folder: Path) -> None:
    """Write a bundle's files to a folder of their own, as they come, if its gateway signed for them.

    Raises:
        EvidenceError: another form, digest, block or gateway than `bundle` says; `folder` is as it was.
        OSError: it cannot be written.
    """
    stream = Chunks(at_most(chunks))
    if stream.read(1) != evidence_file.head(_ARRAY, PARTS):
        raise EvidenceError("bundle: wanted close, windows and heartbeats")
    if (size := _length(stream)) > MAX_CLOSE_BYTES:
        raise EvidenceError(f"bundle's close: {size} bytes, wanted at most {MAX_CLOSE_BYTES}")
    try:
        close = messages.open_sealed(stream.read(size), site, may_hold=False)
    except MessageRefused as error:
        raise EvidenceError(f"bundle's close: {error}") from None
    if (close.sender, close.message) != (bundle.gateway, Close(epoch, bundle.digest, bundle.block)):
        raise EvidenceError(f"bundle's close is not 0x{bundle.gateway.hex()}'s for this evidence of epoch {epoch}")
    coming = folder.with_name(folder.name + ".part")
    shutil.rmtree(coming, ignore_errors=True)
    coming.mkdir(parents=True)
    try:
        for path in (evidence.windows_path(coming, epoch), evidence.heartbeats_path(coming, epoch)):
            _write(path, stream)
        if stream.read(1):
            raise EvidenceError("bundle: more than close, windows and heartbeats")
        if evidence.digest(coming, epoch) != bundle.digest:
            raise EvidenceError(f"bundle has another digest than {bundle.digest.hex()}")
        folder.mkdir(exist_ok=True)
        for name in (evidence.heartbeats_path, evidence.windows_path):
            os.replace(name(coming, epoch), name(folder, epoch))
    finally:
        shutil.rmtree(coming, ignore_errors=True)


def _write(path: Path, stream: Chunks) -> None:
    left = _length(stream)
    with path.open("wb") as file:
        while left:
            if not (piece := stream.read(min(left, _PIECE_BYTES))):
                raise EvidenceError(f"bundle ends {left} bytes too early")
            file.write(piece)
            left -= len(piece)
        file.flush()
        os.fsync(file.fileno())


def _length(stream: Chunks) -> int:
    """Of the byte string that comes next."""
    head = stream.read(1)
    head += stream.read(evidence_file.ARGUMENT_BYTES.get(head[0] & _INFORMATION, 0)) if head else b""
    try:
        found = evidence_file.parse_head(head, 0, _BYTES)
    except ValueError as error:
        raise EvidenceError(f"bundle: {error}") from None
    if found is None:
        raise EvidenceError("bundle: wanted close, windows and heartbeats, got less")
    return found[0]


def at_most(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks of a bundle, as far as one may be long.

    Raises:
        EvidenceError: there are more than MAX_BYTES.
    """
    left = MAX_BYTES
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise EvidenceError(f"bundle of more than {MAX_BYTES} bytes")
        yield chunk


def verify_bundle(
    folder: Path, epoch: int, bundle: Bundle, block_hash: Callable[[int], bytes]
) -> tuple[Windows, tuple[int, ...]]:
    """Check that a folder holds the bundle that a gateway announced, and that its windows follow from the chain.

    Returns:
        Its windows, and the numbers of those whose block a reorg took: nobody can tell such a beacon from an invented
        one, so they count for nobody.
    Raises:
        EvidenceError: another digest or close block than announced, damaged, or no window's hash is the chain's.
        ChainAway: the chain does not answer, or has no such block.
        OSError: a file cannot be read.
    """
    got = evidence.digest(folder, epoch)
    if got != bundle.digest:
        raise EvidenceError(f"evidence has digest {got.hex()}, the gateway announced {bundle.digest.hex()}")
    try:
        windows = epochs.read_windows(folder, epoch)
    except evidence.EvidenceDamaged as error:
        raise EvidenceError(str(error)) from error
    if windows.block != bundle.block:
        raise EvidenceError(f"closed at block {windows.block}, the gateway announced {bundle.block}")
    availability.verify_windows(windows)
    block_hash(windows.block)  # a block that is not there yet would hold up who reads bindings at it
    hashes = {number: block_hash(number) for number in sorted({window.block for window in windows.opened})}
    lost = tuple(window.window for window in windows.opened if window.block_hash != hashes[window.block])
    if lost and len(lost) == len(windows.opened):
        raise EvidenceError(f"window {lost[0]} and all others: the hashes of their blocks are not the chain's")
    return windows, lost


def missing_of(folder: Path, windows: Windows, seen: list[Seen]) -> tuple[tuple[int, int], ...]:
    """Windows of verified evidence that were not committed in time, as this oracle saw it (commitments.py).

    Raises:
        EvidenceError: the heartbeats file is damaged.
    """
    said = [item.commitment for item in seen]
    lengths = [(item.heartbeats_bytes, item.windows_bytes) for item in said]
    digests = evidence.digests_at(folder, windows.epoch, lengths)
    good = [
        item
        for item, length in zip(seen, lengths, strict=True)
        if item.commitment.epoch == windows.epoch and digests.get(length) == item.commitment.digest
    ]
    try:
        return commitments.missing_windows(windows, good, _answers(folder, windows))
    except evidence.EvidenceDamaged as error:
        raise EvidenceError(str(error)) from error


def _answers(folder: Path, windows: Windows) -> Iterator[tuple[int, int]]:
    """(offset behind it, window) of each item that is a heartbeat and names a window; whoever signed it."""
    numbers = {window.beacon: window.window for window in windows.opened}
    for end, receipt_ms, frame in evidence_file.walk(evidence.heartbeats_path(folder, windows.epoch)):
        found: list[Heartbeat] = list(epochs.read_heartbeats([(receipt_ms, frame)]))
        if found and found[0].beacon in numbers:
            yield end, numbers[found[0].beacon]

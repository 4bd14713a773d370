"""A whole CSTORE as one signed stream of bytes, and back; refuses to put anything older over what is there.

A snapshot is a CBOR sequence (RFC 8742) of byte strings, each holding one item of deterministic CBOR:
    ["tinyren cstore 1", store 16 bytes, owner 20 bytes]
    [accepted ms, frame]   a record each: the root, the other buckets, then all keys by bucket and name (bytewise)
    COSE_Sign1 over {-65601: [SHA-256 of all bytes before, number of records]}, signed by who made it
Records are as their writers signed them, deletions and expired ones too, so that none can be written again. The same
content signed by the same key is the same bytes. No write spans two keys, so a snapshot needs no single moment.
What a writer wrote who is not on the list any more is not in it. What was written after a snapshot can be applied again
once it is restored, in its order: it is what its owners signed.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from tempfile import TemporaryFile
from typing import BinaryIO

from coincurve import PrivateKey

from device.agent import cbor, cose
from device.agent.errors import WireError
from device.agent.fields import check_bytes, check_int, take_claims, take_fields
from gateway import curve
from gateway.storage import sealed
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_engine import Engine
from gateway.storage.cstore_record import (
    BUCKETS,
    FRAME_MAX_BYTES,
    STORE_BYTES,
    Conflict,
    Opener,
    Record,
    Refused,
    Untrusted,
)
from gateway.storage.cstore_replica import Replica
from gateway.storage.dag import Added
from gateway.storage.r1fs import R1FS

MAGIC = "tinyren cstore 1"
LABEL = -65601
ITEM_MAX_BYTES = FRAME_MAX_BYTES + 64
WRITERS = 32
_LENGTHS = {0x58: 1, 0x59: 2, 0x5A: 4}
_NAMES = 1000
_END = b"\xd2"  # tag 18, COSE_Sign1
_ROOT = (False, BUCKETS, b"")


@dataclass(frozen=True)
class Snapshot:
    """What a checked stream holds: `records` of `store`, which belongs to `owner`; made by `signer` (addresses)."""

    store: bytes
    owner: bytes
    signer: bytes
    records: int


def snapshot(store: Cstore, key: PrivateKey) -> Iterator[bytes]:
    """The stream, in pieces of at most ITEM_MAX_BYTES + 5 bytes, signed by `key`.

    Raises:
        Untrusted: an entry of the engine is no record; the stream has no end then, and no reader takes it.
    """
    digest, records = hashlib.sha256(), -1  # the header is none
    for content in _contents(store):
        piece = cbor.encode(content)
        digest.update(piece)
        records += 1
        yield piece
    payload = cbor.encode({LABEL: [digest.digest(), records]})
    yield cbor.encode(cose.sign1(payload, store.address, lambda value: key.sign_recoverable(value, hasher=None)))


def backup(store: Cstore, key: PrivateKey, r1fs: R1FS, readers: Sequence[bytes] = ()) -> Added:
    """Keep a snapshot in R1FS, sealed for `key` and for further public keys; its CID is in what is returned."""
    return r1fs.add(sealed.seal(snapshot(store, key), [key.public_key.format(), *readers]))


@contextmanager
def fetched(r1fs: R1FS, cid: str, key: PrivateKey) -> Iterator[BinaryIO]:
    """A snapshot that `backup` kept, opened into a file that is gone afterwards.

    Raises:
        StoreError: it is not there, or not for this key (storage.errors).
    """
    with TemporaryFile() as file:
        file.writelines(sealed.open_sealed(r1fs.read(cid), key)[1])
        file.seek(0)
        yield file


def check(file: BinaryIO) -> Snapshot:
    """Read a stream to its end and tell what it holds, if it is whole and everything in it is signed.

    Raises:
        Untrusted: it is not.
    """
    try:
        return _check(file)
    except WireError as error:
        raise Untrusted(f"snapshot: {error}") from None


def restore(engine: Engine, file: BinaryIO, trusted: Collection[bytes], force: bool = False) -> Snapshot:
    """Write a stream's records into an engine.

    Args:
        file: seekable; it is read twice, and nothing is written before all of it was checked.
        trusted: addresses of whom a store, and a snapshot of it, are taken.
        force: into a store that is not empty; only what is newer than there is written, damaged entries are replaced.
    Raises:
        Untrusted: as `check`, or owner or signer are not trusted, or it is of another store than is there.
        Refused: the store is not empty and `force` is not given.
    """
    found = check(file)
    for name, address in (("owner", found.owner), ("signer", found.signer)):
        if address not in trusted:
            raise Untrusted(f"snapshot: {name} is 0x{address.hex()}, wanted one that is trusted")
    there = engine.entries(BUCKETS, BUCKETS)
    if there and not force:
        raise Refused("store: got one that is not empty, wanted an empty one; --force adds what is newer")
    replica = Replica(engine, found.store, found.owner, Opener())
    if there and not replica.look(BUCKETS, BUCKETS).revision:
        raise Untrusted(f"store: got another than the snapshot's, {found.store.hex()}")
    file.seek(0)
    records = _read_records(file)
    _write(engine, replica, next(records))  # the root: a store that a crash leaves unfinished is known as this one
    with ThreadPoolExecutor(WRITERS) as pool:
        while part := list(islice(records, 8 * WRITERS)):
            list(pool.map(lambda record: _write(engine, replica, record), part))
    return found


def _contents(store: Cstore) -> Iterator[bytes]:
    """The header and every record that counts, all read and judged anew: the root, then buckets, then keys."""
    replica = Replica(store.engine, store.replica.store, store.replica.owner, Opener())
    yield cbor.encode([MAGIC, replica.store, replica.owner])
    buckets = [name for name in _names(store, BUCKETS) if name != BUCKETS]
    definitions = [(BUCKETS, name) for name in (BUCKETS, *buckets)]
    for place in chain(definitions, ((bucket, name) for bucket in buckets for name in _names(store, bucket))):
        record = replica.trusted(*place).record
        if record is not None and replica.is_permitted(record):
            yield cbor.encode([record.stored_ms, record.frame])


def _names(store: Cstore, bucket: str) -> Iterator[str]:
    after = ""
    while names := store.engine.names(bucket, "", after, _NAMES):
        yield from names
        after = names[-1]


def _write(engine: Engine, replica: Replica, record: Record) -> None:
    while True:
        seen = replica.look(record.bucket, record.name)
        if seen.revision >= record.revision:
            return
        try:
            engine.write(record.bucket, record.name, record.frame, seen.sequence, record.stored_ms)
            return
        except Conflict:
            continue


def _check(file: BinaryIO) -> Snapshot:
    content = _next(file)
    store, owner = _header(content)
    opener, digest = Opener(), hashlib.sha256(cbor.encode(content))
    records, last = 0, (False, "", b"")
    while not (content := _next(file)).startswith(_END):
        digest.update(cbor.encode(content))
        record = _record(content, opener)
        place = _order(record)
        if record.store != store or (place == _ROOT) != (records == 0) or records and place <= last:
            raise WireError("malformed", f"record {records}: got another store or place, wanted the next in order")
        last, records = place, records + 1
    signer, payload, signature, signed = cose.open_sign1(content, 256)
    (fields,) = take_claims(cbor.decode(payload, 256), "end", (LABEL,))
    if take_fields(fields, "end", (bytes, int)) != [digest.digest(), records]:
        raise WireError("malformed", f"end: got other bytes before it than it is signed for, {records} records")
    if curve.recover(signature, signed, signer) is None:
        raise WireError("malformed", f"signature: got one that is not of 0x{signer.hex()}")
    if file.read(1):
        raise WireError("malformed", "got bytes behind the end, wanted none")
    return Snapshot(store, owner, signer, records)


def _order(record: Record) -> tuple[bool, str, bytes]:
    """Where in a stream a record stands."""
    name = b"" if record.bucket == record.name == BUCKETS else record.name.encode()
    return record.bucket != BUCKETS, record.bucket, name


def _header(content: bytes) -> tuple[bytes, bytes]:
    magic, store, owner = take_fields(cbor.decode(content, ITEM_MAX_BYTES), "header", (str, bytes, bytes))
    if magic != MAGIC:
        raise WireError("malformed", f"header: got another format, wanted {MAGIC!r}")
    return check_bytes(store, "store", STORE_BYTES), check_bytes(owner, "owner", cose.ID_BYTES)


def _record(content: bytes, opener: Opener) -> Record:
    stored_ms, frame = take_fields(cbor.decode(content, ITEM_MAX_BYTES), "record", (int, bytes))
    record = opener.open(frame)
    return Record(**{**vars(record), "stored_ms": check_int(stored_ms, "accepted ms", 0, 1 << 52)})


def _read_records(file: BinaryIO) -> Iterator[Record]:
    """The records of a stream that was checked."""
    opener = Opener()
    _next(file)
    while not (content := _next(file)).startswith(_END):
        yield _record(content, opener)


def _next(file: BinaryIO) -> bytes:
    """The content of the next byte string, its length bounded before it is believed."""
    head = file.read(1)
    if not head:
        raise WireError("malformed", "got the end of the file, wanted the signed end")
    length = head[0] - 0x40
    if head[0] in _LENGTHS:
        head += file.read(_LENGTHS[head[0]])
        length = int.from_bytes(head[1:], "big")
    content = file.read(length) if 0 <= length <= ITEM_MAX_BYTES else b""
    if len(content) != length or not cbor.encode(content).startswith(head):
        raise WireError("malformed", f"item: got head {head.hex()}, wanted a byte string of at most {ITEM_MAX_BYTES}")
    return content

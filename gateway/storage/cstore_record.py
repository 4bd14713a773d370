"""What a CSTORE writer signs, pure: records made, sealed and opened; refuses every other bytes and every other signer.

A record travels as COSE_Sign1 (device/agent/cose.py: ES256K, the key id is the signer's address) over the payload
    { -65600: [store, bucket, name, revision, operation, ttl_ms, value, nonce] }
in deterministic CBOR: store 16 bytes, bucket and name text, operation 1 (put) or 2 (delete, value empty), nonce 8.

Why a signed record cannot be used twice:
1. Store, bucket and name are inside what is signed, so it counts nowhere else.
2. So is the revision, which counts the writes of one name from 1 and never returns: a deletion is a record too, and
   stays. A record is applied only as the next revision (cstore.py), so none comes back, not even after a deletion.
3. The owner of a record is whose signature verifies, nothing that it says of itself.
4. There is no time in it but a duration: the clock of a writer never counts.
5. The nonce is new for each attempt, so of two that want the same, by the same key, each knows whether it came first.
A name is a key, or a key and a field of it with a NUL between; neither has control characters, so no two names meet.
Source: RFC 9052 (COSE), RFC 8812 (ES256K), RFC 8392 9.1 (private labels).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from device.agent import cbor, cose
from device.agent.errors import WireError
from device.agent.fields import check_bytes, check_int, take_claims, take_fields
from gateway import curve

LABEL = -65600
STORE_BYTES = 16
NONCE_BYTES = 8
NAME_MAX_BYTES = 256
VALUE_MAX_BYTES = 64 << 10
FRAME_MAX_BYTES = VALUE_MAX_BYTES + 1024
REVISION_MAX = (1 << 53) - 1
TTL_MAX_MS = 10 * 366 * 86_400_000
ACCESS_MAX = 1000
BUCKETS = "buckets"

_PUT, _DELETE = 1, 2
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SIGNERS_MAX = 4096
_EVERYONE = "*"

Sign = Callable[[bytes], bytes]


class CstoreError(Exception):
    """CSTORE cannot do what was asked; nothing was changed. The message has the field, what was got and wanted."""


class Refused(CstoreError):
    """A field that no record can have, or somebody who may not."""


class Untrusted(CstoreError):
    """Bytes that their signer did not sign for this place, or a store that belongs to another than expected."""


class Conflict(CstoreError):
    """The key is at another revision than the write is for."""


class Unavailable(CstoreError):
    """The engine did not answer in time: the write may be there or not, and repeating it is safe."""


class StoreFull(CstoreError):
    """There is no space on the disk."""


class StoreDamaged(CstoreError):
    """The store's file cannot be read, or is none."""


@dataclass(frozen=True)
class Record:
    """One verified write.

    `owner` is the address (20 bytes) that signed it, `value` None after a deletion, `ttl_ms` 0 for ever. `sequence` is
    its place among the store's writes and `stored_ms` when it was accepted, both the engine's, 0 where it has none yet.
    """

    store: bytes
    bucket: str
    name: str
    revision: int
    value: bytes | None
    ttl_ms: int
    owner: bytes
    frame: bytes
    sequence: int = 0
    stored_ms: int = 0

    @property
    def key(self) -> str:
        return self.name.partition("\0")[0]

    @property
    def field(self) -> str:
        return self.name.partition("\0")[2]


@dataclass(frozen=True)
class Access:
    """Who may use a bucket besides its owner, addresses of 20 bytes; `readers` None means everyone."""

    readers: tuple[bytes, ...] | None = ()
    writers: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """The value of the bucket's record.

        Raises:
            Refused: an address is not 20 bytes, or a list is too long.
        """
        readers = _EVERYONE if self.readers is None else [*self.readers]
        content: bytes = cbor.encode([readers, [*self.writers]])
        decode_access(content)
        return content


def decode_access(value: bytes) -> Access:
    """The lists in a bucket's record.

    Raises:
        Refused: they are not what Access.encode makes.
    """
    try:
        lists = cbor.decode(value, VALUE_MAX_BYTES)
        if type(lists) is not list or len(lists) != 2:
            raise WireError("malformed", "access: wanted [readers, writers]")
        readers, writers = lists
        return Access(None if readers == _EVERYONE else _addresses("readers", readers), _addresses("writers", writers))
    except WireError as error:
        raise Refused(f"access: {error}") from None


def _addresses(name: str, values: object) -> tuple[bytes, ...]:
    if not isinstance(values, list) or len(values) > ACCESS_MAX:
        raise WireError("malformed", f"{name}: wanted a list of at most {ACCESS_MAX} addresses")
    return tuple([check_bytes(value, name, cose.ID_BYTES) for value in values])


def name_of(key: str, field: str = "") -> str:
    """The name under which a key, or a field of it, is kept.

    Raises:
        Refused: empty, not UTF-8, with control characters, or over NAME_MAX_BYTES in all.
    """
    _check_text("key", key)
    if not field:
        return key
    _check_text("field", field)
    name = f"{key}\0{field}"
    if (size := len(name.encode())) > NAME_MAX_BYTES:
        raise Refused(f"key and field: got {size} bytes, wanted at most {NAME_MAX_BYTES}")
    return name


def check_bucket(bucket: str) -> str:
    """A bucket's name as it is. Raises Refused."""
    if not _BUCKET.fullmatch(bucket):
        shown = bucket[:64].encode(errors="replace").decode()
        raise Refused(f"bucket: got {shown!r}, wanted 1 to 63 of a-z, 0-9 and - (not first)")
    return bucket


def _check_text(field: str, text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeError:
        raise Refused(f"{field}: got bytes that are not UTF-8, wanted UTF-8") from None
    if not 1 <= size <= NAME_MAX_BYTES:
        raise Refused(f"{field}: got {size} bytes, wanted 1..{NAME_MAX_BYTES}")
    if found := _CONTROL.search(text):
        raise Refused(f"{field}: got the control character {found[0]!r}, wanted none")


def sign_record(
    place: tuple[bytes, str, str],
    revision: int,
    value: bytes | None,
    ttl_ms: int,
    nonce: bytes,
    owner: bytes,
    sign: Sign,
) -> bytes:
    """A record's frame.

    Args:
        place: store, bucket, name. value: None deletes. nonce: 8 random bytes. owner: the address of `sign`'s key.
        sign: digest (32 bytes) -> 65 bytes r | s | recovery id.
    Raises:
        Refused: a field does not fit.
    """
    operation = _DELETE if value is None else _PUT
    fields = [*place, revision, operation, ttl_ms, value or b"", nonce]
    try:
        _check_fields(fields)
        frame: bytes = cose.sign1(cbor.encode({LABEL: fields}), owner, sign)
    except WireError as error:
        raise Refused(str(error)) from None
    return frame


def _check_fields(fields: list[Any]) -> list[Any]:
    """The fields of a record, each in its range."""
    kinds = (bytes, str, str, int, int, int, bytes, bytes)
    store, bucket, name, revision, operation, ttl_ms, value, nonce = take_fields(fields, "record", kinds)
    check_bytes(store, "store", STORE_BYTES)
    check_bucket(bucket)
    key, separator, field = name.partition("\0")
    name_of(key, field)
    if separator and not field:
        raise WireError("malformed", "field: got 0 bytes, wanted at least 1")
    check_int(revision, "revision", 1, REVISION_MAX)
    check_int(operation, "operation", _PUT, _DELETE)
    check_int(ttl_ms, "ttl_ms", 0, TTL_MAX_MS if operation == _PUT else 0)
    most = VALUE_MAX_BYTES if operation == _PUT else 0
    if len(value) > most:
        raise WireError("malformed", f"value: got {len(value)} bytes, wanted at most {most}")
    check_bytes(nonce, "nonce", NONCE_BYTES)
    return fields


class Opener:
    """Opens frames and remembers the public keys of their signers, so that only the first costs a recovery."""

    def __init__(self) -> None:
        self._keys: dict[bytes, object] = {}

    def open(self, frame: bytes) -> Record:
        """The record of a frame whose signature is good. Who may write it there is not asked here.

        Raises:
            Untrusted: not such a frame, or the signature is not the signer's.
        """
        try:
            owner, payload, signature, digest = cose.open_sign1(frame, FRAME_MAX_BYTES)
            (fields,) = take_claims(cbor.decode(payload, FRAME_MAX_BYTES), "payload", (LABEL,))
            store, bucket, name, revision, operation, ttl_ms, value, _ = _check_fields(fields)
        except (WireError, Refused) as error:
            raise Untrusted(f"record: {error}") from None
        if not self._is_signed(owner, digest, signature):
            raise Untrusted(f"signature: got one that is not of 0x{owner.hex()}, wanted its own")
        found = None if operation == _DELETE else value
        return Record(store, bucket, name, revision, found, ttl_ms, owner, frame)

    def _is_signed(self, owner: bytes, digest: bytes, signature: bytes) -> bool:
        key = self._keys.get(owner)
        if key is not None:
            return curve.verify(key, digest, signature)
        public_key = curve.recover(signature, digest, owner)
        if public_key is None:
            return False
        if len(self._keys) >= _SIGNERS_MAX:
            self._keys.clear()
        self._keys[owner] = curve.parse_public_key(public_key)
        return True

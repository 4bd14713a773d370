"""Content only its readers can open: seals and opens streams; has no default secret, and gives nothing out unverified.

    magic | length of header, 2 bytes | header | chunks
Header: kind (0 file, 1 folder as folders.pack has it), ephemeral public key (33 bytes), then for each reader the file's
key, wrapped (48 bytes). Readers are not named: a reader tries each. A chunk is AES-256-GCM of CHUNK_BYTES, the last of
at most that, with the nonce counter (11 bytes, big-endian) | 1 for the last, 0 else, so that chunks cannot be dropped,
moved or cut unnoticed (STREAM; Hoang, Reyhanitabar, Rogaway, Vizar 2015; the form of age-encryption.org/v1).

Keys: the file's key is 32 random bytes, new for each file. Wrapping key = HKDF-SHA256(ECDH(ephemeral, reader), salt =
ephemeral | reader, both compressed): new for each file and reader, so the nonce of its one use is zero. Content key =
HKDF-SHA256(file's key, salt = SHA-256 of all before the chunks): whoever alters the header opens nothing.
"""

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from coincurve import PrivateKey, PublicKey
from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from gateway.storage.errors import Refused
from gateway.storage.streams import Chunks

MAGIC = b"tinyren sealed 1\n"
FILE, FOLDER = 0, 1
MAX_READERS = 256
TAG_BYTES = 16
CHUNK_BYTES = 256 * 1024 - TAG_BYTES
_KEY_BYTES, _POINT_BYTES, _WRAPPED_BYTES = 32, 33, 48
_ZERO = bytes(12)


def seal(chunks: Iterable[bytes], readers: Sequence[bytes], kind: int = FILE) -> Iterator[bytes]:
    """A stream, sealed.

    Args:
        readers: their secp256k1 public keys, 33 or 65 bytes, 1 to MAX_READERS.
    Raises:
        Refused: no readers, too many, or a key that is no point of the curve.
    """
    try:
        points = sorted({PublicKey(reader).format() for reader in readers})
    except ValueError:
        raise Refused("reader: got no public key of secp256k1") from None
    if not 1 <= len(points) <= MAX_READERS:
        raise Refused(f"readers: got {len(points)}, wanted 1 to {MAX_READERS}")
    key, ephemeral = secrets.token_bytes(_KEY_BYTES), PrivateKey(secrets.token_bytes(_KEY_BYTES))
    wrapped = [_wrap(key, ephemeral, point) for point in points]
    secrets.SystemRandom().shuffle(wrapped)
    header = bytes([kind]) + ephemeral.public_key.format() + b"".join(wrapped)
    head = MAGIC + len(header).to_bytes(2, "big") + header
    return _sealed(head, _content_key(key, head), chunks)


def is_sealed(start: bytes) -> bool:
    """Whether a stream that begins so (len(MAGIC) bytes or more) says that it is sealed."""
    return start.startswith(MAGIC)


def open_sealed(chunks: Iterable[bytes], reader: PrivateKey) -> tuple[int, Iterator[bytes]]:
    """(kind, content) of a sealed stream; each chunk is verified before it is given out.

    Raises:
        Refused: not sealed, not for this reader; later: altered, cut or reordered.
    """
    stream = Chunks(chunks)
    head = stream.read(len(MAGIC) + 2)
    size = int.from_bytes(head[-2:], "big")
    wrapped_bytes = size - 1 - _POINT_BYTES
    if not is_sealed(head) or wrapped_bytes < _WRAPPED_BYTES or wrapped_bytes % _WRAPPED_BYTES:
        raise Refused("sealed content: got another beginning")
    header = stream.read(size)
    if len(header) != size or header[0] not in (FILE, FOLDER):
        raise Refused("sealed content: cut within its header, or of an unknown kind")
    kind, point, wrapped = header[0], header[1 : 1 + _POINT_BYTES], header[1 + _POINT_BYTES :]
    key = _unwrap(wrapped, point, reader)
    return kind, _opened(stream, _content_key(key, head + header))


def _sealed(head: bytes, key: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield head
    stream, number = Chunks(chunks), 0
    chunk = stream.read(CHUNK_BYTES)
    while following := stream.read(CHUNK_BYTES):
        yield _encrypt(key, _nonce(number, False), chunk)
        chunk, number = following, number + 1
    yield _encrypt(key, _nonce(number, True), chunk)


def _opened(stream: Chunks, key: bytes) -> Iterator[bytes]:
    number, chunk = 0, stream.read(CHUNK_BYTES + TAG_BYTES)
    while chunk:
        following = stream.read(CHUNK_BYTES + TAG_BYTES)
        opened = _decrypt(key, _nonce(number, not following), chunk)
        if opened is None:
            raise Refused(f"sealed content: chunk {number} is altered, cut or not in its place")
        yield opened
        chunk, number = following, number + 1
    if number == 0:
        raise Refused("sealed content: cut before its first chunk")


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _encrypt(key: bytes, nonce: bytes, content: bytes) -> bytes:
    return b"".join(AES.new(key, AES.MODE_GCM, nonce=nonce).encrypt_and_digest(content))


def _decrypt(key: bytes, nonce: bytes, content: bytes) -> bytes | None:
    try:
        cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
        return cipher.decrypt_and_verify(content[:-TAG_BYTES], content[-TAG_BYTES:])
    except ValueError:
        return None


def _wrapping_key(own: PrivateKey, other: bytes, salt: bytes) -> bytes:
    return cast(bytes, HKDF(own.ecdh(other), _KEY_BYTES, salt, SHA256, context=b"tinyren sealed 1 reader"))


def _content_key(key: bytes, head: bytes) -> bytes:
    return cast(
        bytes, HKDF(key, _KEY_BYTES, hashlib.sha256(head).digest(), SHA256, context=b"tinyren sealed 1 content")
    )


def _wrap(key: bytes, ephemeral: PrivateKey, reader: bytes) -> bytes:
    return _encrypt(_wrapping_key(ephemeral, reader, ephemeral.public_key.format() + reader), _ZERO, key)


def _unwrap(wrapped: bytes, ephemeral: bytes, reader: PrivateKey) -> bytes:
    try:
        wrapping_key = _wrapping_key(reader, ephemeral, ephemeral + reader.public_key.format())
    except ValueError:
        raise Refused("sealed content: its ephemeral key is no public key of secp256k1") from None
    for at in range(0, len(wrapped), _WRAPPED_BYTES):
        key = _decrypt(wrapping_key, _ZERO, wrapped[at : at + _WRAPPED_BYTES])
        if key is not None:
            return key
    raise Refused("sealed content: this key is not one of its readers'")

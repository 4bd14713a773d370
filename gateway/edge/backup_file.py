"""A backup's file: members and their digests, sealed for who holds a key or knows a passphrase; opens for nobody else.

    "tinyren backup 1\\n" | kind (1 byte: 0 key file, 1 passphrase) | salt (16 bytes) | sealed (storage/sealed.py)

What is sealed is a tar (POSIX ustar) of regular files, the last of which is manifest.json: format, version, made_ms,
gateway, epoch, pins, and of each other member its bytes and SHA-256. A passphrase becomes a key by scrypt (N 2^17,
r 8, p 1). What is read is believed only when the manifest is there and every member is as it says.

Source: RFC 7914 (scrypt).
"""

import hashlib
import json
import secrets
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from coincurve import PrivateKey

from gateway.storage.errors import Refused
from gateway.storage.sealed import open_sealed, seal
from gateway.storage.streams import Chunks

FORMAT = 1
MAGIC = f"tinyren backup {FORMAT}\n".encode()
KEY, PASSPHRASE = 0, 1
MANIFEST = "manifest.json"
SALT_BYTES = 16
CHUNK_BYTES = 1 << 18
MAX_MANIFEST_BYTES = 64 << 20
MAX_NAME_BYTES = 99
_SCRYPT = {"n": 1 << 17, "r": 8, "p": 1, "maxmem": 256 << 20, "dklen": 32}
_BLOCK = tarfile.BLOCKSIZE
Keep = Callable[[str, int, Iterator[bytes]], None]
"""Takes a member: name, permissions, bytes."""


class Member(NamedTuple):
    """A file to keep: its name in the backup, its size, its permissions, what gives its bytes."""

    name: str
    size: int
    mode: int
    chunks: Iterable[bytes]


class Secret(NamedTuple):
    """What opens a backup: a key, or a passphrase."""

    key: PrivateKey | None = None
    passphrase: str = ""

    def reader(self, salt: bytes) -> PrivateKey:
        if self.key is not None:
            return self.key
        return PrivateKey(hashlib.scrypt(self.passphrase.encode(), salt=salt, **_SCRYPT))


def write(members: Iterable[Member], about: dict[str, Any], secret: Secret) -> Iterator[bytes]:
    """The file's bytes. Refused: a member's size changed, or its name is too long."""
    salt = secrets.token_bytes(SALT_BYTES) if secret.key is None else bytes(SALT_BYTES)
    yield MAGIC + bytes([KEY if secret.key else PASSPHRASE]) + salt
    yield from seal(_tar(members, about), [secret.reader(salt).public_key.format()])


def read(chunks: Iterable[bytes], secret: Secret, keep: Keep) -> dict[str, Any]:
    """The manifest of a backup, once every member was given to `keep` and is as it says.

    Raises:
        Refused: no backup, a newer one, for another key, or altered; what `keep` got is then worth nothing.
    """
    stream = Chunks(chunks)
    head = stream.read(len(MAGIC) + 1 + SALT_BYTES)
    if not head.startswith(MAGIC[:-2]):
        raise Refused("got no backup of a gateway")
    if not head.startswith(MAGIC):
        raise Refused("this backup was made by another version of tinyren; restore it with that one or a newer one")
    kind, salt = head[len(MAGIC)], head[len(MAGIC) + 1 :]
    if kind != (KEY if secret.key else PASSPHRASE):
        raise Refused(f"this backup is for a {'passphrase' if kind == PASSPHRASE else 'key file'}; give that")
    try:
        _, content = open_sealed(iter(lambda: stream.read(CHUNK_BYTES), b""), secret.reader(salt))
    except Refused as error:
        what = "key" if secret.key else "passphrase"
        raise Refused(f"this {what} does not open it, or the file was altered; try another {what} or copy") from error
    found: dict[str, Any] = {}
    try:
        with tarfile.open(fileobj=Chunks(content), mode="r|", encoding="utf-8") as tar:  # type: ignore[call-overload]
            for info in tar:
                manifest = _take(tar, info, found, keep)
                if manifest is not None:
                    return manifest
    except tarfile.TarError as error:
        raise Refused(f"damaged: {error}") from error
    raise Refused("damaged: it ends before its manifest")


def _take(tar: tarfile.TarFile, info: tarfile.TarInfo, found: dict[str, Any], keep: Keep) -> dict[str, Any] | None:
    file = tar.extractfile(info) if info.isfile() else None
    if file is None or not is_name(info.name) or info.name in found:
        raise Refused(f"damaged: member {info.name[:MAX_NAME_BYTES]!r}")
    if info.name == MANIFEST:
        return _manifest(file.read(MAX_MANIFEST_BYTES), found)
    digest, size = hashlib.sha256(), 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            yield chunk

    keep(info.name, 0o600 | info.mode & 0o44, counted())
    found[info.name] = {"bytes": size, "sha256": digest.hexdigest()}
    return None


def _manifest(raw: bytes, found: dict[str, Any]) -> dict[str, Any]:
    try:
        manifest = json.loads(raw)
        if manifest["format"] == FORMAT and manifest["members"] == found:
            return dict(manifest)
    except (ValueError, KeyError, TypeError):
        pass
    raise Refused("damaged: its manifest names other content than it has")


def is_name(name: str) -> bool:
    """Whether a member's name is a plain path below the folder."""
    path = PurePosixPath(name)
    is_plain = not path.is_absolute() and ".." not in path.parts and str(path) == name != "."
    return is_plain and len(name.encode()) <= MAX_NAME_BYTES and name.isprintable()


def pieces(path: Path, size: int) -> Iterator[bytes]:
    """The first `size` bytes of a file. Refused: it has fewer."""
    with path.open("rb") as file:
        while size and (chunk := file.read(min(size, CHUNK_BYTES))):
            size -= len(chunk)
            yield chunk
    if size:
        raise Refused(f"{path} became shorter while it was read; try again")


def _tar(members: Iterable[Member], about: dict[str, Any]) -> Iterator[bytes]:
    found: dict[str, Any] = {}
    for member in members:
        digest = hashlib.sha256()
        yield _header(member.name, member.size, member.mode)
        for chunk in member.chunks:
            digest.update(chunk)
            yield chunk
        yield bytes(-member.size % _BLOCK)
        found[member.name] = {"bytes": member.size, "sha256": digest.hexdigest()}
    raw = json.dumps({"format": FORMAT, **about, "members": found}).encode()
    yield _header(MANIFEST, len(raw), 0o600) + raw + bytes(-len(raw) % _BLOCK) + bytes(2 * _BLOCK)


def _header(name: str, size: int, mode: int) -> bytes:
    if not is_name(name):
        raise Refused(f"{name!r}: wanted a plain name of at most {MAX_NAME_BYTES} bytes")
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode & 0o777
    return info.tobuf(tarfile.USTAR_FORMAT)

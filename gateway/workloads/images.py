"""Reads what an image's archive says of itself before a container runtime may; unpacks nothing, trusts no name in it.

The archive is a plain tar as `podman save` writes it: docker-archive (manifest.json names config and layers) or
oci-archive (index.json names a manifest by digest, that one config and layers). Refused are paths and links that lead
out, special files, more than one image, a digest that is another, and layers that grow beyond a limit.
"""

import hashlib
import json
import posixpath
import tarfile
import zlib
from pathlib import Path
from typing import IO, cast

from gateway.workloads.errors import Refused

MAX_ARCHIVE_BYTES = 4 << 30
MAX_LAYERS_BYTES = 8 << 30
MAX_MEMBERS = 4096
MAX_JSON_BYTES = 4 << 20
_PIECE_BYTES = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def check_archive(path: Path, wanted: str = "", most_bytes: int = MAX_LAYERS_BYTES) -> str:
    """The id (sha256: of its config) of the one image of an archive.

    Args:
        wanted: the id that it must have, or empty. most_bytes: of its members, unpacked.
    Raises:
        Refused: it is no such archive; the message says why.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            members = _members(archive, most_bytes)
            found = _config_id(archive, members)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise Refused(f"image: got no tar of an image ({error}), wanted what `podman save` writes") from error
    if wanted and found != wanted:
        raise Refused(f"image: got {found}, wanted {wanted}")
    return found


def _members(archive: tarfile.TarFile, most_bytes: int) -> dict[str, tarfile.TarInfo]:
    members: dict[str, tarfile.TarInfo] = {}
    total = 0
    for member in archive:
        name = posixpath.normpath(member.name)
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)) if member.issym() else ""
        if _leads_out(member.name) or _leads_out(target) or not (member.isreg() or member.isdir() or member.issym()):
            raise Refused(f"image: got {member.name!r}, which leads out or is no file, wanted files below one folder")
        if name in members or len(members) == MAX_MEMBERS:
            raise Refused(f"image: got {member.name!r} twice, or more than {MAX_MEMBERS} files")
        members[name] = member
        total += _unpacked_bytes(archive, member, most_bytes - total) if member.isreg() else 0
        if total > most_bytes:
            raise Refused(f"image: unpacks to more than {most_bytes} bytes")
    return members


def _leads_out(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/")


def _unpacked_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo, most_bytes: int) -> int:
    file = cast(IO[bytes], archive.extractfile(member))
    head = file.read(4)
    if head == _ZSTD:
        raise Refused(f"image: {member.name!r} is compressed by zstd, wanted none or gzip")
    if not head.startswith(_GZIP) or member.size > most_bytes:
        return member.size
    file.seek(0)
    total, unpacker = 0, zlib.decompressobj(zlib.MAX_WBITS | 16)
    piece = file.read(_PIECE_BYTES)
    while piece and total <= most_bytes:
        total += len(unpacker.decompress(piece, _PIECE_BYTES))
        piece = unpacker.unconsumed_tail or unpacker.unused_data or file.read(_PIECE_BYTES)
        if unpacker.eof:
            unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    return max(total, member.size)


def _config_id(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> str:
    try:
        if "manifest.json" in members:
            (image,) = json.loads(_read(archive, members, "manifest.json"))
            return f"sha256:{hashlib.sha256(_read(archive, members, str(image['Config']))).hexdigest()}"
        (entry,) = json.loads(_read(archive, members, "index.json"))["manifests"]
        manifest = json.loads(_blob(archive, members, str(entry["digest"])))
        _blob(archive, members, config := str(manifest["config"]["digest"]))
        return config
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(f"image: got an archive whose manifest is not that of one image ({error!r})") from error


def _blob(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], digest: str) -> bytes:
    kind, _, name = digest.partition(":")
    data = _read(archive, members, f"blobs/sha256/{name}")
    if kind != "sha256" or hashlib.sha256(data).hexdigest() != name:
        raise Refused(f"image: got {name!r} with other bytes than its digest says")
    return data


def _read(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> bytes:
    member = members.get(name)
    if member is None or not member.isreg() or member.size > MAX_JSON_BYTES:
        raise Refused(f"image: got no {name!r} of at most {MAX_JSON_BYTES} bytes, wanted what `podman save` writes")
    return cast(IO[bytes], archive.extractfile(member)).read()

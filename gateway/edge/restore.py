"""Makes a gateway again from its backup, on an empty machine; refuses to touch a folder in which something is.

Everything is written into a folder beside, compared with the backup's manifest, synced, and then renamed: a power cut
or kill -9 leaves the old state and a folder that the next restore removes.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gateway import cli
from gateway.edge import backup_file, running
from gateway.edge.backup_file import Secret
from gateway.edge.ownership import hand_over
from gateway.errors import CommandError, Exit
from gateway.site import site_file
from gateway.storage.errors import Refused


def restore(chunks: Iterable[bytes], folder: Path, secret: Secret) -> dict[str, Any]:
    """Make `folder` what a backup holds; its manifest.

    Raises:
        CommandError: the folder is not empty, or there is no space.
        storage.errors.Refused: no backup, for another key, altered, or made by a newer version. Nothing is left.
    """
    folder = folder.absolute()
    refuse_taken(folder)
    beside = folder.parent / f".{folder.name}.restoring"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(mode=0o700, parents=True)
        manifest = backup_file.read(chunks, secret, lambda *member: _keep(beside, *member))
        refuse_newer(str(manifest.get("version", "")))
        if folder.exists():
            hand_over((beside, *beside.rglob("*")), folder)
        for path in (beside, *(path for path in beside.rglob("*") if path.is_dir())):
            _sync(path)
        os.replace(beside, folder)
        _sync(folder.parent)
    except OSError as error:
        what = f"{error.strerror or error}; nothing was restored"
        raise CommandError(f"{error.filename or folder}: {what}; is there space? df -h {folder.parent}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return manifest


def refuse_taken(folder: Path) -> None:
    """Raises CommandError: something is in the folder, told with how far it is."""
    if not folder.exists() or folder.is_dir() and not any(folder.iterdir()):
        return
    what = "there is something in it"
    if (folder / site_file.NAME).exists():
        counts = running.counts(folder)
        what = f"a gateway is in it, at epoch {counts['epoch']}, with {counts['devices']} devices"
    raise CommandError(f"{folder}: {what}; end it and move it away first: mv {folder} {folder}.old", Exit.REFUSED)


def refuse_newer(version: str) -> None:
    """Raises Refused: a backup of this version of tinyren may hold what this one does not understand."""
    if _numbers(version) > _numbers(cli.VERSION):
        raise Refused(f"the backup is of tinyren {version}, this is {cli.VERSION}; install that version, then restore")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def _keep(beside: Path, name: str, mode: int, chunks: Iterator[bytes]) -> None:
    path = beside / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

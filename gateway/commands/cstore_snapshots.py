"""`tinyren cstore backup` and `restore`; a snapshot in R1FS is sealed for the site's key, one in a file is not."""

import contextlib
import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gateway import curve
from gateway.commands.cstore_open import load_key, open_engine, open_store, parse_address
from gateway.errors import CommandError, Exit
from gateway.storage import cid, cstore_backup
from gateway.storage.cstore_backup import Snapshot
from gateway.storage.embedded import Embedded
from gateway.storage.folders import write_whole


def backup(arguments: Namespace) -> None:
    """Write a snapshot to --file or into R1FS, and print what it is."""
    key = load_key(arguments)
    with open_store(arguments) as store:
        if arguments.file:
            size = write_whole(arguments.file, cstore_backup.snapshot(store, key))
            _print({"file": str(arguments.file), "bytes": size}, arguments)
            return
        with _r1fs(arguments) as r1fs:
            added = cstore_backup.backup(store, key, r1fs)
            _print({"cid": added.cid, "bytes": added.bytes}, arguments)


def restore(arguments: Namespace) -> None:
    """Write a snapshot's records into a store, all of it checked before a store is made for it."""
    own = curve.address(load_key(arguments).public_key.format())
    trusted = {own, parse_address(arguments.owner) if arguments.owner else own}
    with _source(arguments) as file:
        found = cstore_backup.check(file)
        file.seek(0)
        with open_engine(arguments, make=True) as engine:
            cstore_backup.restore(engine, file, trusted, arguments.force)
    _print(_shown(found), arguments)


@contextlib.contextmanager
def _source(arguments: Namespace) -> Iterator[BinaryIO]:
    """The snapshot that the argument names: a file that is there, or a CID."""
    path = Path(arguments.source)
    if path.exists():
        with path.open("rb") as file:
            yield file
        return
    try:
        cid.decode_any(arguments.source)
    except ValueError:
        raise CommandError(f"{arguments.source}: wanted a file that is there, or a CID", Exit.USAGE) from None
    if not _r1fs_folder(arguments).is_dir():
        raise CommandError(f"{_r1fs_folder(arguments)}: there is no R1FS; name one by --r1fs", Exit.USAGE)
    with _r1fs(arguments) as r1fs, cstore_backup.fetched(r1fs, arguments.source, load_key(arguments)) as file:
        yield file


def _r1fs(arguments: Namespace) -> contextlib.closing[Embedded]:
    return contextlib.closing(Embedded(_r1fs_folder(arguments)))


def _r1fs_folder(arguments: Namespace) -> Path:
    folder: Path = arguments.r1fs or arguments.site / "r1fs"
    return folder


def _shown(found: Snapshot) -> dict[str, Any]:
    return {"records": found.records, "owner": f"0x{found.owner.hex()}", "signer": f"0x{found.signer.hex()}"}


def _print(fields: dict[str, Any], arguments: Namespace) -> None:
    text = ", ".join(f"{name} {value}" for name, value in fields.items())
    print(json.dumps(fields, indent=2) if arguments.json else text)

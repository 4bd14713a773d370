"""`tinyren gateway backup`, `restore` and `support-bundle`: what leaves a gateway as a file, and comes back."""

import getpass
import os
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import print_json, readable
from gateway.configuration.configuration import made_site
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.edge.backup_file import Secret

LEAST_CHARACTERS = 10
R1FS = "r1fs"


def add_backup(verbs: Any) -> None:
    """The verbs, below `gateway`."""
    backup: ArgumentParser = verbs.add_parser("backup", help="save a gateway with its keys, encrypted")
    backup.add_argument("site", nargs="?", type=Path, metavar="DIR", help="the gateway's folder (default: site)")
    backup.add_argument("--to", metavar="FILE|r1fs", help="where to (default: tinyren-TIME.backup here)")
    backup.add_argument("--dry-run", action="store_true", help="say what would be saved, write nothing")
    restore: ArgumentParser = verbs.add_parser("restore", help="make a gateway again from a backup")
    restore.add_argument("source", metavar="FILE|CID", help="what backup wrote")
    restore.add_argument("site", type=Path, metavar="DIR", help="where to; nothing may be there")
    restore.add_argument("--peer", action="append", default=[], metavar="URL", help="with a CID: a gateway that has it")
    restore.add_argument("--dry-run", action="store_true", help="open and check the backup, write no gateway")
    bundle: ArgumentParser = verbs.add_parser("support-bundle", help="versions, logs and checks, without secrets")
    bundle.add_argument("site", nargs="?", type=Path, metavar="DIR", help="the gateway's folder (default: site)")
    bundle.add_argument("--out", type=Path, metavar="FILE", help="(default: tinyren-support-TIME.tar.gz here)")
    bundle.add_argument("--dry-run", action="store_true", help="say what would be in it, write nothing")
    bundle.add_argument("--json", action="store_true", help="print one JSON object")
    bundle.set_defaults(run=run_bundle)
    for verb in (backup, restore):
        verb.add_argument("--key", type=readable, metavar="FILE", help="64 hex digits, the operator's key")
        verb.add_argument("--passphrase-file", type=readable, metavar="FILE", help="its first line is the passphrase")
        verb.add_argument("--json", action="store_true", help="print one JSON object")
    backup.set_defaults(run=run_backup)
    restore.set_defaults(run=run_restore)


def run_backup(arguments: Namespace) -> int:
    from gateway.edge import backup, backup_file
    from gateway.storage.errors import StoreError

    folder, is_r1fs = made_site(arguments.site), arguments.to == R1FS
    secret = None if arguments.dry_run else _secret(arguments, is_new=True)
    with backup.moment(folder, not is_r1fs) as found:
        result = {"members": len(found.members), "bytes": sum(one.size for one in found.members), **found.about}
        if secret is not None:
            try:
                sealed = backup_file.write(found.members, found.about, secret)
                result["to"] = _add(folder, sealed) if is_r1fs else _write(arguments.to, sealed)
                backup.note(folder, found.about, result["to"])
            except StoreError as error:
                raise CommandError(str(error)) from error
    pins = result.pop("pins")
    if arguments.json:
        print_json(result | {"pins": len(pins)})
    elif secret is None:
        print(f"would save {result['members']} files, {result['bytes']:,} bytes, up to epoch {result['epoch']}")
    else:
        print(f"saved {result['members']} files, {result['bytes']:,} bytes, up to epoch {result['epoch']}")
        print(f"to {result['to']}")
        print(f"next: try it, on any machine: tinyren gateway restore {result['to']} DIR --dry-run")
    return Exit.OK


def run_restore(arguments: Namespace) -> int:
    from gateway.edge import backup_file
    from gateway.edge import restore as edge
    from gateway.storage.errors import Refused, StoreError

    is_file = Path(arguments.source).exists()
    if not arguments.dry_run:
        edge.refuse_taken(arguments.site)
    secret = _secret(arguments)
    try:
        with closing(_source(arguments, is_file)) as chunks:  # type: ignore[type-var]
            if arguments.dry_run:
                manifest = backup_file.read(chunks, secret, _forget)
                edge.refuse_newer(str(manifest.get("version", "")))
            else:
                manifest = edge.restore(chunks, arguments.site, secret)
    except Refused as error:
        raise CommandError(f"{arguments.source}: {error}; nothing was changed", Exit.TRUST) from error
    except StoreError as error:
        raise CommandError(f"{arguments.source}: {error}; nothing was changed") from error
    members = manifest.pop("members")
    if arguments.json:
        print_json({**manifest, "members": len(members), "site": str(arguments.site)})
        return Exit.OK
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(manifest["made_ms"] / 1000))
    verb = "holds" if arguments.dry_run else "restored"
    print(f"{verb} gateway {manifest['gateway'] or '(never started)'} of {made}, up to epoch {manifest['epoch']}")
    if not arguments.dry_run:
        print("the gateway that it was saved from must not run any more: two with the same keys contradict each other")
        print(f"next: tinyren gateway up {arguments.site}")
    return Exit.OK


def run_bundle(arguments: Namespace) -> int:
    from gateway.edge import bundle

    folder = made_site(arguments.site)
    path = arguments.out or Path(time.strftime("tinyren-support-%Y%m%d-%H%M%S.tar.gz"))
    names = [name for name, _ in bundle.texts(folder)] if arguments.dry_run else bundle.write(folder, path)
    if arguments.json:
        print_json({"files": names} | ({} if arguments.dry_run else {"to": str(path)}))
        return Exit.OK
    print("\n".join(names))
    if not arguments.dry_run:
        print(f"written to {path}: keys, codes and passwords are cut out; look into it before you send it")
    return Exit.OK


def _forget(name: str, mode: int, chunks: Iterable[bytes]) -> None:
    """Have a member read and kept nowhere."""
    deque(chunks, 0)


def _secret(arguments: Namespace, is_new: bool = False) -> "Secret":
    from gateway import keys
    from gateway.edge.backup_file import Secret

    if arguments.key and arguments.passphrase_file:
        raise CommandError("--key: got one with --passphrase-file, wanted one of them", Exit.USAGE)
    if arguments.key:
        return Secret(key=keys.load(arguments.key))
    if arguments.passphrase_file:
        passphrase = (arguments.passphrase_file.read_text().splitlines() or [""])[0]
    elif sys.stdin.isatty():
        passphrase = getpass.getpass("Passphrase of the backup: ")
        if is_new and passphrase != getpass.getpass("Again: "):
            raise CommandError("the passphrases differ; nothing was saved", Exit.USAGE)
    else:
        raise CommandError("name --key FILE or --passphrase-file FILE: a backup holds the gateway's keys", Exit.USAGE)
    if is_new and len(passphrase) < LEAST_CHARACTERS:
        got = f"passphrase: got {len(passphrase)} characters, wanted {LEAST_CHARACTERS} or more"
        raise CommandError(f"{got}: who has it and the file has the gateway's keys", Exit.USAGE)
    return Secret(passphrase=passphrase)


def _write(to: str | None, chunks: Iterable[bytes]) -> str:
    """The file's path, once it is on the disk wholly."""
    path = Path(to or time.strftime("tinyren-%Y%m%d-%H%M%S.backup"))
    part = path.with_name(path.name + ".part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return str(path)


def _add(folder: Path, chunks: Iterable[bytes]) -> str:
    """The backup's CID in the gateway's R1FS, pinned."""
    from gateway.storage.embedded import Embedded

    with closing(Embedded(folder / R1FS)) as store:
        return store.add(chunks).cid


def _source(arguments: Namespace, is_file: bool) -> Iterator[bytes]:
    if is_file:
        with Path(arguments.source).open("rb") as file:
            yield from iter(lambda: file.read(1 << 18), b"")
        return
    from gateway.storage.embedded import Embedded
    from gateway.storage.peers import HttpPeer

    if not arguments.peer:
        what = "is no file; if it is a CID, name a gateway that has it: --peer http://HOST:8421"
        raise CommandError(f"{arguments.source}: {what}", Exit.USAGE)
    fetched = arguments.site.absolute().parent / f".{arguments.site.name}.fetched"
    try:
        with closing(Embedded(fetched, [HttpPeer(url) for url in arguments.peer])) as store:
            yield from store.read(arguments.source)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)

"""`tinyren cstore`: a site's keys and buckets from the command line; only define and restore make a store."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.storage.cstore_record import Record


def add_cstore(commands: Any) -> None:
    """The command `cstore` and its verbs."""
    verbs = commands.add_parser("cstore", help="read and write the site's keys").add_subparsers(
        metavar="VERB", required=True
    )
    define_ = _verb(verbs, "define", "make a bucket, or replace its lists", define)
    define_.add_argument("bucket", metavar="BUCKET", help="name of the bucket")
    define_.add_argument("--reader", action="append", default=[], metavar="ADDRESS", help="may read; may be repeated")
    define_.add_argument("--writer", action="append", default=[], metavar="ADDRESS", help="may write; may be repeated")
    define_.add_argument("--everyone-reads", action="store_true", help="every gateway of the site may read")

    _key_verb(verbs, "get", "print the value of a key", get)
    put_ = _key_verb(verbs, "put", "write a key, whatever is there", put)
    cas_ = _key_verb(verbs, "cas", "write a key if it is at a revision", cas)
    cas_.add_argument("revision", type=int, metavar="REVISION", help="0: if the key is absent")
    for verb in (put_, cas_):
        verb.add_argument("value", nargs="?", metavar="VALUE", help="text (default: what --file holds)")
        verb.add_argument("--file", type=Path, metavar="FILE", help="the value's bytes, - for stdin")
        verb.add_argument("--ttl", type=float, default=0, metavar="S", help="seconds to live from acceptance on")
    delete_ = _key_verb(verbs, "delete", "delete a key", delete)
    delete_.add_argument("--revision", type=int, metavar="N", help="only if it is at this revision")

    ls_ = _verb(verbs, "ls", "list keys, or the buckets", ls)
    ls_.add_argument("bucket", nargs="?", metavar="BUCKET", help="keys of this one (default: list the buckets)")
    ls_.add_argument("--prefix", default="", metavar="P", help="only keys that begin so")
    ls_.add_argument("--after", default="", metavar="KEY", help="the page after this key")
    ls_.add_argument("--after-field", default="", metavar="F", help="and after this field of it")
    ls_.add_argument("--limit", type=int, default=1000, metavar="N", help="at most so many (default: 1000)")
    watch_ = _verb(verbs, "watch", "print what is written, until Ctrl-C", watch)
    watch_.add_argument("bucket", metavar="BUCKET", help="name of the bucket")
    watch_.add_argument("--prefix", default="", metavar="P", help="only keys that begin so")
    watch_.add_argument("--since", type=int, default=0, metavar="SEQ", help="only what is behind this sequence")
    watch_.add_argument("--count", type=int, default=0, metavar="N", help="end after so many")

    backup_ = _verb(verbs, "backup", "write everything as one signed file", backup)
    backup_.add_argument("--file", type=Path, metavar="FILE", help="to a file, not sealed (default: sealed, into R1FS)")
    restore_ = _verb(verbs, "restore", "write a backup's keys into an empty store", restore)
    restore_.add_argument("source", metavar="FILE|CID", help="what backup wrote")
    restore_.add_argument("--force", action="store_true", help="add what is newer to a store that is not empty")
    for verb in (backup_, restore_):
        verb.add_argument("--r1fs", type=Path, metavar="FOLDER", help="where R1FS is (default: SITE/r1fs)")


def _verb(verbs: Any, name: str, help_: str, run: Callable[..., None]) -> ArgumentParser:
    verb: ArgumentParser = verbs.add_parser(name, help=help_)
    verb.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    verb.add_argument("--store", type=Path, metavar="FILE", help="the embedded store (default: SITE/cstore.sqlite)")
    verb.add_argument("--key", type=Path, metavar="FILE", help="whose key signs (default: SITE/keys/gateway.key)")
    verb.add_argument("--owner", metavar="ADDRESS", help="whose store it must be (default on a cluster: the key's)")
    verb.add_argument("--cstore", metavar="URL", help="a cluster: nats://HOST:PORT,.../NAME?replicas=3&sync=always")
    verb.add_argument("--cstore-credentials", type=Path, metavar="FILE", help="user and password, a line each; .creds")
    verb.add_argument("--cstore-ca", type=Path, metavar="FILE", help="with tls://: who signs the servers' certificates")
    verb.add_argument("--cstore-cert", type=Path, metavar="FILE", help="with tls://: this gateway's certificate")
    verb.add_argument("--cstore-cert-key", type=Path, metavar="FILE", help="with tls://: the certificate's key")
    verb.add_argument("--json", action="store_true", help="print JSON")
    verb.set_defaults(run=run_cstore, act=run)
    return verb


def _key_verb(verbs: Any, name: str, help_: str, run: Callable[..., None]) -> ArgumentParser:
    verb = _verb(verbs, name, help_, run)
    verb.add_argument("bucket", metavar="BUCKET", help="name of the bucket")
    verb.add_argument("key_name", metavar="KEY", help="name of the key, at most 256 bytes")
    verb.add_argument("--field", default="", metavar="F", help="one field of the key")
    return verb


def run_cstore(arguments: Namespace) -> int:
    """Run one verb; what the stores raise becomes a CommandError."""
    from gateway.storage import cstore_record, errors

    try:
        arguments.act(arguments)
    except (cstore_record.Refused, cstore_record.Conflict, errors.Refused) as error:
        raise CommandError(str(error), Exit.REFUSED) from error
    except cstore_record.Untrusted as error:
        raise CommandError(str(error), Exit.TRUST) from error
    except cstore_record.Unavailable as error:
        raise CommandError(str(error), Exit.TIMEOUT) from error
    except (cstore_record.CstoreError, errors.StoreError) as error:
        raise CommandError(str(error)) from error
    return int(Exit.OK)


def define(arguments: Namespace) -> None:
    from gateway.commands.cstore_open import open_store, parse_address
    from gateway.storage.cstore_record import Access, check_bucket

    check_bucket(arguments.bucket)  # before a store is made for it
    readers, writers = (tuple(map(parse_address, texts)) for texts in (arguments.reader, arguments.writer))
    with open_store(arguments, make=True) as store:
        access = Access(None if arguments.everyone_reads else readers, writers)
        _print_write(store.define(arguments.bucket, access), arguments)


def get(arguments: Namespace) -> None:
    from gateway.commands.cstore_open import open_store

    with open_store(arguments) as store:
        record = store.get(arguments.bucket, arguments.key_name, arguments.field)
    if record is None:
        raise _absent(arguments)
    if arguments.json:
        print(json.dumps(_shown(record), indent=2))
    else:
        sys.stdout.buffer.write(record.value or b"")
        sys.stdout.buffer.flush()


def put(arguments: Namespace) -> None:
    from gateway.commands.cstore_open import open_store

    value, ttl_ms = _value(arguments), _ttl_ms(arguments)
    with open_store(arguments) as store:
        _print_write(store.put(arguments.bucket, arguments.key_name, value, ttl_ms, arguments.field), arguments)


def cas(arguments: Namespace) -> None:
    from gateway.commands.cstore_open import open_store

    value, ttl_ms, at = _value(arguments), _ttl_ms(arguments), arguments.revision
    with open_store(arguments) as store:
        _print_write(store.cas(arguments.bucket, arguments.key_name, at, value, ttl_ms, arguments.field), arguments)


def delete(arguments: Namespace) -> None:
    from gateway.commands.cstore_open import open_store

    with open_store(arguments) as store:
        record = store.delete(arguments.bucket, arguments.key_name, arguments.revision, arguments.field)
    if record is None:
        raise _absent(arguments)
    _print_write(record, arguments)


def ls(arguments: Namespace) -> None:
    from gateway.commands.cstore_open import open_store

    after = f"{arguments.after}\0{arguments.after_field}" if arguments.after_field else arguments.after
    with open_store(arguments) as store:
        found = store.ls(arguments.bucket or "buckets", arguments.prefix, after, arguments.limit)
    show = _shown if arguments.bucket else _shown_bucket
    if arguments.json:
        print(json.dumps([show(record) for record in found], indent=2))
        return
    for record in found:
        print(_line(record))


def watch(arguments: Namespace) -> None:
    from gateway.commands.cstore_open import open_store

    with open_store(arguments) as store:
        for number, record in enumerate(store.watch(arguments.bucket, arguments.prefix, arguments.since), 1):
            print(json.dumps(_shown(record)) if arguments.json else _line(record), flush=True)
            if number == arguments.count:
                return


def backup(arguments: Namespace) -> None:
    from gateway.commands.cstore_snapshots import backup as run

    run(arguments)


def restore(arguments: Namespace) -> None:
    from gateway.commands.cstore_snapshots import restore as run

    run(arguments)


def _absent(arguments: Namespace) -> CommandError:
    return CommandError(f"{arguments.bucket}: {arguments.key_name!r} is absent", Exit.NOTHING_TO_DO)


def _value(arguments: Namespace) -> bytes:
    from gateway.storage.cstore_record import VALUE_MAX_BYTES

    if (arguments.value is None) == (arguments.file is None):
        raise CommandError("value: wanted VALUE or --file FILE, one of them", Exit.USAGE)
    if arguments.file is None:
        return bytes(arguments.value.encode(errors="surrogateescape"))
    path: Path = arguments.file
    with sys.stdin.buffer if str(path) == "-" else path.open("rb") as file:
        return file.read(VALUE_MAX_BYTES + 1)


def _ttl_ms(arguments: Namespace) -> int:
    if not (arguments.ttl == 0 or 0.001 <= arguments.ttl < 1e9):
        raise CommandError(f"--ttl: got {arguments.ttl}, wanted seconds, 0.001 or more", Exit.USAGE)
    return int(round(arguments.ttl * 1000))


def _print_write(record: "Record", arguments: Namespace) -> None:
    if arguments.json:
        print(json.dumps(_shown(record), indent=2))
    else:
        print(f"{record.bucket} {record.key!r}: revision {record.revision}")


def _shown(record: "Record") -> dict[str, Any]:
    """A record as JSON; a value that is no text is in hex."""
    fields: dict[str, Any] = {
        "bucket": record.bucket,
        "key": record.key,
        "field": record.field,
        "revision": record.revision,
        "sequence": record.sequence,
        "owner": f"0x{record.owner.hex()}",
        "accepted_ms": record.stored_ms,
        "ttl_ms": record.ttl_ms,
    }
    if record.value is None:
        return {**fields, "deleted": True}
    try:
        return {**fields, "value": record.value.decode()}
    except UnicodeDecodeError:
        return {**fields, "value_hex": record.value.hex()}


def _shown_bucket(record: "Record") -> dict[str, Any]:
    """A bucket's record as JSON."""
    from gateway.storage.cstore_record import decode_access

    access = decode_access(record.value or b"")
    readers = None if access.readers is None else [f"0x{address.hex()}" for address in access.readers]
    return {
        "bucket": record.name,
        "owner": f"0x{record.owner.hex()}",
        "readers": "everyone" if readers is None else readers,
        "writers": [f"0x{address.hex()}" for address in access.writers],
        "revision": record.revision,
    }


def _line(record: "Record") -> str:
    """A record as one line of printable characters."""
    name = record.key + (f" {record.field}" if record.field else "")
    size = "deleted" if record.value is None else f"{len(record.value):,} bytes"
    return f"{record.sequence:>8}  {name}  revision {record.revision}, {size}, by 0x{record.owner.hex()}"

"""Opens the CSTORE that a command line names; refuses to make one for a verb that only uses it."""

import contextlib
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from coincurve import PrivateKey

from gateway import curve, keys, ratio1
from gateway.errors import CommandError, Exit
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_engine import Engine
from gateway.storage.cstore_nats_options import parse_url
from gateway.storage.cstore_sqlite import SqliteEngine


@contextlib.contextmanager
def open_store(arguments: Namespace, make: bool = False) -> Iterator[Cstore]:
    """The store that the arguments name, as the holder of their key uses it.

    Raises:
        CommandError: there is none and `make` is not given, or an argument names nothing.
        CstoreError: as the engines and Cstore raise it.
    """
    key = load_key(arguments)
    own = curve.address(key.public_key.format())
    owner = parse_address(arguments.owner) if arguments.owner else own if arguments.cstore else None
    with open_engine(arguments, make) as engine:
        store = Cstore(engine, key, owner)
        yield store
        if store.replica.refused:
            _note(f"{store.replica.refused} entries of the store are no records and were left out")


@contextlib.contextmanager
def open_engine(arguments: Namespace, make: bool) -> Iterator[Engine]:
    """The engine that the arguments name, closed in the end. What it has to say goes to stderr."""
    engine: Engine
    if arguments.cstore:
        if arguments.store:
            raise CommandError("--store: got one with --cstore, wanted one of them", Exit.USAGE)
        engine = _cluster(arguments)
    else:
        path: Path = arguments.store or arguments.site / "cstore.sqlite"
        if not path.exists() and not make:
            raise CommandError(f"{path}: there is no store; `tinyren cstore define BUCKET` makes one", Exit.USAGE)
        engine = SqliteEngine(path)
    try:
        for note in engine.notes():
            _note(note)
        yield engine
    finally:
        engine.close()


def site_engine(folder: Path, arguments: Namespace) -> Engine:
    """The engine of a running site: the cluster that the arguments name, or its own file, made if there is none."""
    return _cluster(arguments) if arguments.cstore else SqliteEngine(folder / "cstore.sqlite")


def _cluster(arguments: Namespace) -> Engine:
    options = replace(
        parse_url(arguments.cstore),
        credentials=arguments.cstore_credentials,
        ca=arguments.cstore_ca,
        certificate=arguments.cstore_cert,
        key=arguments.cstore_cert_key,
    )
    try:
        from gateway.storage.cstore_nats import NatsEngine
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is missing; install it: pip install 'tinyren[nats]'", Exit.USAGE) from error
    return NatsEngine(options)


def load_key(arguments: Namespace) -> PrivateKey:
    return keys.load_existing(arguments.key or arguments.site / "keys" / "gateway.key")


def parse_address(text: str) -> bytes:
    """An address from 0x and 40 hex digits, or from a Ratio1 address."""
    try:
        if text.startswith(curve.RATIO1_PREFIX):
            return curve.address(ratio1.decode_address(text))
        if len(text) == 42 and text.startswith("0x"):
            return bytes.fromhex(text[2:])
    except ValueError:
        pass
    raise CommandError(f"address: got {text[:64]!r}, wanted 0x and 40 hex digits, or 0xai_...", Exit.USAGE)


def _note(text: str) -> None:
    print(f"tinyren: note: {text}", file=sys.stderr)

"""`tinyren r1fs`: files and folders by CID from the command line; seals what it adds unless it is told not to."""

import base64
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import new_progress, positive, print_json
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from coincurve import PrivateKey

    from gateway.progress import Progress
    from gateway.storage.embedded import Embedded
    from gateway.storage.kubo import Kubo

STORE = Path("site/r1fs")
STEP_BYTES = 256 << 20
PORT = 8421
Run = Callable[[Namespace, "Meter"], dict[str, Any]]


def add_r1fs(commands: Any) -> None:
    """The command `r1fs` and its verbs."""
    verbs = commands.add_parser("r1fs", help="keep files and folders by CID").add_subparsers(
        metavar="VERB", required=True
    )
    add_ = add_verb(verbs, "add", "keep a file or folder, sealed and pinned", add)
    add_.add_argument("path", type=Path, metavar="FILE|FOLDER", help="what to keep")
    add_.add_argument("--plain", action="store_true", help="do not seal it: whoever has the CID can read it")
    add_.add_argument("--reader", type=reader, action="append", default=[], metavar="PUBKEY",
                      help="may open it too: 66 hex digits or 0xai_...; may be repeated")  # fmt: skip
    _key(add_)
    get_ = add_verb(verbs, "get", "write a file or folder to a disk, opened", get)
    get_.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="where to")
    get_.add_argument("--sealed", action="store_true", help="as it is kept, not opened")
    get_.add_argument("--max-bytes", type=_count, metavar="N", help="write at most so many (default: 64 GiB)")
    _key(get_)
    ls_ = add_verb(verbs, "ls", "list what is pinned, or a folder", ls)
    ls_.add_argument("cid", nargs="?", metavar="CID", help="a folder (default: list the pins)")
    pin_ = add_verb(verbs, "pin", "keep everything below a CID, fetched where missing", pin)
    unpin_ = add_verb(verbs, "unpin", "keep it no longer than the next gc", unpin)
    for verb in (get_, pin_, unpin_):
        verb.add_argument("cid", metavar="CID", help="of the file or folder")
    add_verb(verbs, "gc", "free what no pin reaches", gc)
    add_verb(verbs, "verify", "read every block again; heal from peers", verify)
    car = verbs.add_parser("car", help="take a graph out of a store, or into it").add_subparsers(
        metavar="VERB", required=True
    )
    export = add_verb(car, "export", "write everything below a CID as a CAR v1 file", car_export)
    export.add_argument("cid", metavar="CID", help="of the file or folder")
    export.add_argument("-o", "--out", type=Path, required=True, metavar="OUT.car", help="where to")
    add_verb(car, "import", "keep what a CAR v1 file brings, its roots pinned", car_import).add_argument(
        "file", type=Path, metavar="FILE.car", help="as `car export` writes it"
    )
    serve_ = add_verb(verbs, "serve", "lend blocks to other gateways, until Ctrl-C", serve)
    serve_.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (default: loopback)")
    serve_.add_argument("--port", type=_count, default=PORT, metavar="P", help="TCP port (default: %(default)s)")


def reader(text: str) -> bytes:
    """An argument that must be a public key; whether it is a point of the curve is asked later."""
    try:
        key = base64.urlsafe_b64decode(text[5:] + "==") if text.startswith("0xai_") else bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 33:
        raise ArgumentTypeError(f"got {text!r}, wanted 66 hex digits of a compressed public key, or 0xai_...")
    return key


def add(arguments: Namespace, meter: "Meter") -> dict[str, Any]:
    from gateway.storage import sealed
    from gateway.storage.folders import pack, read_path, scan
    from gateway.storage.streams import ahead

    path = arguments.path
    is_folder = path.is_dir()
    if not path.exists():
        raise CommandError(f"{path}: got nothing, wanted a file or folder that is there", Exit.USAGE)
    if arguments.plain and arguments.reader:
        raise CommandError("--reader: got one beside --plain, wanted one of both", Exit.USAGE)
    meter.expect(path)
    count = meter.count if arguments.ipfs else iter  # a store of ours counts by itself
    with open_store(arguments, meter) as store:
        if arguments.plain:
            added = store.add_folder(path) if is_folder else store.add(count(read_path(path)))
            return added._asdict()
        readers = [*arguments.reader, _own_key(arguments).public_key.format()]
        content = pack(scan(path)) if is_folder else read_path(path)
        kind = sealed.FOLDER if is_folder else sealed.FILE
        added = store.add(ahead(sealed.seal(count(content), readers, kind)))
        return {**added._asdict(), "readers": len(set(readers))}


def get(arguments: Namespace, meter: "Meter") -> dict[str, Any]:
    from gateway.storage.folders import Limits, save

    limits = Limits(arguments.max_bytes) if arguments.max_bytes else Limits()
    with open_store(arguments, meter) as store:
        key = None if arguments.sealed else _opening_key(arguments)
        return {"out": str(arguments.out), "bytes": save(store, arguments.cid, arguments.out, key, limits)}


def ls(arguments: Namespace, meter: "Meter") -> dict[str, Any]:
    with open_store(arguments, meter) as store:
        if arguments.cid is None:
            return {"pins": [pin._asdict() for pin in store.pins()]}
        entries = store.entries(arguments.cid)
        if entries is None:
            raise CommandError(f"{arguments.cid}: got a file, wanted a folder", Exit.REFUSED)
        return {"entries": [entry._asdict() for entry in entries]}


def pin(arguments: Namespace, meter: "Meter") -> dict[str, Any]:
    with open_store(arguments, meter) as store:
        store.pin(arguments.cid)
        return {"pinned": arguments.cid}


def unpin(arguments: Namespace, meter: "Meter") -> dict[str, Any]:
    with open_store(arguments, meter) as store:
        if not store.unpin(arguments.cid):
            raise CommandError(f"{arguments.cid}: is not pinned", Exit.NOTHING_TO_DO)
        return {"unpinned": arguments.cid}


def gc(arguments: Namespace, meter: "Meter") -> dict[str, Any]:
    with open_store(arguments, meter) as store:
        freed = store.collect()
        return {"blocks": len(freed.cids), "bytes": freed.bytes}


def verify(arguments: Namespace, meter: "Meter") -> dict[str, Any]:
    with open_embedded(arguments, meter) as store:
        found = store.check()
        return {**found._asdict(), "code": Exit.FAILED if found.damaged or found.incomplete else Exit.OK}


def car_export(arguments: Namespace, meter: "Meter") -> dict[str, Any]:
    from gateway.storage.folders import write_whole

    with open_store(arguments, meter) as store:
        return {"out": str(arguments.out), "bytes": write_whole(arguments.out, store.export_car(arguments.cid))}


def car_import(arguments: Namespace, meter: "Meter") -> dict[str, Any]:
    meter.expect(arguments.file)
    with arguments.file.open("rb") as file, open_store(arguments, meter) as store:
        return {"roots": store.import_car(file)}


def serve(arguments: Namespace, meter: "Meter") -> dict[str, Any]:
    from gateway.commands.r1fs_serve import LOOPBACK, listen, run

    with open_embedded(arguments, meter) as store:
        listener = listen(arguments.host, arguments.port)
        host, port = listener.getsockname()[:2]
        meter.progress.say(f"blocks at http://{host}:{port}/ipfs/" + (", /api/v0" if host in LOOPBACK else ""))
        run(store, listener)
        return {"served": f"{host}:{port}"}


class Meter:
    """How far a transfer is: a share of what was expected, or a line for each STEP_BYTES."""

    def __init__(self, name: str, progress: "Progress") -> None:
        self._name, self.progress, self._bytes, self._expected = name, progress, 0, 0

    def expect(self, path: Path) -> None:
        """So many bytes as a file, or all in a folder, have."""
        files = path.rglob("*") if path.is_dir() else [path]
        self._expected = sum(file.lstat().st_size for file in files if file.is_file())

    def come(self, size: int) -> None:
        before, self._bytes = self._bytes, self._bytes + size
        if self._expected > STEP_BYTES:
            self.progress.step(self._name, min(self._bytes / self._expected, 1))
        elif not self._expected and before // STEP_BYTES < self._bytes // STEP_BYTES:
            self.progress.say(f"{self._name}: {self._bytes >> 20:,} MiB")

    def count(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.come(len(chunk))
            yield chunk


@contextmanager
def open_store(arguments: Namespace, meter: Meter) -> Iterator["Embedded | Kubo"]:
    """The store of --store, or the node of --ipfs."""
    if arguments.ipfs is None:
        with open_embedded(arguments, meter) as store:
            yield store
        return
    from gateway.storage.kubo import Kubo

    if arguments.peer:
        raise CommandError("--peer: got one beside --ipfs, wanted one of both: the node has its own peers", Exit.USAGE)
    with closing(Kubo(arguments.ipfs)) as node:
        yield node


@contextmanager
def open_embedded(arguments: Namespace, meter: Meter) -> Iterator["Embedded"]:
    from gateway.storage.embedded import Embedded
    from gateway.storage.peers import HttpPeer

    if arguments.ipfs is not None:
        raise CommandError("--ipfs: this is done by the node itself", Exit.USAGE)
    peers = [HttpPeer(url) for url in arguments.peer]
    with closing(Embedded(arguments.store, peers, progress=meter.come)) as store:
        yield store


def _own_key(arguments: Namespace) -> "PrivateKey":
    from gateway.keys import load_or_make

    return load_or_make(_key_file(arguments))


def _opening_key(arguments: Namespace) -> "PrivateKey":
    """Your own key; where there is none, a new one that opens nothing and is not kept."""
    from coincurve import PrivateKey

    from gateway.keys import load

    try:
        return load(_key_file(arguments))
    except FileNotFoundError:
        return PrivateKey()


def _key_file(arguments: Namespace) -> Path:
    path: Path = arguments.key or arguments.store.absolute().parent / "keys" / "gateway.key"
    return path


def _key(command: ArgumentParser) -> None:
    command.add_argument("--key", type=Path, metavar="FILE",
                         help="your own key, 64 hex digits (default: keys/gateway.key beside the store)")  # fmt: skip


def add_verb(verbs: Any, name: str, help_: str, run: Run) -> ArgumentParser:
    """A verb that works on the store of --store or the node of --ipfs; `run` gives what --json prints."""
    command: ArgumentParser = verbs.add_parser(name, help=help_)
    command.add_argument("--store", type=Path, default=STORE, metavar="DIR", help="(default: %(default)s)")
    command.add_argument("--ipfs", metavar="ADDR", help="use this IPFS node's API, http://HOST:PORT, not a store")
    command.add_argument("--peer", action="append", default=[], metavar="URL",
                         help="ask this gateway for what is missing; may be repeated")  # fmt: skip
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=lambda arguments: _run(name, run, arguments))
    return command


def _run(name: str, run: Run, arguments: Namespace) -> int:
    from gateway.storage.errors import Refused, StoreError

    try:
        result = run(arguments, Meter(name, new_progress()))
    except Refused as error:
        raise CommandError(str(error), Exit.REFUSED) from error
    except StoreError as error:
        raise CommandError(str(error)) from error
    code = result.pop("code", Exit.OK)
    if arguments.json:
        print_json(result)
    else:
        print(_text(result))
    return int(code)


def _text(result: dict[str, Any]) -> str:
    """Lists as a line an item, everything else as a line a field."""
    lines = []
    for name, value in result.items():
        if isinstance(value, list):
            lines += ["  ".join(map(_shown, item.values())) if isinstance(item, dict) else str(item) for item in value]
        else:
            lines.append(f"{name}: {_shown(value)}")
    return "\n".join(lines) or "nothing"


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _count(text: str) -> int:
    return positive(text)

"""What the tests of R1FS share: content by its rule, stores in folders, and a store behind a real HTTP server."""

import hashlib
import json
import threading
from contextlib import contextmanager
from pathlib import Path

from gateway.commands.r1fs_serve import listen, server
from gateway.storage.cid import DAG_PB, cid_of, encode_text
from gateway.storage.embedded import Embedded

VECTORS = json.loads((Path(__file__).parent / "vectors" / "r1fs.json").read_text())
HELLO = b"hello, store\n"
ABSENT = encode_text(cid_of(b"what nobody has", DAG_PB))


def content(size):
    """The bytes that the vectors' rule names."""
    return hashlib.shake_128(f"tinyren r1fs {size}".encode()).digest(size)


def pieces(data, size=100_003):
    return [data[at : at + size] for at in range(0, len(data), size)]


def joined(chunks):
    return b"".join(chunks)


def packs(folder):
    """The files that hold a store's blocks, and what is left of writing them."""
    return sorted((Path(folder) / "packs").iterdir())


def facts(store):
    """What a store keeps, to be compared before and after."""
    return store.pins(), store.check()


def tree(folder):
    """{path: bytes, or None for a folder} of everything in a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in Path(folder).rglob("*")
    }


@contextmanager
def served(store):
    """The URL of a store's server, which runs in a thread meanwhile."""
    listener = listen("127.0.0.1", 0)
    running = server(store, listener)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def store_in(folder, *arguments, **options):
    store = Embedded(folder, *arguments, **options)
    try:
        yield store
    finally:
        store.close()

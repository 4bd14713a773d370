"""What the tests of backups stand on: a gateway's folder with everything in it, and backups made of a few members."""

import sqlite3
from contextlib import closing

from coincurve import PrivateKey

from gateway import cli
from gateway.edge import backup_file, restore
from gateway.edge.backup_file import Member, Secret
from gateway.intake.evidence import Evidence, Window
from gateway.intake.registry import Registry
from gateway.site import site_file
from gateway.site.site_file import Site
from gateway.storage.embedded import Embedded

KEY = Secret(key=PrivateKey(b"\x01" * 32))
ABOUT = {"version": cli.VERSION, "made_ms": 1, "gateway": "0x1", "epoch": 1, "pins": []}
COSE = b"\xd2" + bytes(100)


def tree(folder):
    """Content by name; what SQLite makes and removes beside its files does not count."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def member(name, content=b"x", mode=0o600):
    return Member(name, len(content), mode, [content])


def packed(*members, secret=KEY, about=ABOUT):
    return b"".join(backup_file.write(members, about, secret))


def unpack(content, folder, secret=KEY):
    return restore.restore([content], folder, secret)


def window(number):
    return Window(number, 1000 * number, 5 + number, bytes(32), bytes(14))


def make_site(folder):
    """A gateway's folder with everything that one has, an epoch closed and one open."""
    folder.mkdir()
    site_file.write(folder, Site(boards=[], gateway="0xabc"))
    (folder / "keys").mkdir(mode=0o700)
    for name, text in (("keys/gateway.key", "1f" * 32), ("config.toml", "[page]\nport = 1001\n"), ("lock", "")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    (folder / "logs").mkdir()
    (folder / "logs/oracle-1.log").write_text("long")
    Registry(folder / "state.sqlite").close()
    with closing(sqlite3.connect(folder / "chain.sqlite")) as chain:
        chain.execute("CREATE TABLE node (key BLOB)")
    with closing(Embedded(folder / "r1fs")) as store:
        store.add([b"a model"])
    kept = Evidence(folder / "evidence")
    for epoch in (1, 2):
        kept.open_epoch(epoch, 12, 5000, 1000)
        kept.open_window(window(0))
        kept.append([(1000, COSE)])
        if epoch == 1:
            kept.close_epoch(9000, 9)
    kept.release()
    return folder

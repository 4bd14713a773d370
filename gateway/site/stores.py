"""The stores of a running site: CSTORE and R1FS, open for every part of it; refuses to hold up an epoch for them.

One thread keeps, in R1FS, what would be missed on an empty machine:
1. After an epoch is closed: all of CSTORE, signed and sealed for the gateway's key, if it is not what was kept last.
   The one before is unpinned once the new one is noted. A crash between adding and noting leaves one pin too many.
2. After an epoch is settled: its two evidence files, plain, as audit_evidence lends them to whoever knows the chain.
What cannot be kept now (no space, cluster away) is told, and tried again when the next epoch is closed or settled.
"""

import contextlib
import hashlib
import queue
import sqlite3
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from coincurve import PrivateKey
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from gateway import curve
from gateway.audit import evidence as audit_evidence
from gateway.commands.cstore_open import parse_address, site_engine
from gateway.errors import CommandError
from gateway.oracle.availability import EvidenceError
from gateway.storage import api_v0, cstore_backup, gateway_http
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_record import CstoreError
from gateway.storage.embedded import Embedded
from gateway.storage.errors import StoreError
from gateway.storage.peers import HttpPeer

TOLD = 1000
NAME = "stores.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS backup
    (epoch INTEGER NOT NULL, digest BLOB NOT NULL, cid TEXT NOT NULL, bytes INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS evidence
    (epoch INTEGER PRIMARY KEY, cid TEXT NOT NULL, bytes INTEGER NOT NULL) STRICT;
"""


class _Backup(NamedTuple):
    epoch: int
    digest: bytes
    cid: str
    bytes: int


class Stores:
    """The site's stores.

    Args:
        folder: SITE. key: the gateway's, which signs what the site writes and opens what is sealed for it.
        options: of the command line: `cstore` and what belongs to it, `peer`.
        notice: tells a person. lending: where further gateways lend what they have; looked at whenever it matters.

    Attributes:
        cstore, r1fs: for every part of the site, from any thread. notes: what a person must know of them.
        failure: why `run` ended without being asked to, or None.
    """

    def __init__(
        self,
        folder: Path,
        key: PrivateKey,
        options: Namespace,
        notice: Callable[[str], None],
        lending: Collection[str] = (),
    ) -> None:
        """Open both; CommandError: one of them cannot be used."""
        self._evidence, self._key, self._notice = folder / "evidence", key, notice
        self.failure: Exception | None = None
        self._events: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()
        self._ends = contextlib.ExitStack()
        try:
            self._lending, self._peers = lending, [HttpPeer(url) for url in (*lending, *(options.peer or ()))]
            self.r1fs = Embedded(folder / "r1fs", self._peers)
            self._ends.callback(self.r1fs.close)
            engine = site_engine(folder, options)
            self._ends.callback(engine.close)
            self.notes = [f"CSTORE: {note}" for note in engine.notes()]
            self.cstore = Cstore(engine, key, _owner(key, options))
            self._kept = sqlite3.connect(folder / NAME, check_same_thread=False, isolation_level=None)
            self._ends.callback(self._kept.close)
            self._kept.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")
            self._backup = self._tidied()
            rows = self._kept.execute("SELECT epoch, cid FROM evidence ORDER BY epoch DESC LIMIT ?", (TOLD,)).fetchall()
        except (CstoreError, StoreError) as error:
            self._ends.close()
            raise CommandError(str(error)) from error
        except sqlite3.DatabaseError as error:
            self._ends.close()
            what = f"{error}; if it is damaged, move it away: evidence is added again, one backup stays pinned"
            raise CommandError(f"{folder / NAME}: {what}") from error
        self._bundles: deque[tuple[int, str]] = deque(reversed(rows), TOLD)

    def close(self) -> None:
        """Let go of both."""
        self._ends.close()

    def told(self) -> dict[str, Any]:
        """What `--json` and the page say: CIDs of the newest backup and of each epoch's evidence."""
        kept = self._backup
        return {
            "backup": {"epoch": kept.epoch, "cid": kept.cid, "bytes": kept.bytes} if kept else None,
            "evidence": [{"epoch": epoch, "cid": cid} for epoch, cid in list(self._bundles)],
        }

    def routes(self) -> list[BaseRoute]:
        """For the page: /ipfs/CID lends blocks, /api/v0 is IPFS's API; both on loopback, as the page is."""
        api = Mount("/api/v0", Starlette(routes=api_v0.routes(self.r1fs)))
        return [api, gateway_http.route(self.r1fs.get_here)]

    def bundle(self, cid: str) -> Iterator[bytes]:
        """A further gateway's evidence of an epoch, in pieces; StoreError, also while they come: nobody has it."""
        known = set(map(str, self._peers))
        self._peers += [HttpPeer(url) for url in self._lending if url not in known]
        return self.r1fs.read(cid)

    def closed(self, epoch: int) -> None:
        """An epoch was closed."""
        self._events.put(("closed", epoch))

    def settled(self, epoch: int) -> None:
        """All epochs up to this one are settled."""
        self._events.put(("settled", epoch))

    def stop(self) -> None:
        """Have `run` return once all that it was told of is kept."""
        self._events.put(None)

    def run(self) -> None:
        """Keep until `stop`."""
        try:
            while event := self._events.get():
                self._keep(*event)
        except Exception as error:
            self.failure = error
            raise

    def _keep(self, what: str, epoch: int) -> None:
        try:
            if what == "closed":
                self._keep_backup(epoch)
            else:
                self._keep_evidence(epoch)
        except (CstoreError, StoreError, EvidenceError, OSError, sqlite3.OperationalError) as error:
            thing = "the backup of CSTORE" if what == "closed" else "the evidence"
            self._notice(f"epoch {epoch}: {thing} is not in R1FS: {error}; tried again with the next epoch")

    def _keep_backup(self, epoch: int) -> None:
        digest = hashlib.sha256()
        for piece in cstore_backup.snapshot(self.cstore, self._key):
            digest.update(piece)
        if self._backup and self._backup.digest == digest.digest() and self.r1fs.has(self._backup.cid):
            return
        added = cstore_backup.backup(self.cstore, self._key, self.r1fs)
        row = _Backup(epoch, digest.digest(), added.cid, added.bytes)
        self._kept.execute("INSERT INTO backup VALUES (?, ?, ?, ?)", row)
        self._backup = self._tidied()

    def _tidied(self) -> _Backup | None:
        """The newest backup that is noted; those before it are unpinned and forgotten."""
        rows = [_Backup(*row) for row in self._kept.execute("SELECT * FROM backup ORDER BY rowid DESC")]
        for old in rows[1:]:
            self.r1fs.unpin(old.cid)
            self._kept.execute("DELETE FROM backup WHERE cid = ?", (old.cid,))
        return rows[0] if rows else None

    def _keep_evidence(self, epoch: int) -> None:
        (last,) = self._kept.execute("SELECT coalesce(max(epoch), 0) FROM evidence").fetchone()
        for number in range(last + 1, epoch + 1):
            cid = audit_evidence.lend(self.r1fs, self._evidence, number)
            size = sum(path.stat().st_size for path in audit_evidence.paths(self._evidence, number))
            self._kept.execute("INSERT INTO evidence VALUES (?, ?, ?)", (number, cid, size))
            self._bundles.append((number, cid))


def _owner(key: PrivateKey, options: Namespace) -> bytes | None:
    """Whose CSTORE it must be: on a cluster the gateway's own or the one that is named; a file is whosever it is."""
    if options.cstore_owner:
        return parse_address(options.cstore_owner)
    return curve.address(key.public_key.format()) if options.cstore else None

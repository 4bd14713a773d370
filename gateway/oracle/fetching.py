"""Brings gateways' bundles to an oracle and verifies them; refuses to make the oracle wait for a further gateway.

What the site's own gateway has lies in its folder and is looked at at once. A further gateway's bundle comes from R1FS
by a thread of that gateway's, one at a time: who withholds or drips his holds up nobody else's. An answer is the
bundle with the windows that do not count, or nothing: then it is asked for again.
"""

import contextlib
import queue
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gateway.intake import evidence
from gateway.oracle import bundles
from gateway.oracle.availability import EvidenceError
from gateway.oracle.commitments import as_ranges
from gateway.oracle.effects import Fetch
from gateway.oracle.messages import Site
from gateway.oracle.rpc import ChainAway, ChainReader
from gateway.oracle.statements import Bundle
from gateway.oracle.witness import Witness
from gateway.storage.embedded import Embedded
from gateway.storage.errors import StoreError
from gateway.storage.peers import HttpPeer

PEER_S = 5.0
Shape = tuple[int, int]
"""(windows an epoch, length of one in ms)"""


class Fetching:
    """What is fetched for one oracle.

    Args:
        site: SITE; store: the oracle's own folder. shape: what a further gateway's evidence must be of.
        peers: where further gateways lend. witness: what was seen committed; None: commitments are not judged.
        say: tells the log; called on any thread.
    """

    def __init__(
        self,
        site: Path,
        store: Path,
        place: Site,
        chain: ChainReader,
        shape: Shape,
        peers: Sequence[str],
        witness: Witness | None,
        say: Callable[[str], None],
    ) -> None:
        self._site, self._store, self._place, self._chain = site, store, place, chain
        self._shape, self._peers, self._witness, self._say = shape, peers, witness, say
        self._busy: set[bytes] = set()
        self._done: queue.SimpleQueue[tuple[int, Bundle]] = queue.SimpleQueue()
        for torn in (store / "bundles").glob("*.part"):
            shutil.rmtree(torn, ignore_errors=True)

    def folder_of(self, bundle: Bundle) -> Path:
        """The site's own evidence, or where a bundle is unpacked."""
        return self._store / "bundles" / bundle.digest.hex() if bundle.cid else self._site / "evidence"

    def forget(self, settled: int) -> None:
        """What was brought here for epochs before the settled one is not needed any more: the site keeps it."""
        for folder in (self._store / "bundles").glob("*"):
            if folder.suffix != ".part" and 0 < evidence.last_epoch(folder) < settled:
                shutil.rmtree(folder, ignore_errors=True)

    def start(self, fetch: Fetch) -> None:
        """Fetch a bundle, unless its gateway is being asked already."""
        if not fetch.bundle.cid:
            self._run(fetch)
        elif fetch.bundle.gateway not in self._busy:
            self._busy.add(fetch.bundle.gateway)
            threading.Thread(target=self._run, args=(fetch,), daemon=True, name="fetch").start()

    def done(self) -> Iterator[tuple[int, Bundle]]:
        """(epoch, bundle) of what has come since the last call."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._done.get_nowait()

    def _run(self, fetch: Fetch) -> None:
        try:
            self._done.put((fetch.epoch, self._fetch(fetch.epoch, fetch.bundle)))
        except (EvidenceError, ChainAway, StoreError, OSError) as error:
            self._say(f"epoch {fetch.epoch}: {error}; from gateway 0x{fetch.bundle.gateway.hex()}")
        finally:
            self._busy.discard(fetch.bundle.gateway)

    def _fetch(self, epoch: int, bundle: Bundle) -> Bundle:
        folder = self.folder_of(bundle)
        if bundle.cid and not _is_here(folder, epoch, bundle.digest):
            peers = [HttpPeer(url, PEER_S) for url in self._peers]  # the site's R1FS, or a further gateway
            with contextlib.closing(Embedded(self._site / "r1fs", peers)) as r1fs:
                bundles.unpack(r1fs.read(bundle.cid), bundle, epoch, self._place, folder)
        windows, lost = bundles.verify_bundle(folder, epoch, bundle, self._chain.block_hash)
        if bundle.cid and self._peers and (windows.count, windows.window_ms) != self._shape:
            got = f"{windows.count} windows of {windows.window_ms} ms"
            raise EvidenceError(f"{got}, the site has {self._shape[0]} of {self._shape[1]} ms")
        late: tuple[tuple[int, int], ...] = ()
        if self._witness is not None:
            late = bundles.missing_of(folder, windows, self._witness.seen(bundle.gateway, epoch))
        uncounted = {*lost, *(number for first, last in late for number in range(first, last + 1))}
        return replace(bundle, missing=as_ranges(sorted(uncounted)))


def _is_here(folder: Path, epoch: int, digest: bytes) -> bool:
    """Whether a bundle was unpacked before, whole: a disk may have lost or damaged it since."""
    try:
        return evidence.digest(folder, epoch) == digest
    except OSError:
        return False

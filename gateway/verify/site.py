"""Joins the second scorer (verify.py) with a site's chain: the running site's JSON-RPC, its file, or another node."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.chain import chain as chains
from gateway.chain.chain import Chain, ChainError
from gateway.errors import CommandError, Exit
from gateway.poai.jobs import VERIFIED
from gateway.poai.models import shipped
from gateway.settlement.accounts import Accounts
from gateway.settlement.escrow import Escrow
from gateway.settlement.settlement import Contracts, Settlement
from gateway.site import site_file
from gateway.site.site_file import Site
from gateway.verify.read import Job, Models
from gateway.verify.verify import Result, verify_epoch


class Reader:
    """What verify.py asks of a chain (verify_read.ChainReader)."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement
        self._posted = {posted.epoch: posted for posted in settlement.roots()}
        self._hashes: dict[int, bytes] = {}

    def block_hash(self, number: int) -> bytes | None:
        if number not in self._hashes:  # asked for once by each window, and by each claim of it
            try:
                self._hashes[number] = self._settlement.chain.block_hash(number)
            except ChainError:
                return None
        return self._hashes[number]

    def root(self, epoch: int) -> bytes | None:
        posted = self._posted.get(epoch)
        return posted.root if posted else None

    def evidence(self, epoch: int) -> bytes | None:
        posted = self._posted.get(epoch)
        return posted.evidence if posted else None

    def to_account(self, owners: Collection[bytes], epoch: int, block: int) -> set[bytes]:
        return Accounts(self._settlement).chosen(owners, epoch, block)

    def jobs(self, epoch: int, deeds: Collection[int], block: int) -> list[Job]:
        address = self._settlement.contracts.escrow
        live = Escrow(self._settlement.chain, address).live(epoch, deeds, block) if address else []
        return [
            Job(job.escrow, job.number, job.model, set(job.workers) or None, job.most_units, job.price)
            for job in live
            if job.kind == VERIFIED
        ]

    def models(self) -> Models:
        return {cid: (*facts, known.runs[cid]) for known in [shipped()] for cid, facts in known.sizes.items()}

    def bindings(self, block: int) -> dict[int, tuple[bytes, int, list[bytes]]]:
        deeds = self._settlement.bindings(block).items()
        return {number: (deed.owner, deed.slots, list(deed.devices)) for number, deed in deeds if deed.devices}


def verify_site(folder: Path, epoch: int, rpc: str | None) -> Result:
    """The second scorer's verdict on an epoch of the site in `folder`.

    Raises:
        CommandError: there is no such site, its chain cannot be read, or it has not settled the epoch.
    """
    site = site_file.read(folder)
    if site is None or not site.contracts:
        raise CommandError(f"{folder}: wanted the folder of a site that `tinyren up` made", Exit.USAGE)
    with chain_of(folder, site, rpc) as chain:
        try:
            settlement = Settlement(chain, Contracts(**site.contracts))
            if epoch > (last := settlement.epoch()):
                got = f"epoch {epoch} is not settled yet, the last that is is {last}"
                raise CommandError(f"{folder}: {got}", Exit.NOTHING_TO_DO)
            return verify_epoch(folder, epoch, Reader(settlement))
        except ChainError as error:
            raise CommandError(f"chain: {error}", Exit.CHAIN) from error


@contextmanager
def chain_of(folder: Path, site: Site, rpc: str | None) -> Iterator[Chain]:
    """A site's chain, closed behind it: the node at `rpc`; or its own, whether the site runs or not.

    Raises:
        CommandError: nobody answers.
    """
    try:
        chain = _open(folder, site, rpc)
    except ChainError as error:
        raise CommandError(f"chain: {error}; is its page's port taken by another program?", Exit.CHAIN) from error
    try:
        yield chain
    finally:
        chain.close()


def _open(folder: Path, site: Site, rpc: str | None) -> Chain:
    """The named node; or the embedded chain's file; or, when a running site has that open, the site itself."""
    if rpc or site.chain_external:
        return chains.connect(rpc or site.chain_rpc)
    if not (folder / "chain.sqlite").is_file():
        raise ChainError(f"{folder / 'chain.sqlite'} is missing")
    try:
        return chains.open_embedded(folder / "chain.sqlite")
    except ChainError:
        return chains.connect(site.chain_rpc)

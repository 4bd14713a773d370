"""Explains a deed's epoch from a site's folder and its chain; refuses what the chain's root does not confirm.

Rules: the evidence must have the digest that the oracles signed, the leaves of this epoch and of the one before must
hash to the roots on chain, and the evidence must lead from the one to the other. Otherwise nothing is explained:
another sum than the one that is paid would mislead.
"""

from collections.abc import Iterator
from pathlib import Path

from eth_utils.address import to_checksum_address

from gateway.chain.chain import ChainError
from gateway.earnings.earnings import Explanation, Money, Worked, explain
from gateway.errors import CommandError, Exit
from gateway.intake import evidence
from gateway.intake.evidence_file import EvidenceDamaged
from gateway.oracle import epoch as epochs
from gateway.oracle.availability import EvidenceError, Heartbeat, Windows
from gateway.oracle.epoch import SignerKeys, Source
from gateway.poai import models
from gateway.poai.check import check_sources
from gateway.settlement import agreed, ledger
from gateway.settlement.accounts import Accounts
from gateway.settlement.read import SettlementChain
from gateway.settlement.settlement import Contracts, PostedRoot, Settlement
from gateway.settlement.tree import Leaves, root_of
from gateway.site import site_file
from gateway.verify.site import chain_of

Heard = tuple[Windows, Iterator[Heartbeat]]


def explain_site(folder: Path, deed: int, epoch: int, rpc: str | None = None) -> Explanation:
    """Why `deed` of the site in `folder` earned what it did in a settled epoch.

    Raises:
        CommandError: there is no such site, deed or settled epoch, or something is not what the chain says.
    """
    site = site_file.read(folder)
    if site is None or not site.contracts:
        raise CommandError(f"{folder}: wanted the folder of a site that `tinyren up` made", Exit.USAGE)
    with chain_of(folder, site, rpc) as chain:
        try:
            settlement = Settlement(chain, Contracts(**site.contracts))
        except TypeError as error:
            raise CommandError(f"{folder / site_file.NAME}: contracts: {error}", Exit.USAGE) from error
        return explain_with(folder, settlement, deed, epoch)


def explain_with(folder: Path, settlement: Settlement, deed: int, epoch: int) -> Explanation:
    """As explain_site, over a settlement that is open already."""
    try:
        return _explain(folder, settlement, deed, epoch)
    except ChainError as error:
        raise CommandError(f"chain: {error}", Exit.CHAIN) from error
    except (EvidenceDamaged, EvidenceError) as error:
        raise CommandError(f"epoch {epoch}: {error}; see `tinyren verify`", Exit.TRUST) from error
    except OSError as error:
        raise CommandError(f"epoch {epoch}: {error.filename}: {error.strerror}; restore the evidence") from error


def _explain(folder: Path, settlement: Settlement, deed: int, epoch: int) -> Explanation:
    posted = {item.epoch: item for item in settlement.roots()}
    if epoch not in posted:
        last = max(posted, default=0)
        raise CommandError(f"epoch {epoch} is not settled; wanted 1 to {last}, or wait", Exit.NOTHING_TO_DO)
    place = folder / "evidence"
    sources = agreed.sources(place, epoch, posted[epoch].evidence)
    if len(sources) == 1 and evidence.digest(sources[0].folder, epoch) != sources[0].digest:
        raise CommandError(f"{place}: epoch {epoch} is not the evidence that oracles signed; restore it", Exit.TRUST)
    heard, chain = sorted((_heard(source, epoch) for source in sources), key=_close_block), SettlementChain(settlement)
    windows, heartbeats = heard.pop(len(heard) // 2)
    bound = settlement.bindings(windows.block)
    if deed not in bound:
        raise CommandError(f"deed {deed}: none at the close of epoch {epoch}; wanted 1 to {len(bound)}", Exit.USAGE)
    leaves = _leaves(folder, posted[epoch])
    before = _leaves(folder, posted[epoch - 1]) if epoch > 1 else Leaves()
    close = chain.at_close(windows)
    found = bound[deed]
    works, checked = check_sources(sources, epoch, chain.block_hash, set(found.devices), models.shipped())
    told = explain(
        deed,
        found,
        windows,
        heartbeats,
        SignerKeys().is_signed,
        _money(settlement, deed, found.owner, found.owner in close.to_account, before, leaves),
        (posted[epoch].root, posted[epoch].evidence),
        Worked(works, tuple(checked), _jobs(deed, before, leaves)),
        heard,
    )
    if not told.money.is_account and told.earned_wei != told.money.cumulative_wei - told.money.before_wei:
        got, wanted = told.earned_wei, told.money.cumulative_wei - told.money.before_wei
        raise CommandError(f"deed {deed}: the evidence gives {got} wei, the root {wanted}; verify the site", Exit.TRUST)
    verdict = epochs.verdict_of(sources, epoch, posted[epoch].evidence, chain, before, models.shipped)
    if verdict.root != posted[epoch].root:
        what = f"epoch {epoch}: the evidence gives root 0x{verdict.root.hex()}, not the chain's"
        raise CommandError(f"{what}; see `tinyren verify`", Exit.TRUST)
    return told


def _heard(source: Source, epoch: int) -> Heard:
    """What a gateway opened that counts, and what it heard."""
    windows = epochs.that_count(epochs.read_windows(source.folder, epoch), source.missing)
    return windows, epochs.read_heartbeats(evidence.read(evidence.heartbeats_path(source.folder, epoch)))


def _close_block(heard: Heard) -> int:
    return heard[0].block


def _money(settlement: Settlement, deed: int, owner: bytes, is_account: bool, before: Leaves, leaves: Leaves) -> Money:
    """Of the leaf to which the deed's reward of the epoch went."""
    if is_account:
        claimed_wei = Accounts(settlement).claimed(to_checksum_address(owner))
        return Money(dict(before.accounts).get(owner, 0), dict(leaves.accounts).get(owner, 0), claimed_wei, True)
    return Money(dict(before.deeds).get(deed, 0), dict(leaves.deeds).get(deed, 0), settlement.claimed(deed))


def _jobs(deed: int, before: Leaves, leaves: Leaves) -> dict[tuple[bytes, int], int]:
    """Units that each (escrow, job) took of the deed in the epoch."""
    old = dict(before.work)
    return {
        (escrow, job): units - old.get((escrow, job, number), 0)
        for (escrow, job, number), units in leaves.work
        if number == deed and units > old.get((escrow, job, number), 0)
    }


def _leaves(folder: Path, posted: PostedRoot) -> Leaves:
    """The leaves of a settled epoch, if the chain's root is theirs."""
    kept = ledger.read(folder / "settlement", posted.epoch)
    if kept is None or root_of(kept.leaves) != posted.root:
        what = f"{folder / 'settlement'}: epoch {posted.epoch} is missing or not the chain's"
        raise CommandError(f"{what}; `tinyren up` writes it again from the evidence", Exit.TRUST)
    return kept.leaves

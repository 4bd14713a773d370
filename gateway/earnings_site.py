"""Explains a deed's epoch from a site's folder and its chain; refuses what the chain's root does not confirm.

Rules: the evidence must have the digest that the oracles signed, and the leaves of this epoch and of the one before
must hash to the roots on chain. Otherwise nothing is explained: another sum than the one that is paid would mislead.
"""

from pathlib import Path

from gateway import evidence, ledger, site_file
from gateway.chain import ChainError
from gateway.earnings import Explanation, Money, explain
from gateway.errors import CommandError, Exit
from gateway.evidence_file import EvidenceDamaged
from gateway.oracle import epoch as epochs
from gateway.oracle.availability import EvidenceError
from gateway.oracle.epoch import SignerKeys
from gateway.oracle.rewards import Deed, Leaves
from gateway.settlement import Contracts, PostedRoot, Settlement
from gateway.verify_site import chain_of


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
    if evidence.digest(place, epoch) != posted[epoch].evidence:
        raise CommandError(f"{place}: epoch {epoch} is not the evidence that oracles signed; restore it", Exit.TRUST)
    windows = epochs.read_windows(place, epoch)
    bound = settlement.bindings(windows.block)
    if deed not in bound:
        raise CommandError(f"deed {deed}: none at the close of epoch {epoch}; wanted 1 to {len(bound)}", Exit.USAGE)
    leaves = _leaves(folder, posted[epoch])
    before = _leaves(folder, posted[epoch - 1]) if epoch > 1 else ()
    money = Money(dict(before).get(deed, 0), dict(leaves).get(deed, 0), settlement.claimed(deed))
    told = explain(
        deed,
        Deed(_raw(bound[deed].owner), bound[deed].slots, tuple(map(_raw, bound[deed].devices))),
        windows,
        epochs.read_heartbeats(evidence.read(evidence.heartbeats_path(place, epoch))),
        SignerKeys().is_signed,
        money,
        (posted[epoch].root, posted[epoch].evidence),
    )
    if told.earned_wei != money.cumulative_wei - money.before_wei:
        got, wanted = told.earned_wei, money.cumulative_wei - money.before_wei
        raise CommandError(f"deed {deed}: the evidence gives {got} wei, the root {wanted}; verify the site", Exit.TRUST)
    return told


def _leaves(folder: Path, posted: PostedRoot) -> Leaves:
    """The leaves of a settled epoch, if the chain's root is theirs."""
    kept = ledger.read(folder / "settlement", posted.epoch)
    if kept is None or epochs.root_of(kept.leaves) != posted.root:
        what = f"{folder / 'settlement'}: epoch {posted.epoch} is missing or not the chain's"
        raise CommandError(f"{what}; `tinyren up` writes it again from the evidence", Exit.TRUST)
    return kept.leaves


def _raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])

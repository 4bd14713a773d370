"""The leaves under the root in force, from a site's copy; refuses a copy that does not hash to the chain's root."""

from pathlib import Path

from gateway.chain.chain import Chain, Contract
from gateway.errors import CommandError, Exit
from gateway.settlement import ledger
from gateway.settlement.tree import Leaves, Trees, root_of


def read_trees(folder: Path, chain: Chain, settlement: Contract) -> Trees:
    """What claims need; of no leaves before the first root.

    Args:
        folder: the site's.
    Raises:
        CommandError: the site's leaves are missing or not the chain's. ChainError.
    """
    epoch, root = chain.call(settlement, "inForce")
    if epoch == 0:
        return Trees(Leaves())
    kept = ledger.read(folder / "settlement", epoch)
    if kept is None or root_of(kept.leaves) != root:
        what = f"{folder / 'settlement'}: the leaves of epoch {epoch} are missing or not the chain's"
        raise CommandError(
            f"{what}; a running site writes them in a moment, `tinyren up` from the evidence", Exit.TRUST
        )
    return Trees(kept.leaves)

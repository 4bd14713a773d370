"""The leaves that are settled, read from the gateway's copy and believed only if the chain confirms them."""

import json
from pathlib import Path

from gateway.oracle import epoch, rewards
from gateway.oracle.availability import EvidenceError
from gateway.oracle.rewards import Leaves
from gateway.oracle.rpc import ChainReader


def read_leaves(folder: Path, chain: ChainReader, settled: int) -> Leaves:
    """The leaves of the last settled epoch, from SITE/settlement, if they are those of the root on chain.

    Raises:
        EvidenceError: the chain has settled another epoch, or these are not its leaves.
        ChainAway: the chain does not answer.
        OSError, ValueError: the file is not there or cannot be read.
    """
    number, root, total = chain.settled()
    if number != settled:
        raise EvidenceError(f"the last settled epoch is {number}, wanted {settled}")
    if settled == 0:
        return ()
    fields = json.loads((folder / "settlement" / f"epoch-{settled}.json").read_text())
    try:
        leaves = tuple(sorted((int(deed), int(amount)) for deed, amount in fields["leaves"]))
    except (KeyError, TypeError) as error:
        raise EvidenceError(f"leaves of epoch {settled}: {error!r}, wanted pairs of deed and amount") from error
    if epoch.root_of(leaves) != root or rewards.total(leaves) != total:
        raise EvidenceError(f"leaves of epoch {settled} do not hash to the root on chain")
    return leaves

"""The leaves that are settled, read from the gateway's copy and believed only if the chain confirms them."""

import json
from pathlib import Path

from gateway.oracle.availability import EvidenceError
from gateway.oracle.rpc import ChainReader
from gateway.settlement.tree import Leaves, decode_leaves, root_of


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
        return Leaves()
    path = folder / "settlement" / f"epoch-{settled}.json"
    try:
        leaves = decode_leaves(json.loads(path.read_text()))
        found = root_of(leaves)
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise EvidenceError(f"leaves of epoch {settled}: {error!r}, wanted pairs of deed and amount") from error
    if found != root or leaves.total_wei != total:
        raise EvidenceError(f"leaves of epoch {settled} do not hash to the root on chain")
    return leaves

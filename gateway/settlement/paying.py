"""Has a site's owners paid after each epoch, by the root in force; decides nothing, sponsoring.py does.

Where it is said what R1 is worth, a claim waits until its fee is worth it, and loses nothing by that. Else, as on the
embedded chain whose gas costs nothing, all that is due is claimed. What a contract refuses is told and tried again with
the next root.
"""

from collections.abc import Callable
from pathlib import Path

from gateway.chain.chain import Contract
from gateway.errors import CommandError
from gateway.settlement.leaves_in_force import read_trees
from gateway.settlement.relaying import find_dues, gas_price, relay
from gateway.settlement.settlement import Claim, Settlement
from gateway.settlement.sponsoring import Terms, plan

WITHOUT_END_WEI = 1 << 255


def pay(folder: Path, settlement: Settlement, r1_wei: int, say: Callable[[str], None]) -> list[Claim]:
    """Claim what is due and worth it.

    Args:
        folder: the site's. r1_wei: what one R1 is worth in wei of the chain's coin; 0: gas is not looked at.
    Raises:
        ChainError: the chain did not answer, or took it into no block: what is left is claimed the next time.
    """
    try:
        trees = read_trees(folder, settlement.chain, Contract("Settlement", settlement.contracts.settlement))
    except CommandError as error:
        say(f"claims wait: {error}")
        return []
    terms = Terms(gas_price(settlement) if r1_wei else 0, r1_wei, WITHOUT_END_WEI)
    done = relay(settlement, plan(find_dues(settlement, trees.leaves), terms), trees)
    for batch, why in done.failed:
        if not why.name:
            raise why
        say(f"{batch.what}: not paid: {why}; `tinyren relay` tries it again")
    return list(done.claims)

"""Ratio1's published formulas in whole numbers, as contracts/src/Curves.sol has them to the wei; decides nothing.

A test compares them with the contracts on a chain. Amounts wei of R1, shares of one in 1e18, availability 0..255.
"""

from decimal import Decimal, localcontext
from functools import cache

from gateway.oracle.availability import FULL
from gateway.oracle.rewards import epoch_reward

R1 = ONE = 10**18
CAP = 161_803_398 * R1
NODE_DEEDS = 46_224
NODE_MOST = 1_575_188843457943925233
GENESIS_EPOCHS, MASTER_LAST_EPOCH = 365, 900
MASTER_POOL = CAP * (1000 - 450 - 289) // 1000
MASTER_SUM = 300_505239501691
TIERS = (500, 750, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500, 4_000, 5_000, 7_000, 9_500)
ADOPTED_DEEDS, ADOPTED_USDC = 7_500, 5_000_000 * 10**6


def node_reward(availability: int, earned: int) -> int:
    """What a Node Deed earns in an epoch that has `earned` before."""
    return min(epoch_reward(availability, 1), max(0, NODE_MOST - earned))


def genesis_reward(epoch: int) -> int:
    """What the Genesis Node Deed earns in its epoch, from 0."""
    return CAP * 289 // 1000 // GENESIS_EPOCHS if epoch < GENESIS_EPOCHS else 0


def master_reward(assigned: int, epoch: int, availability: int, adopted: int, earned: int) -> int:
    """What a Master Node Deed of `assigned` wei earns in its epoch, from 0, that has `earned` before."""
    if epoch > MASTER_LAST_EPOCH:
        return 0
    reward = assigned * logistic(epoch) * availability * adopted * 10**12 // (MASTER_SUM * ONE * FULL * ONE)
    return min(reward, max(0, assigned - earned))


@cache
def logistic(epoch: int) -> int:
    """1 / (1 + e ** (-5 (epoch - 630) / 900))."""
    with localcontext() as context:
        context.prec = 60
        return int(ONE / (1 + (Decimal(-5) * (epoch - 630) / 900).exp()))


def adoption(sold: int, usdc: int) -> int:
    """min(1, (Node Deeds sold / 7,500 + USDC / 5 million) / 2); `usdc` has 6 decimals."""
    both, whole = sold * ADOPTED_USDC + usdc * ADOPTED_DEEDS, 2 * ADOPTED_DEEDS * ADOPTED_USDC
    return min(ONE, both * ONE // whole)


def cost(sold: int, deeds: int) -> int:
    """US dollars of the `deeds` Node Deeds after `sold`. ValueError: there are not so many."""
    if not 0 <= sold <= sold + deeds <= NODE_DEEDS:
        raise ValueError(f"deeds {sold} to {sold + deeds}, wanted 0 to {NODE_DEEDS}")
    dollars, first, (size, following) = 0, 0, (89, 144)
    for price in TIERS:
        inside = min(sold + deeds, first + size) - max(sold, first)
        dollars += max(0, inside) * price
        first, size, following = first + size, following, size + following
    return dollars

"""Runs the economy epoch by epoch; the same figures for the same years, deeds and seed, on every machine.

    sale of deeds ─▶ availability drawn ─▶ curves ─▶ R1 minted ─▶ AI work paid from escrow ─▶ R1 burned

Rules:
1. Rewards are the curves' (curves.py, oracle/rewards.py): a day is an epoch, a deed's slots share one reward, a deed
   earns at most NODE_MOST. Master Node Deeds hold their whole pool and are always there, of USDC there is none.
2. Deeds are sold at the tiers' prices for R1 that exists, evenly over the first year while the supply pays for them, at
   WEI_PER_DOLLAR, which is an assumption; 20 % of the price is burned.
3. A deed is asked for UNITS of AI work an epoch at UNIT_WEI, paid from a deposit: 85 % to the worker, 15 % burned. Who
   computes a share p and lies is caught as poai/chance.py says; that epoch then pays neither units nor availability.
   Who is silent instead is paid p^2 of the units (poai/verdict.py).
4. A buyer that cancels pays for what was delivered until the end of the next epoch (contracts/src/Escrow.sol).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import add
from random import Random

from gateway.economy import curves
from gateway.economy.curves import CAP, NODE_MOST, R1
from gateway.economy.strategies import BUYERS, STRATEGIES, Strategy, counts
from gateway.oracle.availability import FULL
from gateway.oracle.rewards import ND_REWARD_WEI, epoch_reward

EPOCHS_A_YEAR = 365
WEI_PER_DOLLAR = R1
UNITS, UNIT_WEI = 100, R1 // 1000
BURNED_PERCENT = {"sale": 20, "work": 15}
REWARDS = [epoch_reward(availability, 1) for availability in range(FULL + 1)]


@dataclass
class Group:
    """The deeds of one strategy. Of each that is sold: wei `earned` by availability, and the epoch it was sold at.

    lost_wei: what proven frauds cost; work_wei: what AI work paid.
    """

    strategy: Strategy
    deeds: int
    pool: list[int]
    earned: list[int] = field(default_factory=list)
    sold_at: list[int] = field(default_factory=list)
    work_wei: int = 0
    lost_wei: int = 0
    availability_sum: int = 0
    deed_epochs: int = 0
    caught: int = 0

    @property
    def mean(self) -> float:
        """R1 for availability, a device."""
        devices = len(self.earned) * self.strategy.devices
        return sum(self.earned) / devices / R1 if devices else 0.0

    def claimed_wei(self, epochs: int) -> int:
        """What full availability would have earned these deeds, each since the epoch after its sale."""
        return sum(min(NODE_MOST, ND_REWARD_WEI * (epochs - 1 - sold)) for sold in self.sold_at)


@dataclass
class Day:
    """Totals at the end of an epoch, wei; means: R1 for availability a device of each strategy so far."""

    epoch: int
    deeds: int
    node_wei: int
    genesis_wei: int
    master_wei: int
    burned_sale_wei: int
    burned_work_wei: int
    means: tuple[float, ...]

    @property
    def minted_wei(self) -> int:
        return self.node_wei + self.genesis_wei + self.master_wei

    @property
    def supply_wei(self) -> int:
        """What was minted and not burned."""
        return self.minted_wei - self.burned_sale_wei - self.burned_work_wei


@dataclass
class World:
    """What came out: a Day an epoch, and a Group a strategy. units: delivered to each buyer and paid for."""

    years: int
    deeds: int
    seed: int
    days: list[Day]
    groups: list[Group]
    units: dict[str, int]


def simulate(years: int, deeds: int, seed: int) -> World:
    """Run `years` of epochs with up to `deeds` Node Deeds.

    Raises:
        ValueError: more deeds than there are.
    """
    if not len(STRATEGIES) <= deeds <= curves.NODE_DEEDS:
        raise ValueError(f"deeds: got {deeds}, wanted {len(STRATEGIES)} to {curves.NODE_DEEDS}")
    dice = Random(seed)
    groups = [Group(item, count, item.pool(dice)) for item, count in zip(STRATEGIES, counts(deeds), strict=True)]
    world = World(years, deeds, seed, [], groups, dict.fromkeys((buyer.name for buyer in BUYERS), 0))
    day = Day(-1, 0, 0, 0, 0, 0, 0, ())
    for epoch in range(years * EPOCHS_A_YEAR):
        day = _pass(world, day, epoch, dice)
        if day.minted_wei > CAP or day.supply_wei < 0:
            raise AssertionError(f"epoch {epoch}: minted {day.minted_wei} wei of {CAP}, supply {day.supply_wei}")
        world.days.append(day)
    return world


def _pass(world: World, before: Day, epoch: int, dice: Random) -> Day:
    node_wei, work_units = before.node_wei, 0
    for group in world.groups:
        earned_wei, units = _work(group, epoch, dice)
        node_wei += earned_wei
        work_units += units
    adopted = curves.adoption(before.deeds, 0)
    master = curves.master_reward(curves.MASTER_POOL, epoch, FULL, adopted, before.master_wei)
    _deliver(world.units, work_units)
    dollars, deeds = _sell(world, before, epoch)
    return Day(
        epoch=epoch,
        deeds=deeds,
        node_wei=node_wei,
        genesis_wei=before.genesis_wei + curves.genesis_reward(epoch),
        master_wei=before.master_wei + master,
        burned_sale_wei=before.burned_sale_wei + dollars * WEI_PER_DOLLAR * BURNED_PERCENT["sale"] // 100,
        burned_work_wei=before.burned_work_wei + work_units * UNIT_WEI * BURNED_PERCENT["work"] // 100,
        means=tuple(group.mean for group in world.groups),
    )


def _work(group: Group, epoch: int, dice: Random) -> tuple[int, int]:
    """One epoch of a strategy's deeds: (wei minted, units of AI work that are paid)."""
    count, strategy = len(group.earned), group.strategy
    if not count:
        return 0, 0
    found = dice.choices(group.pool, k=count)
    group.availability_sum += sum(found)
    group.deed_epochs += count
    rewards = [REWARDS[value] for value in found]
    frauds = [dice.random() < strategy.caught for _ in range(count)] if strategy.lies else []
    if any(frauds):
        group.lost_wei += sum(reward for reward, is_fraud in zip(rewards, frauds, strict=True) if is_fraud)
        rewards = [0 if is_fraud else reward for reward, is_fraud in zip(rewards, frauds, strict=True)]
    group.caught += sum(frauds)
    paid_percent = 100 if strategy.lies else strategy.computes**2 // 100
    units = UNITS * paid_percent * (count - sum(frauds)) // 100
    if epoch * ND_REWARD_WEI + ND_REWARD_WEI > NODE_MOST:  # no deed can have reached it before
        rewards = [min(reward, NODE_MOST - had) for reward, had in zip(rewards, group.earned, strict=True)]
    group.earned = list(map(add, group.earned, rewards))
    group.work_wei += units * UNIT_WEI * (100 - BURNED_PERCENT["work"]) // 100
    return sum(rewards), units


def _deliver(units: dict[str, int], delivered: int) -> None:
    """Divide the work of an epoch among buyers; every unit of it is paid from a deposit made before."""
    others = {buyer.name: delivered * buyer.percent // 100 for buyer in BUYERS[1:]}
    for name, count in others.items():
        units[name] += count
    units[BUYERS[0].name] += delivered - sum(others.values())


def _sell(world: World, before: Day, epoch: int) -> tuple[int, int]:
    """(dollars of the deeds sold in this epoch, deeds sold in all)."""
    wanted = world.deeds * min(epoch + 1, EPOCHS_A_YEAR) // EPOCHS_A_YEAR
    dollars, sold = 0, before.deeds
    while sold < wanted:
        price = curves.cost(sold, 1)
        if (dollars + price) * WEI_PER_DOLLAR > before.supply_wei:
            break
        dollars, sold = dollars + price, sold + 1
    _hand_out(world.groups, sold, epoch)
    return dollars, sold


def _hand_out(groups: Sequence[Group], sold: int, epoch: int) -> None:
    """Give the deeds sold so far to the strategies by their shares; those bought last get what rounding leaves."""
    for group, count in zip(groups, counts(sold), strict=True):
        more = max(0, min(count, group.deeds) - len(group.earned))
        group.earned += [0] * more
        group.sold_at += [epoch] * more

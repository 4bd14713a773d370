"""How owners and buyers behave in the simulation, as data; a strategy is what its devices do, not what it is paid.

availability is drawn from a pool of what the scorer would find for such devices, so a strategy gets only what its
evidence gives. What each claims is full availability, and all of the AI work.
"""

from dataclasses import dataclass
from random import Random

from gateway.poai import chance

POOL = 4_096
WINDOWS = 1_440
"""Windows of an epoch, for the probability of being caught."""


@dataclass(frozen=True)
class Strategy:
    """percent: of all deeds. devices: a deed, each in a slot. computes: percent of the AI work that is claimed.

    lies: about the rest, when it is challenged; else it is silent. usual, outage: ranges of availability, of which
    outage_percent of the epochs are of the second kind.
    """

    name: str
    percent: int
    what: str
    devices: int = 1
    computes: int = 100
    lies: bool = False
    usual: tuple[int, int] = (246, 255)
    outage: tuple[int, int] = (0, 220)
    outage_percent: int = 3

    @property
    def caught(self) -> float:
        """Probability of a proven fraud in an epoch."""
        return chance.caught(self.computes / 100, WINDOWS) if self.lies else 0.0

    def pool(self, dice: Random) -> list[int]:
        """Availability in epochs of equal probability."""
        ranges = (self.outage if dice.randrange(100) < self.outage_percent else self.usual for _ in range(POOL))
        return [dice.randint(*limits) for limits in ranges]


HONEST = Strategy("honest", 66, "answers, computes what it claims")
STRATEGIES = (
    HONEST,
    Strategy("part-time", 10, "answers half of the windows, claims all", usual=(118, 132)),
    Strategy("lazy", 8, "skips half of the AI work it claims, and lies when challenged", computes=50, lies=True),
    Strategy("silent", 4, "skips half of the AI work it claims, and is silent when challenged", computes=50),
    Strategy("sybil", 6, "ten invented devices in one deed's slots", devices=10),
    Strategy("colluding", 6, "its gateway back-dates heartbeats of devices that are off 12 h a day", usual=(120, 130)),
)


@dataclass(frozen=True)
class Buyer:
    """percent: of the units that are asked for. keeps: epochs until it cancels; None: it lets the job end."""

    name: str
    percent: int
    what: str
    keeps: int | None = None


BUYERS = (
    Buyer("paying", 90, "deposits, takes the work, lets the job end"),
    Buyer("cheating", 10, "takes two epochs of work, cancels and wants its deposit back", keeps=2),
)


def counts(deeds: int) -> list[int]:
    """How many deeds each strategy has; HONEST takes what the percentages leave."""
    others = [deeds * strategy.percent // 100 for strategy in STRATEGIES[1:]]
    return [deeds - sum(others), *others]

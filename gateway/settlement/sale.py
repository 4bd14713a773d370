"""Selling Node Deeds for R1 (contracts/src/Sale.sol). Sets no price: the curve and the governed rate do.

The sale of a network is who owns its deeds' contract, because only that owner creates deeds.
"""

from dataclasses import dataclass

from coincurve import PrivateKey

from gateway.chain.chain import Chain, Contract
from gateway.settlement.allowance import send_taking


@dataclass(frozen=True)
class Terms:
    """Of a sale: slots of each deed; who gets 50 % and 30 % of each price; who says what a dollar is in R1."""

    slots: int
    liquidity: str
    company: str
    governor: str


def owner_of(chain: Chain, deeds: str) -> tuple[str, bool]:
    """(who creates `deeds`, whether that is a contract, and so their sale)."""
    owner = str(chain.call(Contract("NodeDeed", deeds), "owner"))
    return owner, chain.has_code(owner)


def open_sale(chain: Chain, key: PrivateKey, deeds: str, r1: str, terms: Terms) -> str:
    """Create a sale and give it `deeds`, whose owner `key` is, for good: nobody else creates deeds then."""
    made, _ = chain.deploy("Sale", deeds, r1, terms.slots, terms.liquidity, terms.company, terms.governor, key=key)
    chain.send(Contract("NodeDeed", deeds), "transferOwnership", made.address, key=key)
    return made.address


class Sale:
    """One sale contract."""

    def __init__(self, chain: Chain, address: str) -> None:
        self.chain, self.contract = chain, Contract("Sale", address)

    @property
    def sold(self) -> int:
        """Deeds sold so far."""
        return int(self.chain.call(self.contract, "sold"))

    @property
    def rate_wei(self) -> int:
        """Wei of R1 for a dollar; 0 while nothing is sold."""
        return int(self.chain.call(self.contract, "weiPerDollar"))

    def price(self, count: int) -> int:
        """Wei of R1 that the next `count` deeds cost; 0 while nothing is sold.

        Raises:
            ChainError: so many are not left.
        """
        return int(self.chain.call(self.contract, "priceOf", count))

    def buy(self, count: int, most_wei: int, key: PrivateKey) -> list[int]:
        """Buy the next `count` deeds for at most `most_wei`; their numbers.

        Raises:
            ChainError: NotOnSale, WrongCount, TooExpensive, or the buyer has too little R1.
        """
        r1 = Contract("R1", self.chain.call(self.contract, "r1"))
        receipt = send_taking(self.chain, r1, most_wei, self.contract, "buy", count, most_wei, key=key)
        deeds = Contract("NodeDeed", self.chain.call(self.contract, "deeds"))
        moved = self.chain.events(deeds, "Transfer", receipt.block, receipt.block)
        return [int(event.arguments["tokenId"]) for event in moved if event.tx == receipt.tx]

"""Buying Node Deeds for R1 (contracts/src/Sale.sol). Sets no price: the curve and the governed rate do."""

from coincurve import PrivateKey

from gateway.chain.chain import Chain, Contract
from gateway.settlement.allowance import send_taking


class Sale:
    """One sale contract."""

    def __init__(self, chain: Chain, address: str) -> None:
        self.chain, self.contract = chain, Contract("Sale", address)

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

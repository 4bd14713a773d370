"""Rewards of owners who want one leaf for all their deeds: choose it, have it paid. Decides no reward.

Who chose what, as of an epoch's close, is what settlement_tree.add_epoch is given. What of Settlement is not here is in
gateway/settlement/settlement.py, and its rules hold.
"""

from collections.abc import Collection, Sequence

from coincurve import PrivateKey
from eth_utils.address import to_checksum_address

from gateway.chain.chain import Contract, Receipt
from gateway.settlement.settlement import Claim, Settlement


class Accounts:
    """The accounts of one settlement; its key pays for claims."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement, self._chain = settlement, settlement.chain
        self._contract = Contract("Settlement", settlement.contracts.settlement)

    def choose(self, wanted: bool, owner: PrivateKey) -> Receipt:
        """Have rewards of all deeds of `owner`, who pays for this, go to one account or not, from the next epoch on."""
        return self._chain.send(self._contract, "payToAccount", wanted, key=owner)

    def chosen(self, owners: Collection[bytes], epoch: int, block: int | None = None) -> set[bytes]:
        """Those of `owners` whose rewards of `epoch` go to their account, as of the end of `block`, its close, or now.

        Raises:
            ChainError: the chain does not keep the state of that block.
        """
        names = [to_checksum_address(owner) for owner in owners]
        are = self._chain.call(self._contract, "arePaidToAccount", names, epoch, block=block)
        return {owner for owner, is_paid in zip(owners, are, strict=True) if is_paid}

    def claimed(self, owner: str) -> int:
        """What `owner` was paid by its account so far, in wei."""
        return int(self._chain.call(self._contract, "claimedByAccount", owner))

    def claim(self, owner: str, cumulative_wei: int, proof: Sequence[bytes]) -> Claim | None:
        """Have `owner` paid up to `cumulative_wei` by the newest root; None if that much is paid already.

        Raises:
            ChainError: the proof does not fit the newest root.
        """
        arguments = (owner, cumulative_wei, list(proof))
        receipt = self._settlement.once(
            lambda: self.claimed(owner) >= cumulative_wei, self._contract, "claimAccount", *arguments
        )
        if receipt is None:
            return None
        return next(item for item in self.claims(receipt.block, receipt.block) if item.tx == receipt.tx)

    def claims(self, first: int = 0, last: int | None = None) -> list[Claim]:
        """All claims paid in blocks `first` to `last` (default: the newest), in order."""
        events = self._chain.events(self._contract, "AccountClaimed", first, last)
        return [Claim(None, event.arguments["owner"], event.arguments["amount"], event.tx) for event in events]

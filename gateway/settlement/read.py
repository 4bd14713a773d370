"""A settlement's chain as verdicts ask it (oracle/at_close.py); decides nothing. Oracles have oracle/rpc.py instead."""

from gateway.chain.chain import ChainError
from gateway.oracle.at_close import AtClose
from gateway.oracle.availability import Windows
from gateway.settlement.accounts import Accounts
from gateway.settlement.escrow import Escrow
from gateway.settlement.settlement import Settlement


class SettlementChain:
    """Reads of one settlement and what belongs to it. Raises ChainError where a node has no such state any more."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement, self._accounts = settlement, Accounts(settlement)
        escrow = settlement.contracts.escrow
        self._escrow = Escrow(settlement.chain, escrow) if escrow else None

    def at_close(self, windows: Windows) -> AtClose:
        """Deeds, choices of their owners and open jobs, as of the end of the close block."""
        block = windows.block
        bound = {number: deed for number, deed in self._settlement.bindings(block).items() if deed.devices}
        owners = sorted({deed.owner for deed in bound.values()})
        chosen = self._accounts.chosen(owners, windows.epoch, block) if owners else set()
        jobs = self._escrow.live(windows.epoch, bound, block) if self._escrow else []
        return AtClose(bound, chosen, jobs)

    def block_hash(self, number: int) -> bytes | None:
        """32 bytes; None where the chain has no such block."""
        try:
            return self._settlement.chain.block_hash(number)
        except ChainError:
            return None

"""What a verdict asks of the chain; whoever has a chain gives it, as `ChainReader` and `SettlementChain` do."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from gateway.oracle.availability import Windows
from gateway.oracle.rewards import Deed
from gateway.poai.jobs import Job


@dataclass(frozen=True)
class AtClose:
    """The chain at the block where an epoch closed.

    Attributes:
        deeds: those that have devices.
        to_account: owners of them (20 bytes) whose rewards of this epoch go to their account.
        jobs: of the escrow that counts, those that are not refunded, with the workers among `deeds`.
    """

    deeds: Mapping[int, Deed]
    to_account: Set[bytes] = frozenset()
    jobs: Sequence[Job] = ()


class Chain(Protocol):
    """One chain, of which every oracle gives the same answers."""

    def at_close(self, windows: Windows) -> AtClose:
        """What counts for the epoch of these windows; may raise EvidenceError where the chain contradicts them."""

    def block_hash(self, number: int) -> bytes | None:
        """The 32-byte hash of a block, or None when the chain has no such block."""

"""Collects an epoch's root signatures until enough are over one root; for oracles and gateways alike."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.oracle.statements import Root, Signature

SignerOf = Callable[[Root, bytes], bytes | None]


@dataclass(frozen=True)
class Settle:
    """Enough signatures, (oracle, 65 bytes) by ascending oracle, over one root."""

    root: Root
    signatures: tuple[tuple[bytes, bytes], ...]


class Quorum:
    """One epoch's signatures, one an oracle.

    Args:
        threshold: how many settle, as the contract says; signer_of: the address a signature recovers to, or None.
    """

    def __init__(self, oracles: Iterable[bytes], threshold: int, signer_of: SignerOf) -> None:
        self.oracles = frozenset(oracles)
        self.threshold = threshold
        self.signer_of = signer_of
        self.signatures: dict[bytes, Signature] = {}

    def receive(self, sender: bytes, message: Signature) -> Settle | str:
        """Add a signature. Settle: this one completed the threshold; else why it was rejected, empty if it was not."""
        if sender not in self.oracles:
            return "unknown oracle"
        known = self.signatures.get(sender)
        if known is not None:
            return "known signature" if known.root == message.root else "second root signed"
        if self.signer_of(message.root, message.signature) != sender:
            return "bad signature"
        self.signatures[sender] = message
        same = sorted((oracle, kept.signature) for oracle, kept in self.signatures.items() if kept.root == message.root)
        return Settle(message.root, tuple(same)) if len(same) == self.threshold else ""

"""How oracles agree on an epoch's root: inputs in, effects out; does not score, read, send, store or tell time.

    close ─▶ Score ─▶ scored: Persist, Publish(Table) ─▶ threshold equal tables: Publish(Signature) ─▶ threshold
    signatures over one root: Settle

Rules, each held by a test:
  1. An oracle has one table an epoch, chosen once. It is persisted before anything about it is published, so neither
     kill -9 nor evidence that changed meanwhile makes it publish another table or sign another root.
  2. It signs only the root of its own table, and only when `threshold` oracles, itself included, published the same
     root, total and evidence.
  3. Two different tables of one oracle for one epoch are equivocation: recorded, and neither counts.
  4. Whoever holds `threshold` signatures of current oracles over one root holds a settlement; there is no leader.
  5. What an unknown sender says, what was said before, and what concerns an epoch that is settled or not closed here is
     rejected by reason and changes nothing. At most MAX_OPEN epochs are open, each with at most one table and one
     signature an oracle.
  6. Epochs are settled in order, for amounts are cumulative: only the one after the last settled is scored and signed.
  7. What is still open is published again every RESEND_MS: messages may be lost, doubled and reordered.
Safety: honest oracles that read the same evidence have the same root, and fewer than `threshold` liars cannot settle
another. Where honest oracles may be given different evidence, f liars among n are harmless only if
threshold > (n + f) / 2. Liars can stop a settlement; they cannot change it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

MAX_OPEN = 8
RESEND_MS = 2_000


@dataclass(frozen=True)
class Root:
    """What is signed, as the EIP-712 struct of the same name: root and evidence 32 bytes each, total in wei."""

    epoch: int
    root: bytes
    total: int
    evidence: bytes


@dataclass(frozen=True)
class Table:
    """One oracle's finding: availability (device id, 0..255), ascending by id, and the root that follows from it."""

    root: Root
    availability: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True)
class Signature:
    """One oracle's signature, 65 bytes r | s | v, over the EIP-712 digest of `root`."""

    root: Root
    signature: bytes


@dataclass(frozen=True)
class Close:
    """The gateway's word that an epoch is over: digest of its evidence, and the block at which bindings are read."""

    epoch: int
    evidence: bytes
    block: int


@dataclass(frozen=True)
class Score:
    """Effect: compute this oracle's table for `scored`; nothing follows when the evidence is not what `close` says."""

    close: Close


@dataclass(frozen=True)
class Persist:
    """Effect: make these choices durable before carrying out what follows; they are what `Oracle` is started with."""

    choices: tuple[Table, ...]


@dataclass(frozen=True)
class Publish:
    """Effect: send to every oracle and to the gateway."""

    message: Table | Signature


@dataclass(frozen=True)
class Settle:
    """Effect: enough signatures, {oracle: 65 bytes}, over one root."""

    root: Root
    signatures: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Reject:
    """Effect: count this; nothing changed, except that equivocation is now on record."""

    sender: bytes
    reason: str


Effect = Score | Persist | Publish | Settle | Reject
SignerOf = Callable[[Root, bytes], bytes | None]


class Quorum:
    """Collects the signatures of one epoch, one an oracle, until some root has `threshold`; for oracles and gateway."""

    def __init__(self, oracles: Iterable[bytes], threshold: int, signer_of: SignerOf) -> None:
        self.oracles = frozenset(oracles)
        self.threshold = threshold
        self.signer_of = signer_of
        self.signatures: dict[bytes, Signature] = {}

    def receive(self, sender: bytes, message: Signature) -> Settle | Reject | None:
        """Add a signature. Settle: this one completed the threshold; None: not yet, or it was complete before."""
        if sender not in self.oracles:
            return Reject(sender, "unknown oracle")
        known = self.signatures.get(sender)
        if known is not None:
            return Reject(sender, "known signature" if known.root == message.root else "second root signed")
        if self.signer_of(message.root, message.signature) != sender:
            return Reject(sender, "bad signature")
        self.signatures[sender] = message
        same = sorted((oracle, kept.signature) for oracle, kept in self.signatures.items() if kept.root == message.root)
        return Settle(message.root, tuple(same)) if len(same) == self.threshold else None


@dataclass
class _Epoch:
    """What is known of one open epoch."""

    close: Close
    quorum: Quorum
    tables: dict[bytes, Table] = field(default_factory=dict)
    equivocators: set[bytes] = field(default_factory=set)
    resend_ms: int = 0


class Oracle:
    """One oracle's part in the agreement. A method takes an input and returns effects, to be carried out in order.

    Args:
        me: this oracle's address, 20 bytes; oracles: the addresses of all; threshold: signatures that settle.
        sign: 65 bytes r | s | v over a root, deterministic; signer_of: the address a signature recovers to, or None.
        settled: last epoch settled on chain, 0 before the first; choices: from the last Persist that was carried out.
    """

    def __init__(
        self,
        me: bytes,
        oracles: Iterable[bytes],
        threshold: int,
        sign: Callable[[Root], bytes],
        signer_of: SignerOf,
        settled: int = 0,
        choices: Iterable[Table] = (),
    ) -> None:
        self.me = me
        self.oracles = frozenset(oracles)
        self.threshold = threshold
        self.sign = sign
        self.signer_of = signer_of
        self.settled = settled
        self.choices = {table.root.epoch: table for table in choices if table.root.epoch > settled}
        self.open: dict[int, _Epoch] = {}

    def close(self, close: Close, now_ms: int) -> list[Effect]:
        """The gateway announced, perhaps again, that an epoch is closed."""
        if close.epoch <= self.settled:
            return [Reject(self.me, "old epoch")]
        if close.epoch > self.settled + MAX_OPEN:
            return [Reject(self.me, "epoch too far ahead")]
        epoch, chosen = self.open.get(close.epoch), self.choices.get(close.epoch)
        if chosen is not None and chosen.root.evidence != close.evidence:
            return [Reject(self.me, "close changed")]
        if epoch is not None:
            return [] if epoch.close == close else [Reject(self.me, "close changed")]
        self.open[close.epoch] = _Epoch(close, Quorum(self.oracles, self.threshold, self.signer_of))
        return self._work_on_next(now_ms) if close.epoch == self.settled + 1 else []

    def scored(self, table: Table, now_ms: int) -> list[Effect]:
        """The answer to Score: this oracle's own table, its choice for this epoch from now on."""
        epoch = self.open.get(table.root.epoch)
        if epoch is None or table.root.epoch != self.settled + 1 or table.root.evidence != epoch.close.evidence:
            return [Reject(self.me, "not asked for")]
        if table.root.epoch in self.choices:
            return [Reject(self.me, "chosen before")]
        self.choices[table.root.epoch] = table
        return [self._persist(), *self._announce(epoch, table, now_ms)]

    def receive(self, sender: bytes, message: Table | Signature, now_ms: int) -> list[Effect]:
        """A message of an authenticated sender; this oracle's own, back from the broker, is passed over."""
        if sender == self.me:
            return []
        if sender not in self.oracles:
            return [Reject(sender, "unknown oracle")]
        if message.root.epoch <= self.settled:
            return [Reject(sender, "old epoch")]
        epoch = self.open.get(message.root.epoch)
        if epoch is None:
            return [Reject(sender, "epoch not closed")]
        if isinstance(message, Signature):
            outcome = epoch.quorum.receive(sender, message)
            return [] if outcome is None else [outcome]
        return self._receive_table(epoch, sender, message)

    def settle(self, settled: int, now_ms: int) -> list[Effect]:
        """The chain says that epochs up to `settled` are settled: forget them and go on with the next."""
        if settled <= self.settled:
            return []
        self.settled = settled
        self.open = {number: epoch for number, epoch in self.open.items() if number > settled}
        self.choices = {number: table for number, table in self.choices.items() if number > settled}
        return [self._persist(), *self._work_on_next(now_ms)]

    def tick(self, now_ms: int) -> list[Effect]:
        """Time passed: publish again what is open, or try again to score it."""
        epoch = self.open.get(self.settled + 1)
        if epoch is None or now_ms < epoch.resend_ms:
            return []
        own = epoch.quorum.signatures.get(self.me)
        return self._work_on_next(now_ms) + ([] if own is None else [Publish(own)])

    def equivocators(self) -> Mapping[int, frozenset[bytes]]:
        """{open epoch: oracles that published two different tables for it}."""
        return {number: frozenset(epoch.equivocators) for number, epoch in self.open.items() if epoch.equivocators}

    def _persist(self) -> Persist:
        return Persist(tuple(self.choices[number] for number in sorted(self.choices)))

    def _work_on_next(self, now_ms: int) -> list[Effect]:
        epoch = self.open.get(self.settled + 1)
        if epoch is None:
            return []
        chosen = self.choices.get(epoch.close.epoch)
        if chosen is not None:
            return self._announce(epoch, chosen, now_ms)
        epoch.resend_ms = now_ms + RESEND_MS
        return [Score(epoch.close)]

    def _announce(self, epoch: _Epoch, own: Table, now_ms: int) -> list[Effect]:
        epoch.resend_ms = now_ms + RESEND_MS
        epoch.tables[self.me] = own
        return [Publish(own), *self._sign_when_agreed(epoch)]

    def _receive_table(self, epoch: _Epoch, sender: bytes, table: Table) -> list[Effect]:
        if sender in epoch.equivocators:
            return [Reject(sender, "equivocated before")]
        known = epoch.tables.get(sender)
        if known == table:
            return [Reject(sender, "known table")]
        if known is not None:
            del epoch.tables[sender]
            epoch.equivocators.add(sender)
            return [Reject(sender, "equivocation")]
        epoch.tables[sender] = table
        return self._sign_when_agreed(epoch)

    def _sign_when_agreed(self, epoch: _Epoch) -> list[Effect]:
        own = epoch.tables.get(self.me)
        if own is None or self.me in epoch.quorum.signatures:
            return []
        if sum(table.root == own.root for table in epoch.tables.values()) < self.threshold:
            return []
        message = Signature(own.root, self.sign(own.root))
        outcome = epoch.quorum.receive(self.me, message)
        return [Publish(message)] if outcome is None else [Publish(message), outcome]

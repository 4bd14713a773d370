"""What one oracle does from a gateway's close to the chain's root: inputs in, effects out; does not fetch, score, read,
send, store or tell time.

    close ─▶ Fetch ─▶ held ─▶ Publish(Held) ─▶ agreement on the set of evidence ─▶ Score ─▶ scored ─▶ Publish(Signature)
    ─▶ `threshold` signatures over one root: Settle ─▶ the chain has it: settle

Rules, each held by a test:
  1. Only the root that follows from the agreed set is signed, and only one an epoch: what was chosen is persisted
     before anything is published, so neither kill -9 nor evidence that changed makes an oracle contradict itself.
  2. Epochs are settled in order, for amounts are cumulative: only the one after the last settled is worked on. Closes
     of the MAX_OPEN next ones are kept, so that missed epochs are caught up with one after another.
  3. A gateway has one close an epoch, the first that was heard. Two are recorded as a fault and the second is rejected.
  4. What strangers say, what concerns another epoch and what was said before is rejected by reason and changes nothing.
  5. An epoch without agreement, or whose evidence cannot be had, pays nobody: it stays open and is settled later.
Safety needs at most f liars of n >= 3f + 1 and a threshold above f, and nothing of time. Progress needs n - f oracles
that reach each other some day, and a threshold of at most n - f.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.oracle.agreement import RESEND_MS, Agreement
from gateway.oracle.effects import Choice, Effect, Fetch, Persist, Publish, Reject, Score
from gateway.oracle.quorum import Quorum, Settle, SignerOf
from gateway.oracle.statements import Bundle, Close, Held, Message, Root, Said, Signature, evidence_of

MAX_OPEN = 8
GATHER_MS = 5_000
"""How long an oracle that has the own gateway's bundle waits for further ones' before it says what it holds."""


@dataclass
class _Work:
    """The epoch that is being settled. bundles: those held, by what they are without `missing`."""

    epoch: int
    agreement: Agreement
    quorum: Quorum
    choice: Choice
    bundles: dict[Bundle, Bundle]
    since_ms: int | None = None
    held: Said | None = None
    asked: set[Bundle] = field(default_factory=set)
    is_scored: bool = False
    due_ms: int = 0


class Oracle:
    """One oracle. A method takes an input and returns effects, to be carried out in order.

    Args:
        me: 20 bytes; oracles, threshold: the contract's; gateways: whose closes count, 20 bytes each, the site's own
            first: without its bundle nothing is said to be held, so that none who closes early leaves others out.
        say: signs a message as `me`; sign: 65 bytes r | s | v over a root; signer_of: whose such a signature is.
        settled: last epoch settled on chain, 0 before the first; choice: that of the last Persist carried out.
    Attributes:
        faults: {sender: two statements of it that contradict each other}, of the open epochs.
    """

    def __init__(
        self,
        me: bytes,
        oracles: Iterable[bytes],
        threshold: int,
        gateways: Sequence[bytes],
        say: Callable[[Message], Said],
        sign: Callable[[Root], bytes],
        signer_of: SignerOf,
        settled: int = 0,
        choice: Choice | None = None,
    ) -> None:
        self.me, self.threshold = me, threshold
        self.oracles, self.gateways, self._first = frozenset(oracles), frozenset(gateways), gateways[0]
        self.settled = settled
        self._say, self._sign, self._signer_of = say, sign, signer_of
        self._closes: dict[int, dict[bytes, Said]] = {}
        self._faults: dict[bytes, tuple[Said, Said]] = {}
        self._work = self._begin(choice if choice is not None and choice.epoch == settled + 1 else Choice(settled + 1))

    @property
    def is_open(self) -> bool:
        """Whether there is an epoch to be settled."""
        return bool(self._closes) or self._work.since_ms is not None

    @property
    def faults(self) -> Mapping[bytes, tuple[Said, Said]]:
        return self._faults | self._work.agreement.ballots.faults

    @property
    def decision(self) -> Said | None:
        """The decision on the open epoch's evidence, which proves itself to anybody, once there is one; None if that is
        all that the site's own gateway has, which then needs no proof.
        """
        agreement = self._work.agreement
        bundles = agreement.decided.bundles if agreement.decided else ()
        is_own = [(bundle.gateway, bundle.missing) for bundle in bundles] == [(self._first, ())]
        return None if is_own else agreement.memory.decision

    def close(self, said: Said, now_ms: int) -> list[Effect]:
        """A gateway announced, perhaps again, that an epoch is closed."""
        message = said.message
        if said.sender not in self.gateways or not isinstance(message, Close):
            return [Reject(said.sender, "not a gateway")]
        if message.epoch <= self.settled:
            return [Reject(said.sender, "old epoch")]
        if message.epoch > self.settled + MAX_OPEN:
            return [Reject(said.sender, "epoch too far ahead")]
        closes = self._closes.setdefault(message.epoch, {})
        known = closes.get(said.sender)
        if known is None:
            closes[said.sender] = said
            return self._fetch(now_ms) if message.epoch == self._work.epoch else []
        if known.message == message:
            return []
        self._faults.setdefault(said.sender, (known, said))
        return [Reject(said.sender, "close changed")]

    def held(self, epoch: int, bundle: Bundle, now_ms: int) -> list[Effect]:
        """The answer to Fetch: the bundle is here and verified; `missing` says what was not seen committed in time."""
        work = self._work
        if epoch != work.epoch or bundle.gateway not in self.gateways:
            return [Reject(self.me, "not asked for")]
        work.bundles.setdefault(bundle.whole(), bundle)
        if work.since_ms is None and bundle.gateway == self._first:
            work.since_ms = now_ms
        return self._go_on(now_ms)

    def receive(self, said: Said, now_ms: int) -> list[Effect]:
        """A message of an authenticated sender; this oracle's own, back from the broker, is passed over."""
        if said.sender == self.me:
            return []
        if said.sender not in self.oracles:
            return [Reject(said.sender, "unknown oracle")]
        message = said.message
        epoch = message.root.epoch if isinstance(message, Signature) else message.epoch
        if epoch != self._work.epoch:
            return [Reject(said.sender, "old epoch" if epoch <= self.settled else "epoch not begun")]
        if isinstance(message, Signature):
            return self._receive_signature(said.sender, message)
        if isinstance(message, Held):
            gateways = [bundle.gateway for bundle in message.bundles]
            if not self.gateways.issuperset(gateways) or len(set(gateways)) != len(gateways):
                return [Reject(said.sender, "bundle of no gateway, or two of one")]
            self._work.agreement.hold(said, now_ms)
            return [*self._fetch(now_ms), *self._go_on(now_ms)]
        reason = self._work.agreement.receive(said, now_ms)
        effects: list[Effect] = [Reject(said.sender, reason)] if reason else []
        return [*effects, *self._go_on(now_ms), *(self._fetch(now_ms) if self._work.agreement.wanted() else [])]

    def scored(self, root: Root, now_ms: int) -> list[Effect]:
        """The answer to Score: the root of the agreed set, this oracle's choice from now on."""
        work, decided = self._work, self._work.agreement.decided
        if root.epoch != work.epoch or decided is None or root.evidence != evidence_of(decided.bundles):
            return [Reject(self.me, "not asked for")]
        if work.choice.signature is not None:
            return [Reject(self.me, "signed before")]
        signature = Signature(root, self._sign(root))
        said = self._say(signature)
        work.choice = Choice(work.epoch, work.agreement.memory, said)
        return [Persist(work.choice), Publish(said), *self._receive_signature(self.me, signature)]

    def settle(self, settled: int, now_ms: int) -> list[Effect]:
        """The chain says that epochs up to `settled` are settled: forget them and go on with the next."""
        if settled <= self.settled:
            return []
        self.settled = settled
        self._closes = {epoch: closes for epoch, closes in self._closes.items() if epoch > settled}
        self._faults = {}
        self._work = self._begin(Choice(settled + 1))
        return [Persist(self._work.choice), *self._fetch(now_ms)]

    def tick(self, now_ms: int) -> list[Effect]:
        """Time passed: ask again for what is lacking, publish again what is open."""
        work = self._work
        work.agreement.tick(now_ms)
        effects = self._go_on(now_ms)
        if now_ms < work.due_ms or not self.is_open:
            return effects
        work.due_ms, work.is_scored = now_ms + RESEND_MS, False
        work.asked.clear()
        effects += self._fetch(now_ms)
        if work.agreement.decided is None:
            effects += [Publish(work.held)] if work.held else []
        elif work.choice.signature is not None:
            effects.append(Publish(work.choice.signature))
        else:
            effects += self._score()
        return effects

    def _begin(self, choice: Choice) -> _Work:
        bundles: dict[Bundle, Bundle] = {}
        agreement = Agreement(choice.epoch, self.me, self.oracles, self._say, bundles.__contains__, choice.memory)
        quorum = Quorum(self.oracles, self.threshold, self._signer_of)
        if choice.signature is not None and isinstance(choice.signature.message, Signature):
            quorum.receive(self.me, choice.signature.message)
        return _Work(choice.epoch, agreement, quorum, choice, bundles)

    def _fetch(self, now_ms: int) -> list[Effect]:
        """Ask for what gateways announced, what more than f oracles hold, and what is proposed or decided."""
        work = self._work
        asked = {
            Bundle(said.sender, close.evidence, close.block, close.cid)
            for said in self._closes.get(work.epoch, {}).values()
            if isinstance(close := said.message, Close)
        }
        asked |= set(work.agreement.wanted()) | self._held_by_others()
        asked -= work.asked | work.bundles.keys()
        work.asked |= asked
        work.due_ms = work.due_ms or now_ms + RESEND_MS
        return [Fetch(work.epoch, bundle) for bundle in sorted(asked)]

    def _held_by_others(self) -> set[Bundle]:
        agreement = self._work.agreement
        views = Counter(
            bundle.whole()
            for said in agreement.held.values()
            if isinstance(said.message, Held)
            for bundle in said.message.bundles
        )
        return {bundle for bundle, holders in views.items() if holders > agreement.ballots.faulty}

    def _go_on(self, now_ms: int) -> list[Effect]:
        """Say what is held once that is enough, and carry out what the agreement wants."""
        work, effects = self._work, list[Effect]()
        agreement = work.agreement
        if work.since_ms is not None and agreement.decided is None:
            gathered = {bundle.gateway for bundle in work.bundles} == self.gateways
            if gathered or now_ms >= work.since_ms + GATHER_MS:
                effects += self._say_held(now_ms)
                agreement.begin(now_ms)
        out = agreement.drain()
        if agreement.memory != work.choice.memory:
            work.choice = Choice(work.epoch, agreement.memory, work.choice.signature)
            effects.append(Persist(work.choice))
        effects += [Publish(said) for said in out]
        return effects + ([] if work.is_scored else self._score())

    def _say_held(self, now_ms: int) -> list[Effect]:
        work = self._work
        first: dict[bytes, Bundle] = {}
        for bundle in work.bundles.values():
            first.setdefault(bundle.gateway, bundle)
        message = Held(work.epoch, tuple(sorted(first.values())))
        if work.held is not None and work.held.message == message:
            return []
        work.held = self._say(message)
        work.agreement.hold(work.held, now_ms)
        return [Publish(work.held)]

    def _score(self) -> list[Effect]:
        """Ask for the root, once every bundle of the agreed set is here."""
        work, decided = self._work, self._work.agreement.decided
        if decided is None or work.choice.signature is not None or work.agreement.wanted():
            return []
        work.is_scored = True
        return [Score(work.epoch, decided.bundles)]

    def _receive_signature(self, sender: bytes, message: Signature) -> list[Effect]:
        decided = self._work.agreement.decided
        if decided is not None and message.root.evidence != evidence_of(decided.bundles):
            return [Reject(sender, "stale evidence")]
        outcome = self._work.quorum.receive(sender, message)
        if isinstance(outcome, Settle):
            return [outcome]
        return [Reject(sender, outcome)] if outcome else []

"""A network of oracles with seeds: real state machines, simulated disks, clocks, links, gateways and liars; no crypto.

    network = Network(Plan(seed=7, oracles=4)); network.shake(300); network.heal(); network.violations

Oracles crash between any two effects and keep only their disks; messages are lost, doubled and reordered; links part;
each oracle has a clock of its own speed. Up to f oracles lie (liars.py), gateways withhold, forge and say two things.
What is checked, `violations` names:
  safety    no two roots of an epoch that `threshold` could have signed; no honest oracle says two things; one set is
            agreed on; a bundle counts only if its gateway made it and an honest oracle holds it; what is paid is what
            the agreed bundles hold, each unit (device, window) once
  fairness  a bundle that every honest oracle says to hold, whenever it says so, is not left out
  liveness  once the network is whole, every epoch is settled
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.oracle.agreement import RESEND_MS
from gateway.oracle.consensus import Oracle
from gateway.oracle.effects import Choice, Effect, Fetch, Persist, Publish, Reject, Score
from gateway.oracle.liars import Liar
from gateway.oracle.quorum import Settle
from gateway.oracle.simulated import WINDOWS, address, count_again, make_sources, root_of, seal_of, signer_of
from gateway.oracle.statements import (
    Bundle,
    Held,
    Message,
    Proposal,
    Root,
    Said,
    Signature,
    Vote,
    faults_of,
)

HEAL_STEPS = 400


@dataclass(frozen=True)
class Plan:
    """What a run is made from. Of `gateways` those behind the first may misbehave; is_bad: f of the oracles lie."""

    seed: int = 0
    oracles: int = 4
    gateways: int = 2
    epochs: int = 2
    is_bad: bool = True
    losses: float = 0.08
    kills: float = 0.01


class Network:
    """The oracles 1..n of a plan, of which the last f lie if it is bad, and everything between them.

    Attributes:
        violations: what must not be, in words. roots: the chain, by epoch. published: how many statements by type.
    """

    def __init__(self, plan: Plan, say_as: Callable[[int, Message], Said] | None = None) -> None:
        self.plan, self.dice = plan, random.Random(repr(plan))
        self.count, faulty = plan.oracles, faults_of(plan.oracles)
        self.threshold = max(faulty + 1, self.count // 2 + 1)
        self.liars = set(range(self.count - faulty + 1, self.count + 1)) if plan.is_bad else set[int]()
        self.honest = [number for number in range(1, self.count + 1) if number not in self.liars]
        self.members = [address(number) for number in range(1, self.count + 1)]
        self.now_ms = 0
        self.wire: list[tuple[int, Said]] = []
        self.parted: set[int] = set()
        self.slow = set(self.dice.sample(self.honest, k=self.dice.randrange(2)))
        self.speeds = {number: self.dice.choice([0.8, 0.9, 1.0, 1.1, 1.25]) for number in self.honest}
        self.disks: dict[int, Choice | None] = dict.fromkeys(self.honest)
        self.stores: dict[int, set[Bundle]] = {number: set() for number in self.honest}
        self.settled, self.totals = 0, {0: 0}
        self.roots: dict[int, Root] = {}
        self.gateways = [address(100 + each) for each in range(1, plan.gateways + 1)]
        self.sources = {
            epoch: make_sources(epoch, self.gateways, self.honest, plan.is_bad, self.dice)
            for epoch in range(1, plan.epochs + 1)
        }
        self.violations: list[str] = []
        self.rejected, self.published = Counter[str](), Counter[str]()
        self.on_published: Callable[[Said], None] = lambda said: None
        self._said: dict[tuple[object, ...], Message] = {}
        self._signed: dict[int, dict[Root, set[int]]] = defaultdict(lambda: defaultdict(set))
        self._always_held: dict[tuple[int, int], set[Bundle]] = {}
        self._agreed: dict[int, tuple[Bundle, ...]] = {}
        self._say_as = say_as or (lambda number, message: Said(address(number), message))
        self._survives: Callable[[], bool] = lambda: True
        self.oracles = {number: self._oracle(number) for number in self.honest}
        self.liar = Liar(self, self.dice) if self.liars else None

    def sign(self, number: int, root: Root) -> bytes:
        """65 bytes that only this oracle signs, as far as the simulation goes."""
        return address(number) + seal_of(root)

    def clock(self, number: int) -> int:
        """An oracle's own time."""
        return int(self.now_ms * self.speeds[number])

    def start(self, number: int) -> None:
        """Start an oracle with nothing but its disk, as after kill -9."""
        self.oracles[number] = self._oracle(number)

    def announce(self, epoch: int, number: int) -> None:
        """Gateways tell an oracle their closes, as far as they want it to know."""
        for source in self.sources[epoch]:
            if number in source.readers:
                self.run(number, self.oracles[number].close(source.close, self.clock(number)))

    def deliver(self, index: int) -> None:
        """Deliver a message under way, unless its links are cut."""
        to, said = self.wire.pop(index)
        if to in self.oracles and (to in self.parted) == (said.sender[0] in self.parted):
            self.run(to, self.oracles[to].receive(said, self.clock(to)))

    def tick(self, number: int) -> None:
        """An oracle's time passes, and it looks at the chain."""
        oracle = self.oracles[number]
        if oracle.settled < self.settled:
            self.run(number, oracle.settle(self.settled, self.clock(number)))
        self.run(number, self.oracles[number].tick(self.clock(number)))

    def shake(self, steps: int) -> None:
        """Random steps of a bad network."""
        dice, plan = self.dice, self.plan
        self._survives = lambda: dice.random() >= plan.kills
        for _ in range(steps):
            step, number = dice.random(), dice.choice(self.honest)
            if self.wire and step < 0.70:
                self._pass_on(dice.randrange(len(self.wire)))
            elif step < 0.80:
                self.now_ms += dice.choice([10, 200, RESEND_MS])
                self.tick(number)
            elif step < 0.90 and self.liar is not None:
                self.liar.act()
            elif step < 0.97:
                self.announce(dice.randint(1, plan.epochs), number)
            else:
                apart = dice.randrange(self.count) if step < 0.98 else 0
                self.parted = set(dice.sample(range(1, self.count + 1), k=apart))
        self._survives = lambda: True

    def calm(self, epoch: int) -> None:
        """A network in which everything arrives at once and in order: what an epoch costs."""
        for number in self.honest:
            self.announce(epoch, number)
        while self.wire:
            self.deliver(0)

    def heal(self) -> None:
        """The network is whole and in time; liars go on. Every epoch has to be settled."""
        self.parted, self.slow, self.wire = set(), set(), []
        for _ in range(HEAL_STEPS):
            for number in self.honest:
                if self.settled < self.plan.epochs:
                    self.announce(self.settled + 1, number)
                self.tick(number)
            for _ in range(50 * self.count):
                if not self.wire:
                    break
                self.deliver(0)
            if self.liar is not None:
                self.liar.act()
            if self.settled == self.plan.epochs:
                return
            self.now_ms += RESEND_MS // 2
        self.violations.append(f"liveness: epoch {self.settled + 1} is not settled")

    def run(self, number: int, effects: list[Effect]) -> None:
        """Carry an oracle's effects out, in order; it may be killed between any two."""
        for effect in effects:
            if not self._survives():
                self.start(number)
                return
            if isinstance(effect, Fetch):
                self._fetch(number, effect)
            elif isinstance(effect, Score):
                self._score(number, effect)
            elif isinstance(effect, Persist):
                self.disks[number] = effect.choice
            elif isinstance(effect, Publish):
                self._publish(number, effect.said)
            elif isinstance(effect, Settle):
                self.post(effect)
            elif isinstance(effect, Reject):
                self.rejected[effect.reason] += 1

    def post(self, settle: Settle) -> None:
        """The contract: the next epoch's root with enough different oracles' signatures."""
        signers = {signer_of(settle.root, signature) for _, signature in settle.signatures}
        if settle.root.epoch == self.settled + 1 and len(signers & set(self.members)) >= self.threshold:
            self.settled += 1
            self.roots[self.settled], self.totals[self.settled] = settle.root, settle.root.total
            self._check_paid(settle.root)

    def broadcast(self, said: Said, to: Iterable[int] | None = None) -> None:
        """Put a statement on the wire."""
        to = range(1, self.count + 1) if to is None else to
        self.wire += [(number, said) for number in to if number != said.sender[0]]

    def root_of(self, epoch: int, bundles: tuple[Bundle, ...]) -> Root:
        """What these bundles come to after the epoch before."""
        return root_of(epoch, self.totals[epoch - 1], bundles, self.sources[epoch])

    def _oracle(self, number: int) -> Oracle:
        return Oracle(
            address(number),
            self.members,
            self.threshold,
            self.gateways,
            lambda message: self._say_as(number, message),
            lambda root: self.sign(number, root),
            signer_of,
            self.settled,
            self.disks[number],
        )

    def _pass_on(self, index: int) -> None:
        to, said = self.wire[index]
        luck = self.dice.random()
        if luck < self.plan.losses:
            self.wire.pop(index)
        elif luck < 2 * self.plan.losses:
            self.wire.append((to, said))
        elif to not in self.slow or luck > 0.8:
            self.deliver(index)

    def _fetch(self, number: int, effect: Fetch) -> None:
        """From the gateway, or from an honest oracle that has it and can be reached."""
        source = next((item for item in self.sources[effect.epoch] if item.bundle == effect.bundle), None)
        if source is None or not source.is_sound:
            return
        peers = [other for other in self.honest if (other in self.parted) == (number in self.parted)]
        if number not in source.readers and not any(effect.bundle in self.stores[other] for other in peers):
            return
        self.stores[number].add(effect.bundle)
        seen = effect.bundle
        if self.dice.random() < 0.2:  # it did not see a window committed in time
            window = self.dice.randrange(WINDOWS)
            seen = Bundle(seen.gateway, seen.digest, seen.block, seen.cid, ((window, window),))
        self.run(number, self.oracles[number].held(effect.epoch, seen, self.clock(number)))

    def _score(self, number: int, effect: Score) -> None:
        if self._agreed.setdefault(effect.epoch, effect.bundles) != effect.bundles:
            self.violations.append(f"safety: epoch {effect.epoch}: two sets are agreed on")
        self._check_set(effect)
        if effect.epoch > 1 and self.dice.random() < 0.2:  # a table from before comes late
            self.run(number, self.oracles[number].scored(self.roots[effect.epoch - 1], self.clock(number)))
        self.run(number, self.oracles[number].scored(self.root_of(effect.epoch, effect.bundles), self.clock(number)))

    def _publish(self, number: int, said: Said) -> None:
        message = said.message
        self.published[type(message).__name__] += 1
        self.on_published(said)
        if isinstance(message, Vote):
            self._say_once(number, ("vote", message.epoch, message.turn, message.kind), message)
        elif isinstance(message, Proposal):
            self._say_once(number, ("proposal", message.epoch, message.turn), message)
        elif isinstance(message, Held):
            whole = {bundle.whole() for bundle in message.bundles}
            self._always_held[number, message.epoch] = self._always_held.get((number, message.epoch), whole) & whole
        elif isinstance(message, Signature):
            self._say_once(number, ("root", message.root.epoch), message)
            self._check_roots(number, message.root)
        self.broadcast(said)

    def _say_once(self, number: int, about: tuple[object, ...], message: Message) -> None:
        if self._said.setdefault((number, *about), message) != message:
            self.violations.append(f"safety: oracle {number} said two things about {about}")

    def _check_roots(self, number: int, root: Root) -> None:
        signed = self._signed[root.epoch]
        signed[root].add(number)
        if sum(len(signers) + len(self.liars) >= self.threshold for signers in signed.values()) > 1:  # they sign any
            self.violations.append(f"safety: epoch {root.epoch}: two roots can be settled")

    def _check_set(self, effect: Score) -> None:
        made = {source.bundle for source in self.sources[effect.epoch] if source.is_sound}
        for bundle in effect.bundles:
            if bundle.whole() not in made or not any(bundle.whole() in store for store in self.stores.values()):
                self.violations.append(f"safety: epoch {effect.epoch}: a bundle counts that no honest oracle holds")
        views = [self._always_held.get((number, effect.epoch), set()) for number in self.honest]
        if not set.intersection(*views) <= {bundle.whole() for bundle in effect.bundles}:
            self.violations.append(f"fairness: epoch {effect.epoch}: a bundle that all hold is left out")

    def _check_paid(self, root: Root) -> None:
        units = count_again(self._agreed.get(root.epoch, ()), self.sources[root.epoch])
        if root.total - self.totals[root.epoch - 1] != units:
            self.violations.append(f"safety: epoch {root.epoch}: paid is not what the evidence holds")


def run(plan: Plan, steps: int = 250) -> Network:
    """One schedule: a bad time, then a whole network."""
    network = Network(plan)
    network.shake(steps)
    network.heal()
    return network

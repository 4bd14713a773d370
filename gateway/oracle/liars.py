"""Oracles that lie, for the simulator: they sign anything under their own names and repeat whatever they heard.

They cannot sign for others; beyond that nothing holds them back: two votes to two halves, sets of any quorum of Held,
locks and decisions pieced together from what others said, Held of what nobody holds, signatures over other roots.
"""

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.oracle.rules import leader_of
from gateway.oracle.statements import (
    NOTHING,
    Bundle,
    Decision,
    Held,
    Kind,
    Message,
    Proposal,
    Said,
    Signature,
    Vote,
    digest_of,
    faults_of,
    quorum_of,
    set_of,
)

if TYPE_CHECKING:
    from gateway.oracle.simulator import Network

KEPT = 400
KINDS: tuple[Kind, ...] = ("prevote", "precommit")


class Liar:
    """All the lying oracles of a network, acting together."""

    def __init__(self, network: "Network", dice: random.Random) -> None:
        self.network, self.dice = network, dice
        self.heard: list[Said] = []

    def act(self) -> None:
        """Listen, then say something under one of the liars' names to some of the oracles."""
        network, dice = self.network, self.dice
        self.heard = [*self.heard, *(said for _, said in network.wire[-40:])][-KEPT:]
        if dice.random() < 0.4:
            self._show_two_faces(*self._now())
        for _ in range(dice.randint(1, 4)):
            number = dice.choice(sorted(network.liars))
            message = self._anything(number)
            if message is None:
                continue
            receivers = dice.sample(network.honest, k=dice.randint(1, len(network.honest)))
            network.broadcast(self._as(number, message), receivers)
        if self.heard and dice.random() < 0.3:
            network.broadcast(dice.choice(self.heard), [dice.choice(network.honest)])

    def _as(self, number: int, message: Message) -> Said:
        return Said(bytes([number]) * 20, message)

    def _now(self) -> tuple[int, int]:
        """The epoch that is being settled, and a turn that oracles may be in."""
        epoch = min(self.network.settled + 1, self.network.plan.epochs)
        voted = [said.message for said in self.heard if isinstance(said.message, Vote)]
        turn = max((vote.turn for vote in voted if vote.epoch == epoch), default=0)
        return epoch, max(0, turn + self.dice.choice([-1, 0, 0, 0, 1]))

    def _show_two_faces(self, epoch: int, turn: int) -> None:
        """Propose one set to some and another to the rest, where a liar leads, and vote for each before its own."""
        network, dice = self.network, self.dice
        some = set(dice.sample(network.honest, k=dice.randint(1, len(network.honest))))
        leader = 1 + leader_of(epoch, turn, network.count)
        for part in (some, set(network.honest) - some):
            held = self._held(epoch)
            value = digest_of(set_of(held, faults_of(network.count)))
            said = [Said(address, Vote(epoch, turn, kind, value)) for address in self._names() for kind in KINDS]
            if leader in network.liars and held:
                said.insert(0, self._as(leader, Proposal(epoch, turn, held)))
            for item in said if held else ():
                network.broadcast(item, sorted(part))

    def _names(self) -> list[bytes]:
        return [bytes([number]) * 20 for number in sorted(self.network.liars)]

    def _anything(self, number: int) -> Message | None:
        epoch, turn = self._now()
        kind = self.dice.choice(["vote", "vote", "vote", "held", "proposal", "proposal", "decision", "signature"])
        if kind == "vote":
            return Vote(epoch, turn, self._kind(), self._value(epoch))
        if kind == "held":
            return Held(epoch, self._bundles(epoch))
        if kind == "signature":
            root = self.network.root_of(epoch, self._bundles(epoch))
            root = replace(root, total=root.total + self.dice.randrange(2))
            return Signature(root, self.network.sign(number, root))
        held = self._held(epoch)
        if not held:
            return None
        value = digest_of(set_of(held, faults_of(self.network.count)))
        if kind == "decision":
            return Decision(epoch, turn, held, self._votes(epoch, turn, "precommit", value))
        lock_turn = self.dice.randrange(-1, turn + 1)
        return Proposal(epoch, turn, held, lock_turn, self._votes(epoch, lock_turn, "prevote", value))

    def _kind(self) -> Kind:
        return self.dice.choice(KINDS)

    def _value(self, epoch: int) -> bytes:
        """Of a vote that was heard, of a set that could be proposed, or nothing."""
        voted = [said.message.value for said in self.heard if isinstance(said.message, Vote)]
        held = self._held(epoch)
        return self.dice.choice([NOTHING, *voted[-8:], digest_of(set_of(held, faults_of(self.network.count)))])

    def _bundles(self, epoch: int) -> tuple[Bundle, ...]:
        """Some that were announced, or one that nobody made; at most one a gateway."""
        sources = [source.bundle for source in self.network.sources[epoch]]
        sources.append(replace(sources[0], digest=b"\xee" * 32))
        picked = {bundle.gateway: bundle for bundle in self.dice.sample(sources, k=self.dice.randint(1, len(sources)))}
        gap = self.dice.choice([(), ((0, 2),)])
        return tuple(sorted(replace(bundle, missing=gap) for bundle in picked.values()))

    def _held(self, epoch: int) -> tuple[Said, ...]:
        """A quorum of Held, as many of the liars' own as there are; or that of a proposal that was heard."""
        proposals = [said.message for said in self.heard if isinstance(said.message, Proposal)]
        proposed = [proposal.held for proposal in proposals if proposal.epoch == epoch]
        if proposed and self.dice.random() < 0.5:
            return self.dice.choice(proposed)
        heard = [said for said in self.heard if isinstance(said.message, Held) and said.message.epoch == epoch]
        known = {said.sender: said for said in heard}
        known |= {name: Said(name, Held(epoch, self._bundles(epoch))) for name in self._names()}
        quorum = quorum_of(self.network.count)
        if len(known) < quorum:
            return ()
        return tuple(known[sender] for sender in sorted(self.dice.sample(sorted(known), k=quorum)))

    def _votes(self, epoch: int, turn: int, kind: Kind, value: bytes) -> tuple[Said, ...]:
        """What others voted, and the liars' votes."""
        wanted = Vote(epoch, turn, kind, value)
        votes = {said.sender: said for said in self.heard if said.message == wanted}
        votes |= {name: Said(name, wanted) for name in self._names()}
        return tuple(said for _, said in sorted(votes.items()))

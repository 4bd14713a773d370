"""Oracles' state machines on a network that a trace controls: disks, messages under way, and kill -9 anywhere.

Evidence has names of a letter; oracles can get what they are not said to lack. Signatures are fakes whose signer can be
read off; real ones are tested in test_oracle_messages.py.
"""

import itertools
from collections import Counter

from gateway.oracle.consensus import Oracle
from gateway.oracle.effects import Fetch, Persist, Publish, Score
from gateway.oracle.quorum import Settle
from gateway.oracle.simulated import address, seal_of, signer_of
from gateway.oracle.statements import (
    NOTHING,
    Bundle,
    Close,
    Decision,
    Held,
    Proposal,
    Root,
    Said,
    Signature,
    Vote,
    digest_of,
    evidence_of,
)

STRANGER = 9
GATEWAY = 101


def word(text):
    """A 32-byte value that can be read back from a trace."""
    return text.encode().ljust(32, b".")


def text(value):
    return value.rstrip(b".").decode()


def bundle(name, gateway=GATEWAY, missing=()):
    return Bundle(address(gateway), word(name), 7, "", missing)


def root(epoch, name, evidence=None):
    return Root(epoch, word(name), len(name), word(name) if evidence is None else evidence)


def fake_sign(number, signed):
    return address(number) + seal_of(signed)


class Network:
    """Oracles, their disks, the messages under way. Effects are carried out in order; `survives` may cut them short."""

    def __init__(self, count, threshold, gateways=1):
        self.numbers = range(1, count + 1)
        self.threshold = threshold
        self.gateways = [address(GATEWAY + index) for index in range(gateways)]
        self.settled = self.now_ms = 0
        self.disks = dict.fromkeys(self.numbers)
        self.lacking = {number: set() for number in self.numbers}
        self.known = set()
        self.wire = []
        self.rejects = Counter()
        self.survives = lambda: True
        self.oracles = {}
        for number in self.numbers:
            self.start(number)

    def start(self, number):
        """Start an oracle with nothing but its disk, as after kill -9."""
        self.oracles[number] = Oracle(
            address(number),
            [address(n) for n in self.numbers],
            self.threshold,
            self.gateways,
            lambda message: Said(address(number), message),
            lambda signed: fake_sign(number, signed),
            signer_of,
            self.settled,
            self.disks[number],
        )

    def run(self, number, effects):
        """Carry effects out and return one line for each."""
        lines = []
        for effect in effects:
            if not self.survives():
                self.start(number)
                return [*lines, f"{number} killed"]
            lines.append(f"{number} {self.describe(effect)}")
            if isinstance(effect, Fetch):
                if text(effect.bundle.digest) not in self.lacking[number]:
                    lines += self.run(number, self.oracles[number].held(effect.epoch, effect.bundle, self.now_ms))
            elif isinstance(effect, Score):
                scored = root(effect.epoch, self.name(digest_of(effect.bundles)), evidence_of(effect.bundles))
                lines += self.run(number, self.oracles[number].scored(scored, self.now_ms))
            elif isinstance(effect, Persist):
                self.disks[number] = effect.choice
            elif isinstance(effect, Publish):
                self.wire += [(to, effect.said) for to in self.numbers if to != number]
            elif not isinstance(effect, Settle):
                self.rejects[effect.reason] += 1
        return lines

    def deliver(self, index=0):
        to, said = self.wire.pop(index)
        return self.run(to, self.oracles[to].receive(said, self.now_ms))

    def close(self, number, epoch, name="e", gateway=GATEWAY):
        self.known.add(bundle(name, gateway))
        said = Said(address(gateway), Close(epoch, word(name), 7))
        return self.run(number, self.oracles[number].close(said, self.now_ms))

    def say(self, sender, to, message):
        return self.run(to, self.oracles[to].receive(Said(address(sender), message), self.now_ms))

    def settle(self, number, epoch):
        self.settled = max(self.settled, epoch)
        return self.run(number, self.oracles[number].settle(epoch, self.now_ms))

    def tick(self, number):
        return self.run(number, self.oracles[number].tick(self.now_ms))

    def name(self, value):
        """Of the digest of a set of evidence."""
        if value == NOTHING:
            return "nothing"
        known = sorted(self.known)
        sets = itertools.chain.from_iterable(itertools.combinations(known, size) for size in (1, 2))
        return next(("+".join(text(item.digest) for item in each) for each in sets if digest_of(each) == value), "?")

    def describe(self, effect):
        if isinstance(effect, Fetch):
            return f"fetch {effect.epoch} {text(effect.bundle.digest)}"
        if isinstance(effect, Score):
            return f"score {effect.epoch} {self.name(digest_of(effect.bundles))}"
        if isinstance(effect, Persist):
            memory = effect.choice.memory
            said = [self.describe_message(said.message) for said in (*memory.own, memory.decision) if said]
            said += ["signature"] if effect.choice.signature else []
            return f"persist {effect.choice.epoch} turn {memory.place.turn}: {', '.join(said)}".rstrip()
        if isinstance(effect, Publish):
            return f"publish {self.describe_message(effect.said.message)}"
        if isinstance(effect, Settle):
            signers = " ".join(str(signer[0]) for signer, _ in effect.signatures)
            return f"settle {effect.root.epoch} {text(effect.root.root)} by {signers}"
        return f"reject {effect.reason} from {effect.sender[0]}"

    def describe_message(self, message):
        if isinstance(message, Held):
            return f"held {message.epoch} {'+'.join(text(item.digest) for item in message.bundles)}"
        if isinstance(message, Vote):
            return f"{message.kind} {message.turn} {self.name(message.value)}"
        if isinstance(message, Proposal):
            lock = f" locked in {message.lock_turn}" if message.lock_turn >= 0 else ""
            return f"proposal {message.turn} by {len(message.held)}{lock}"
        if isinstance(message, Decision):
            return f"decision {message.turn}"
        assert isinstance(message, Signature)
        return f"signature {message.root.epoch} {text(message.root.root)}"

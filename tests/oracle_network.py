"""Oracles' state machines on a network that tests control: their disks, the messages under way, and kill -9 anywhere.

Signatures are fakes whose signer can be read off; real ones are tested in test_oracle_messages.py.
"""

import hashlib
from collections import Counter, defaultdict

from gateway.oracle.consensus import Close, Oracle, Persist, Publish, Root, Score, Settle, Signature, Table

STRANGER = 9


def address(number):
    return bytes([number]) * 20


def word(text):
    """A 32-byte value that can be read back from a trace."""
    return text.encode().ljust(32, b".")


def table(epoch, root, evidence="e"):
    value = sum(root.encode()) % 256
    return Table(Root(epoch, word(root), value, word(evidence)), ((address(100), value),))


def fake_sign(number, root):
    """A signature whose signer can be read off it, and which fits one root only; 65 bytes like a real one."""
    return (address(number) + hashlib.sha512(repr(root).encode()).digest())[:65]


def fake_signer(root, signature):
    return next((address(n) for n in range(STRANGER + 1) if fake_sign(n, root) == signature), None)


class Network:
    """Oracles, their disks, the messages under way. Effects are carried out in order; `survives` may cut them short."""

    def __init__(self, count, threshold):
        self.numbers = range(1, count + 1)
        self.threshold = threshold
        self.settled = 0
        self.now_ms = 0
        self.disks = {number: () for number in self.numbers}
        self.verdicts = {}
        self.wire = []
        self.signed = defaultdict(set)
        self.tabled = defaultdict(set)
        self.settlements = set()
        self.rejects = Counter()
        self.oracles = {}
        self.survives = lambda: True
        for number in self.numbers:
            self.start(number)

    def start(self, number):
        """Start an oracle with nothing but its disk, as after kill -9."""
        everyone = [address(n) for n in self.numbers]
        self.oracles[number] = Oracle(
            address(number),
            everyone,
            self.threshold,
            lambda root: fake_sign(number, root),
            fake_signer,
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
            lines.append(f"{number} {describe(effect)}")
            if isinstance(effect, Score):
                verdict = self.verdicts.get((number, effect.close.epoch))
                if verdict is not None and verdict.root.evidence == effect.close.evidence:
                    lines += self.run(number, self.oracles[number].scored(verdict, self.now_ms))
            elif isinstance(effect, Persist):
                self.disks[number] = effect.choices
            elif isinstance(effect, Publish):
                self.publish(number, effect.message)
            elif isinstance(effect, Settle):
                self.settlements.add(effect.root)
            else:
                self.rejects[effect.reason] += 1
        return lines

    def publish(self, number, message):
        records = self.signed if isinstance(message, Signature) else self.tabled
        records[number, message.root.epoch].add(message.root)
        self.wire += [(to, number, message) for to in self.numbers if to != number]

    def deliver(self, index):
        to, sender, message = self.wire.pop(index)
        if to not in self.oracles:
            return []
        return self.run(to, self.oracles[to].receive(address(sender), message, self.now_ms))

    def close(self, number, epoch, evidence="e"):
        message = Close(epoch, word(evidence), 7)
        return self.run(number, self.oracles[number].close(message, self.now_ms))

    def settle(self, number, epoch):
        self.settled = max(self.settled, epoch)
        return self.run(number, self.oracles[number].settle(epoch, self.now_ms))

    def tick(self, number):
        return self.run(number, self.oracles[number].tick(self.now_ms))


def describe(effect):
    def text(value):
        return value.rstrip(b".").decode()

    if isinstance(effect, Score):
        return f"score {effect.close.epoch} {text(effect.close.evidence)}"
    if isinstance(effect, Persist):
        return "persist " + " ".join(f"{choice.root.epoch}:{text(choice.root.root)}" for choice in effect.choices)
    if isinstance(effect, Publish):
        kind = type(effect.message).__name__.lower()
        return f"publish {kind} {effect.message.root.epoch} {text(effect.message.root.root)}"
    if isinstance(effect, Settle):
        signers = " ".join(str(signer[0]) for signer, _ in effect.signatures)
        return f"settle {effect.root.epoch} {text(effect.root.root)} by {signers}"
    return f"reject {effect.reason} from {effect.sender[0]}"

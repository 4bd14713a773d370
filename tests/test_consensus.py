"""Agreement of oracles: text traces of what each input makes an oracle do, and a seeded simulator of a bad network.

A trace (tests/traces/*.txt) is a list of commands, each followed by ---- and what came of it. To rewrite the results
after a change that is meant, and then read the diff: TINYREN_REWRITE_TRACES=1 pytest tests/test_consensus.py
"""

import os
import random
from collections import Counter
from pathlib import Path

import pytest
from oracle_network import STRANGER, Network, address, fake_sign, fake_signer, table

from gateway.oracle.consensus import MAX_OPEN, RESEND_MS, Quorum, Reject, Settle, Signature, Table

TRACES = sorted((Path(__file__).parent / "traces").glob("*.txt"))
SCHEDULES = 1_500


class Trace:
    """Runs the commands of a trace; each method is one, and returns the lines that follow its ----."""

    def oracles(self, count, threshold):
        self.network = Network(int(count), int(threshold))
        return []

    def verdict(self, number, epoch, root, evidence="e"):
        self.network.verdicts[int(number), int(epoch)] = table(int(epoch), root, evidence)
        return []

    def close(self, number, epoch, evidence="e"):
        return self.network.close(int(number), int(epoch), evidence)

    def scored(self, number, epoch, root, evidence="e"):
        network, verdict = self.network, table(int(epoch), root, evidence)
        return network.run(int(number), network.oracles[int(number)].scored(verdict, network.now_ms))

    def table(self, sender, to, epoch, root, evidence="e"):
        network, message = self.network, table(int(epoch), root, evidence)
        return network.run(int(to), network.oracles[int(to)].receive(address(int(sender)), message, network.now_ms))

    def signature(self, sender, to, epoch, root, signer=None):
        network, signed = self.network, table(int(epoch), root).root
        message = Signature(signed, fake_sign(int(signer or sender), signed))
        return network.run(int(to), network.oracles[int(to)].receive(address(int(sender)), message, network.now_ms))

    def deliver(self):
        lines = []
        while self.network.wire:
            lines += self.network.deliver(0)
        return lines

    def lose(self):
        self.network.wire.clear()
        return []

    def kill(self, number, effects="0"):
        """Kill at once, or within the next command after so many effects."""
        left = [int(effects)]
        if not left[0]:
            self.network.start(int(number))
            return []

        def survives():
            left[0] -= 1
            return left[0] != -1

        self.network.survives = survives
        return []

    def wait(self, wait_ms):
        self.network.now_ms += int(wait_ms)
        return [line for number in self.network.numbers for line in self.network.tick(number)]

    def settled(self, epoch):
        return [line for number in self.network.numbers for line in self.network.settle(number, int(epoch))]

    def equivocators(self, number):
        found = self.network.oracles[int(number)].equivocators()
        return [f"{epoch}: {' '.join(str(one[0]) for one in sorted(who))}" for epoch, who in found.items()]


def run_trace(text):
    """The trace with every result replaced by what happens now."""
    trace, out = Trace(), []
    for block in text.strip().split("\n\n"):
        command = block.split("\n----")[0]
        name, *arguments = command.splitlines()[-1].split()
        out.append("\n".join([command, "----", *getattr(trace, name)(*arguments)]))
    return "\n\n".join(out) + "\n"


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_each_input_has_the_effects_that_its_trace_records(path):
    text = path.read_text()
    result = run_trace(text)
    if os.environ.get("TINYREN_REWRITE_TRACES"):
        path.write_text(result)
    else:
        assert result == text


def snapshot(oracle):
    epochs = {number: vars(epoch) | {"quorum": epoch.quorum.signatures} for number, epoch in oracle.open.items()}
    return repr((oracle.settled, oracle.choices, epochs))


REJECTED = [
    ("unknown oracle", STRANGER, table(1, "a")),
    ("unknown oracle", STRANGER, Signature(table(1, "a").root, fake_sign(STRANGER, table(1, "a").root))),
    ("old epoch", 2, table(0, "a")),
    ("epoch not closed", 2, table(2, "a")),
    ("epoch not closed", 2, table(MAX_OPEN + 1, "a")),
    ("known table", 2, table(1, "a")),
    ("known signature", 2, Signature(table(1, "a").root, fake_sign(2, table(1, "a").root))),
    ("second root signed", 2, Signature(table(1, "b").root, fake_sign(2, table(1, "b").root))),
    ("bad signature", 3, Signature(table(1, "a").root, fake_sign(2, table(1, "a").root))),
    ("bad signature", 3, Signature(table(1, "a").root, b"")),
]


@pytest.mark.parametrize("reason, sender, message", REJECTED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_message_that_is_rejected_changes_nothing(reason, sender, message):
    network = Network(3, 2)
    network.close(1, 1)
    root = table(1, "a").root
    oracle = network.oracles[1]
    for first in (table(1, "a"), Signature(root, fake_sign(2, root))):
        assert oracle.receive(address(2), first, 0) == []
    before = snapshot(oracle)
    assert oracle.receive(address(sender), message, 0) == [Reject(address(sender), reason)]
    assert snapshot(oracle) == before


def test_memory_stays_bounded_however_many_epochs_the_gateway_announces():
    network = Network(3, 2)
    for epoch in range(1, 100):
        network.close(1, epoch)
    assert len(network.oracles[1].open) == MAX_OPEN
    assert network.rejects["epoch too far ahead"] == 99 - MAX_OPEN


def test_a_quorum_says_settle_once_and_needs_the_signatures_over_one_root():
    quorum = Quorum([address(n) for n in (1, 2, 3)], 2, fake_signer)
    one, other = table(1, "a").root, table(1, "b").root
    assert quorum.receive(address(3), Signature(one, fake_sign(3, one))) is None
    assert quorum.receive(address(2), Signature(other, fake_sign(2, other))) is None
    settle = quorum.receive(address(1), Signature(one, fake_sign(1, one)))
    assert settle == Settle(one, tuple((address(n), fake_sign(n, one)) for n in (1, 3)))
    assert quorum.receive(address(1), Signature(one, fake_sign(1, one))) == Reject(address(1), "known signature")
    stranger = Signature(one, fake_sign(STRANGER, one))
    assert quorum.receive(address(STRANGER), stranger) == Reject(address(STRANGER), "unknown oracle")
    assert address(STRANGER) not in quorum.signatures


class Liar:
    """Oracle 3 of 3, which says anything to anyone: tables and signatures of any root, and what it heard before."""

    def __init__(self, network, dice):
        self.network, self.dice, self.heard = network, dice, []

    def act(self):
        root = table(1, self.dice.choice("abz")).root
        lies = [Table(root, ()), Table(root, ((address(100), 255),)), Signature(root, fake_sign(3, root))]
        forged = Signature(root, fake_sign(self.dice.choice([1, 2]), root))
        message = self.dice.choice([*lies, forged, table(1, self.dice.choice("abz"))])
        self.network.wire.append((self.dice.choice([1, 2]), 3, message))


def shake(network, dice, honest, steps, liar=None):
    """Random steps of a bad network: deliver in any order, lose, double, kill between two effects, let time pass."""
    network.survives = lambda: dice.random() > 0.02
    for _ in range(steps):
        step = dice.random()
        index = dice.randrange(len(network.wire)) if network.wire else None
        number = dice.choice(honest)
        if index is not None and step < 0.5:
            network.deliver(index)
        elif index is not None and step < 0.58:
            network.wire.pop(index)
        elif index is not None and step < 0.66:
            network.wire.append(network.wire[index])
        elif step < 0.76:
            network.close(number, 1)
        elif step < 0.80:
            network.start(number)
        elif step < 0.90 and liar is not None:
            liar.act()
        else:
            network.now_ms += dice.choice([10, RESEND_MS])
            network.tick(number)
    network.survives = lambda: True


def settleable(network, honest, liars):
    """Roots that enough signatures can exist for, when every liar signs whatever helps."""
    votes = Counter(root for number in honest for root in network.signed[number, 1])
    return {root for root, count in votes.items() if count + liars >= network.threshold}


SETUPS = [
    # name, threshold, verdict of each oracle, honest ones, whether oracle 3 lies, whether the honest must settle
    ("a liar beside two that read the same evidence", 2, "aa?", [1, 2], True, True),
    ("nobody lies and one was given other evidence", 2, "aab", [1, 2, 3], False, True),
    ("nobody lies and all were given different evidence", 2, "abc", [1, 2, 3], False, False),
    ("a liar beside two that were given different evidence, threshold 3", 3, "ab?", [1, 2], True, False),
]


@pytest.mark.parametrize("name, threshold, verdicts, honest, lies, live", SETUPS, ids=[setup[0] for setup in SETUPS])
def test_no_schedule_lets_two_roots_settle_or_one_oracle_sign_two(name, threshold, verdicts, honest, lies, live):
    for seed in range(SCHEDULES):
        dice = random.Random(f"{name} {seed}")
        network = Network(3, threshold)
        for number in honest:
            network.verdicts[number, 1] = table(1, verdicts[number - 1])
        liar = Liar(network, dice) if lies else None
        if lies:
            del network.oracles[3]
        shake(network, dice, honest, 40, liar)
        change = dice.choice(honest)
        if network.disks[change]:
            network.verdicts[change, 1] = table(1, "z")  # a chosen table must outlive evidence that changes
        shake(network, dice, honest, 20, liar)
        if live:
            finish(network, honest)
            assert network.settlements == {table(1, "a").root}, seed
        for number in honest:
            assert len(network.signed[number, 1]) <= 1 and len(network.tabled[number, 1]) <= 1, seed
        assert len(settleable(network, honest, int(lies))) <= 1, seed
        assert len(network.settlements) <= 1, seed


def finish(network, honest):
    """The network recovers: every oracle is up, nothing is lost, time passes."""
    for _ in range(3):
        for number in honest:
            network.close(number, 1)
        network.now_ms += RESEND_MS
        for number in honest:
            network.tick(number)
        while network.wire:
            network.deliver(0)

"""Agreement of oracles: text traces of what each input makes an oracle do, and what is rejected without a change.

A trace (tests/traces/*.txt) is a list of commands, each followed by ---- and what came of it. To rewrite the results
after a change that is meant, and then read the diff: TINYREN_REWRITE_TRACES=1 pytest tests/oracle/test_consensus.py
"""

import os
from pathlib import Path

import pytest

from gateway.oracle.agreement import RESEND_MS, TURN_MS
from gateway.oracle.consensus import GATHER_MS, MAX_OPEN
from gateway.oracle.quorum import Quorum, Settle
from gateway.oracle.simulated import address, signer_of
from gateway.oracle.statements import NOTHING, Close, Decision, Held, Proposal, Said, Signature, Vote, digest_of, set_of
from tests.oracle_network import GATEWAY, STRANGER, Network, bundle, fake_sign, root, text, word

TRACES = sorted((Path(__file__).parents[1] / "traces").glob("*.txt"))


class Trace:
    """Runs the commands of a trace; each method is one, and returns the lines that follow its ----."""

    def oracles(self, count, threshold, gateways="1"):
        self.network = Network(int(count), int(threshold), int(gateways))
        return []

    def lacks(self, number, *names):
        """From now on an oracle can get everything but these."""
        self.network.lacking[int(number)] = set(names)
        return []

    def close(self, number, epoch, name="e", gateway=GATEWAY):
        return self.network.close(int(number), int(epoch), name, int(gateway))

    def vote(self, sender, to, turn, kind, name, epoch="1"):
        """A vote of one oracle's, to another alone."""
        known = {text(item.digest): digest_of((item,)) for item in self.network.known} | {"nothing": NOTHING}
        return self.network.say(int(sender), int(to), Vote(int(epoch), int(turn), kind, known[name]))

    def signature(self, sender, to, epoch, name, signer=None):
        signed = root(int(epoch), name)
        message = Signature(signed, fake_sign(int(signer or sender), signed))
        return self.network.say(int(sender), int(to), message)

    def scored(self, number, epoch, name):
        network = self.network
        return network.run(int(number), network.oracles[int(number)].scored(root(int(epoch), name), network.now_ms))

    def deliver(self, *to):
        """Everything under way, and what comes of it, in order; or only what goes to these."""
        network, lines = self.network, []
        while indexes := [at for at, (number, _) in enumerate(network.wire) if not to or str(number) in to]:
            lines += network.deliver(indexes[0])
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

    def wait(self, wait_ms, *numbers):
        """Time passes for all, or for these only."""
        self.network.now_ms += int(wait_ms)
        ticking = [int(number) for number in numbers] or self.network.numbers
        return [line for number in ticking for line in self.network.tick(number)]

    def settled(self, epoch):
        return [line for number in self.network.numbers for line in self.network.settle(number, int(epoch))]

    def faults(self, number):
        found = self.network.oracles[int(number)].faults
        return [f"{who[0]} said two things" for who in sorted(found)]


def run_trace(content):
    """The trace with every result replaced by what happens now."""
    trace, out = Trace(), []
    for block in content.strip().split("\n\n"):
        command = block.split("\n----")[0]
        name, *arguments = command.splitlines()[-1].split()
        out.append("\n".join([command, "----", *getattr(trace, name)(*arguments)]))
    return "\n\n".join(out) + "\n"


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_each_input_has_the_effects_that_its_trace_records(path):
    content = path.read_text()
    result = run_trace(content)
    if os.environ.get("TINYREN_REWRITE_TRACES"):
        path.write_text(result)
    else:
        assert result == content


E = digest_of((bundle("e"),))
ROOT = root(1, "e")


def held_by(*numbers, name="e", epoch=1):
    return tuple(Said(address(number), Held(epoch, (bundle(name),))) for number in numbers)


def votes_of(*numbers, kind="prevote", turn=0, value=E):
    return tuple(Said(address(number), Vote(1, turn, kind, value)) for number in numbers)


REJECTED = [
    ("unknown oracle", STRANGER, Vote(1, 0, "prevote", E)),
    ("unknown oracle", STRANGER, Signature(ROOT, fake_sign(STRANGER, ROOT))),
    ("old epoch", 2, Vote(0, 0, "prevote", E)),
    ("epoch not begun", 2, Vote(2, 0, "prevote", E)),
    ("epoch not begun", 2, Signature(root(2, "e"), fake_sign(2, root(2, "e")))),
    ("known vote", 2, Vote(1, 0, "prevote", E)),
    ("another turn", 2, Vote(1, 2, "prevote", E)),
    ("bundle of no gateway, or two of one", 2, Held(1, (bundle("e", STRANGER),))),
    ("bundle of no gateway, or two of one", 2, Held(1, (bundle("e"), bundle("f")))),
    ("not the leader", 3, Proposal(1, 0, held_by(2, 3, 4))),
    ("set without a quorum", 2, Proposal(1, 0, held_by(2, 3))),
    ("set without a quorum", 2, Proposal(1, 0, held_by(2, 2, 3))),
    ("set without a quorum", 2, Proposal(1, 0, held_by(2, 2, 3, 4))),
    ("set without a quorum", 2, Proposal(1, 0, held_by(2, 3, STRANGER))),
    ("set without a quorum", 2, Proposal(1, 0, held_by(2, 3, 4, epoch=2))),
    ("set without a quorum", 2, Proposal(1, 0, tuple(Said(item.sender, Held(1, ())) for item in held_by(2, 3, 4)))),
    ("lock without a quorum", 3, Proposal(1, 1, held_by(2, 3, 4), 0, votes_of(3, 4))),
    ("lock without a quorum", 3, Proposal(1, 1, held_by(2, 3, 4), 0, votes_of(3, 4, STRANGER))),
    ("lock without a quorum", 3, Proposal(1, 1, held_by(2, 3, 4), 0, votes_of(2, 3, 4, kind="precommit"))),
    ("lock without a quorum", 3, Proposal(1, 1, held_by(2, 3, 4), 1, votes_of(2, 3, 4, turn=1))),
    ("decision without a quorum", 2, Decision(1, 0, held_by(2, 3, 4), votes_of(2, 3, 4))),
    ("decision without a quorum", 2, Decision(1, 0, held_by(2, 3), votes_of(2, 3, 4, kind="precommit"))),
    ("decision without a quorum", 2, Decision(1, 0, held_by(2, 3, 4), votes_of(2, 2, 3, kind="precommit"))),
    ("known signature", 2, Signature(ROOT, fake_sign(2, ROOT))),
    ("second root signed", 2, Signature(root(1, "b"), fake_sign(2, root(1, "b")))),
    ("bad signature", 3, Signature(ROOT, fake_sign(2, ROOT))),
    ("bad signature", 3, Signature(ROOT, bytes(65))),
]


def snapshot(oracle):
    work = oracle._work
    ballots = work.agreement.ballots
    turns = {number: (turn.proposal, turn.proven, turn.votes) for number, turn in ballots.turns.items() if turn.votes}
    state = (work.agreement.held, work.agreement.memory, work.quorum.signatures, work.choice, work.bundles, turns)
    return repr((oracle.settled, oracle._closes, ballots.faults, state))


@pytest.mark.parametrize("reason, sender, message", REJECTED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_message_that_is_rejected_changes_nothing(reason, sender, message):
    network = Network(4, 3)
    network.close(1, 1)
    oracle = network.oracles[1]
    for first in (Vote(1, 0, "prevote", E), Vote(1, 1, "prevote", E), Signature(ROOT, fake_sign(2, ROOT))):
        assert network.say(2, 1, first) == []
    before = snapshot(oracle)
    assert network.say(sender, 1, message) == [f"1 reject {reason} from {sender}"]
    assert snapshot(oracle) == before


def test_a_root_of_other_evidence_than_was_agreed_on_is_stale_and_does_not_count():
    network = Network(4, 3)
    for number in network.numbers:
        network.close(number, 1)
    while network.oracles[1]._work.agreement.decided is None:
        network.deliver()
    before = snapshot(network.oracles[1])
    assert network.say(4, 1, Signature(root(1, "b"), fake_sign(4, root(1, "b")))) == ["1 reject stale evidence from 4"]
    assert snapshot(network.oracles[1]) == before


def test_memory_stays_bounded_whatever_is_announced_and_voted():
    network = Network(4, 3)
    for epoch in range(1, 100):
        network.close(1, epoch)
    for turn in range(1_000):
        network.say(2, 1, Vote(1, turn, "prevote", word(str(turn))))
    assert network.rejects["epoch too far ahead"] == 99 - MAX_OPEN
    assert len(network.oracles[1]._closes) == MAX_OPEN and len(network.oracles[1]._work.agreement.ballots.turns) <= 2


def test_a_stranger_and_an_oracle_announce_nothing():
    network = Network(4, 3)
    for number in (STRANGER, 2):
        said = Said(address(number), Close(1, word("e"), 7))
        assert network.run(1, network.oracles[1].close(said, 0)) == [f"1 reject not a gateway from {number}"]
    assert not network.oracles[1].is_open


def test_a_quorum_says_settle_once_and_needs_the_signatures_over_one_root():
    quorum = Quorum([address(n) for n in (1, 2, 3)], 2, signer_of)
    one, other = root(1, "a"), root(1, "b")
    assert quorum.receive(address(3), Signature(one, fake_sign(3, one))) == ""
    assert quorum.receive(address(2), Signature(other, fake_sign(2, other))) == ""
    settle = quorum.receive(address(1), Signature(one, fake_sign(1, one)))
    assert settle == Settle(one, tuple((address(n), fake_sign(n, one)) for n in (1, 3)))
    assert quorum.receive(address(1), Signature(one, fake_sign(1, one))) == "known signature"
    assert quorum.receive(address(STRANGER), Signature(one, fake_sign(STRANGER, one))) == "unknown oracle"
    assert address(STRANGER) not in quorum.signatures


GAPS = [  # f, what each holder missed, what is missing
    (1, [((0, 3),), (), ()], ()),
    (1, [((0, 3),), ((2, 5),), ()], ((2, 3),)),
    (1, [((0, 3),), ((2, 5),)], ((0, 5),)),
    (1, [((0, 1), (4, 5)), ((1, 4),), ((5, 5),)], ((1, 1), (4, 5))),
    (0, [((0, 3),)], ((0, 3),)),
    (0, [((0, 3),), ((3, 4),)], ((3, 3),)),
]


@pytest.mark.parametrize("faults, missed, wanted", GAPS)
def test_a_window_counts_if_more_than_f_saw_it_committed(faults, missed, wanted):
    held = [Said(address(n), Held(1, (bundle("e", missing=gaps),))) for n, gaps in enumerate(missed, 1)]
    assert set_of(held, faults) == (bundle("e", missing=wanted),)


def test_of_a_gateways_two_bundles_the_one_that_more_hold_is_in_the_set_and_none_that_f_hold():
    held = (*held_by(1, 2, name="f"), *held_by(3, name="e"))
    assert set_of(held, 0) == (bundle("f"),) and set_of((*held_by(1, name="f"), *held_by(2)), 0) == (bundle("e"),)
    assert set_of((*held_by(1, name="f"), *held_by(2)), 1) == ()


def test_a_set_is_voted_for_only_by_who_holds_it():
    network = Network(4, 3, gateways=2)
    network.lacking[1] = {"f"}
    for name, gateway in (("e", GATEWAY), ("f", GATEWAY + 1)):
        network.close(1, 1, name, gateway)
    network.now_ms = GATHER_MS
    network.tick(1)
    held = tuple(Said(address(number), Held(1, (bundle("f", GATEWAY + 1),))) for number in (2, 3, 4))
    assert network.say(2, 1, Proposal(1, 0, held)) == []
    assert network.disks[1] is None


def test_a_further_gateway_that_closes_early_leaves_nobody_out():
    network = Network(4, 3, gateways=2)
    network.close(1, 1, "f", GATEWAY + 1)
    network.now_ms = 3 * GATHER_MS
    assert [line for line in network.tick(1) if "held" in line] == []
    network.close(1, 1, "e", GATEWAY)
    assert [line for line in network.tick(1) if "held" in line] == [] or network.disks[1] is not None
    network.now_ms = 5 * GATHER_MS
    network.tick(1)
    held = network.oracles[1]._work.held.message
    assert {bundle.gateway for bundle in held.bundles} == set(network.gateways)


def test_nothing_is_published_again_before_it_is_due():
    network = Network(4, 3)
    network.close(1, 1)
    for at_ms, wanted in ((TURN_MS - 1, []), (RESEND_MS, ["1 publish held 1 e"])):
        network.now_ms = at_ms
        assert [line for line in network.tick(1) if "held" in line] == wanted

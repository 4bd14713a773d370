"""Oracles as processes when things go wrong: killed at each word, no disk, a clock that jumps, all of it heard again.

After each of it every epoch is settled, once, on one root; no oracle says two things, and the owners get what the
verdict says and no more.
"""

import subprocess
import sys

import pytest

from gateway.oracle.statements import Held, Proposal, Signature, Vote
from tests.oracle_site import DEVICES, ORACLES, ROOT, WAIT_S, Site, address

WHO = {address(key): index for index, key in enumerate(ORACLES, 1)}
JUMPING = """
import itertools, random, sys, time
from gateway.oracle import service
year_ns, dice, real = 365 * 24 * 3600 * 10**9, random.Random(1), time.time_ns
time.time_ns = lambda: real() + dice.choice((-1, 0, 1)) * year_ns
time.time = lambda: time.time_ns() / 1e9
sys.exit(service.main())
"""
FULL = """
import resource, sys
from gateway.oracle import service
resource.setrlimit(resource.RLIMIT_FSIZE, (600, resource.RLIM_INFINITY))
sys.exit(service.main())
"""


def is_precommit(said):
    return isinstance(said, Vote) and said.kind == "precommit"


def is_prevote(said):
    return isinstance(said, Vote) and said.kind == "prevote"


WORDS = {
    "Held": lambda said: isinstance(said, Held),
    "Proposal": lambda said: isinstance(said, Proposal),
    "prevote": is_prevote,
    "precommit": is_precommit,
    "Signature": lambda said: isinstance(said, Signature),
}


class Drill(Site):
    """A site whose gateway notes every message as it came, and whose oracles run as any program."""

    def __init__(self, folder):
        self.payloads, self.leaves = [], None
        super().__init__(folder)

    def receive(self, topic, payload, at_ms, token):
        self.payloads.append((topic, payload))
        super().receive(topic, payload, at_ms, token)

    def run(self, program, *indexes):
        """Start oracles by a program in place of their own; it does what that does, and more."""
        for index in indexes:
            with self.log(index).open("wb") as log:
                command = [sys.executable, "-c", program, "--site", self.folder, "--index", str(index)]
                self.processes[index] = subprocess.Popen(command, cwd=ROOT, stderr=log)

    def open(self, number):
        """An epoch that two devices answered in part; its close is said. The verdict that it must come to."""
        close = self.record(number, {DEVICES[0]: range(4), DEVICES[2]: [number % 4]})
        self.say(close)
        return self.verdict(close, self.leaves)

    def finish(self, verdict):
        """Settle the epoch; nobody said two things, and the chain has what the verdict says."""
        self.settle(verdict)
        self.leaves, made = verdict.leaves, self.contracts
        assert (made.epoch(), made.roots()[-1].root) == (verdict.epoch, verdict.root)
        assert self.contradictions() == []

    def contradictions(self):
        """What an oracle said twice in two ways."""
        first, found = {}, []
        for who, said in list(self.heard):
            if isinstance(said, Vote):
                place, value = (who, said.epoch, said.turn, said.kind), said.value
            elif isinstance(said, Signature):
                place, value = (who, said.root.epoch), said.root
            elif isinstance(said, Proposal):
                place, value = (who, said.epoch, said.turn), said
            else:
                continue
            if first.setdefault(place, value) != value:
                found.append((place, first[place], value))
        return found


@pytest.fixture
def site(tmp_path):
    made = Drill(tmp_path)
    yield made
    made.stop()


def signed(heard, number):
    return {who for who, said in heard if isinstance(said, Signature) and said.root.epoch == number}


def test_killed_at_each_word_that_they_say_they_go_on_and_contradict_nothing(site):
    site.start(1, 2, 3)
    for number, is_word in enumerate(WORDS.values(), 1):
        place, killed = len(site.heard), set()
        verdict = site.open(number)  # they may have said something before it returns

        def said(heard, place=place, is_word=is_word, killed=killed):
            return [who for who, word in heard[place:] if is_word(word) and who not in killed]

        while len(killed) < 2:
            heard = site.wait(lambda heard, said=said, number=number: said(heard) or len(signed(heard, number)) == 3)
            if not said(heard):
                break  # one leader proposes in a turn
            who = said(heard)[0]
            killed.add(who)
            site.kill(WHO[who])
            site.start(WHO[who])
        assert killed
        site.finish(verdict)


def test_without_a_disk_they_say_nothing_and_settle_once_there_is_room(site):
    site.run(FULL, 1, 2, 3)
    for index in (1, 2, 3):
        site.wait_log(index, "ready")
    verdict = site.open(1)
    assert [site.processes[index].wait(WAIT_S) for index in (1, 2, 3)] == [1, 1, 1]
    for index in (1, 2, 3):
        (line,) = [line for line in site.log(index).read_text().splitlines() if "File too large" in line]
        assert line.startswith(f"oracle {index}: epoch 1: ") and "free space there" in line
    assert signed(site.heard, 1) == set() and not any(isinstance(said, Vote) for _, said in site.heard)
    site.start(1, 2, 3)
    site.finish(verdict)


def test_a_clock_that_jumps_by_years_changes_nothing(site):
    site.run(JUMPING, 1, 2, 3)
    for index in (1, 2, 3):
        site.wait_log(index, "ready")
    for number in (1, 2):
        site.finish(site.open(number))


def test_all_that_was_ever_said_comes_again_and_settles_nothing_twice(site):
    site.start(1, 2, 3)
    first = site.open(1)
    site.finish(first)
    old = list(site.payloads)
    second = site.open(2)
    for topic, payload in old * 3:
        site.bus.publish(topic, payload, qos=1)
    site.finish(second)
    roots = {said.root for _, said in site.heard if isinstance(said, Signature)}
    assert roots == {first.attested(), second.attested()}
    posted = site.contracts.roots()
    signatures = {
        "0x" + who.hex(): said.signature
        for who, said in site.heard
        if isinstance(said, Signature) and said.root.epoch == 1
    }
    site.contracts.post_root(1, first.root, first.total, first.evidence, signatures)
    assert site.contracts.epoch() == 2 and site.contracts.roots() == posted

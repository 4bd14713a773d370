"""The gateway's challenges, with the real agent, ingest and evidence: told in time, answered once, checked again."""

import hashlib

import pytest

from device.agent import reveal, wire
from device.agent.sampling import SAMPLE_MS
from gateway.intake.evidence import heartbeats_path
from gateway.intake.registry import Device
from gateway.oracle.availability import EvidenceError
from gateway.poai import models
from gateway.poai.challenger import Challenger
from gateway.poai.check import check_epoch
from tests.agent_bench import Bench
from tests.ingest_site import WINDOW_MS, Line, Signer, Site

MODELS = models.load()
INFERENCES = 3


def block_hash(number):
    return hashlib.sha256(b"%d" % number).digest()


class Challenged:
    """A site whose one device is the real agent; a block is made for each window and each draw."""

    def __init__(self, folder, count=6, bench=None):
        self.newest, self.site = 0, Site.__new__(Site)
        self.site.newest_block = self.next_block
        self.site.__init__(folder, count=count)
        self.bench = (bench or Bench()).connect()
        self.id = self.bench.agent.identity.id
        key = self.bench.agent.identity.public_key
        device = Device(self.id, key, "board_a", "core", "0.1", bytes(36), "counting", 1)
        self.site.registry.enroll([device])
        self.line, self.is_away = Line(), False
        ingest = self.site.epochs.ingest
        self.challenger = Challenger(folder / "evidence", MODELS, self.later, self.line.publish, ingest.challenges)

    def next_block(self):
        self.newest += 1
        return self.newest, block_hash(self.newest)

    def later(self, number):
        if self.is_away:
            return None
        while self.newest < number:
            self.next_block()
        return block_hash(number)

    def forward(self):
        """What the device published goes to ingest; the number of heartbeats and reveals."""
        frames = [(wire.topic(self.id, name), frame) for name, frame in self.bench.published() if name != "announce"]
        self.site.send(*frames)
        return len(frames)

    def window(self, answers=True):
        """A window: inferences, a heartbeat, the challenge for the one before, and its answer."""
        assert self.challenger.turn() is not self.is_away or self.site.epochs.windows.window < 1
        told, self.line.published = self.line.published, []
        for _, payload in told if answers else ():
            self.bench.receive("challenge", payload)
        self.forward()
        self.bench.pass_ms(INFERENCES * 32 * SAMPLE_MS, acknowledge=False)
        self.bench.receive("beacon", wire.encode_beacon(self.site.beacon, WINDOW_MS))
        self.forward()
        self.site.wait(WINDOW_MS)
        return told

    def check(self, epoch=1):
        works, checked = check_epoch(self.site.folder / "evidence", epoch, self.later, {self.id}, MODELS)
        return works[self.id], checked


@pytest.fixture
def site(tmp_path):
    return Challenged(tmp_path)


def test_each_window_is_challenged_in_the_next_and_the_answers_are_sound(site):
    told = [len(site.window()) for _ in range(6)]
    work, checked = site.check()

    assert told == [0, 1, 1, 1, 1, 1] and site.challenger.told == 5
    assert (work.claimed, work.challenged, work.answered, work.units) == (15, 15, 15, 15)
    assert [found.outcome for found in checked] == ["sound"] * 5 and len({found.window for found in checked}) == 5


def test_who_does_not_answer_has_missed(site):
    for window in range(6):
        site.window(answers=window != 3)
    work, checked = site.check()
    assert [found.outcome for found in checked] == ["sound", "sound", "missed", "sound", "sound"]
    assert work.units == 15 * 12 * 12 // (15 * 15)


def test_without_the_block_of_the_draw_nothing_is_told_and_it_is_told_when_it_comes(site):
    site.window()
    site.window()
    site.is_away = True
    assert site.challenger.turn() is False and site.line.published == []
    site.is_away = False
    assert site.challenger.turn() is True and len(site.line.published) == 1
    assert site.challenger.turn() is True and len(site.line.published) == 1


def answered(site):
    """A site with an open challenge, and the frame that answers it."""
    site.window()
    assert site.challenger.turn()
    ((_, payload),) = site.line.published
    site.bench.receive("challenge", payload)
    ((name, frame),) = site.bench.published()
    assert name == "reveal"
    return frame


def stored(site):
    return heartbeats_path(site.site.folder / "evidence", 1).read_bytes()


def test_an_answer_is_stored_once_and_again_is_no_fault(site):
    frame = answered(site)
    topic = wire.topic(site.id, "reveal")
    site.site.send((topic, frame), (topic, frame))
    once = stored(site)
    site.site.send((topic, frame))
    assert once.count(frame) == 1 and stored(site) == once
    assert "not_asked" not in site.site.registry.rejected


def test_an_answer_that_comes_when_the_epoch_is_closed_is_passed_over(site):
    for _ in range(4):
        site.window()
    frame = answered(site)
    site.site.epochs._may_open = lambda epoch: False
    site.site.wait(WINDOW_MS)
    assert site.site.closed == [1]
    before = stored(site)
    site.site.send((wire.topic(site.id, "reveal"), frame))
    assert stored(site) == before and "not_asked" not in site.site.registry.rejected


def test_what_was_not_answered_is_told_once_more_and_what_was_is_not(site):
    frame = answered(site)
    site.line.published.clear()
    site.challenger._tell_again()
    assert len(site.line.published) == 1
    site.site.send((wire.topic(site.id, "reveal"), frame))
    site.challenger._tell_again()
    assert len(site.line.published) == 1


def test_a_challenge_is_forgotten_in_the_second_window_after_it(site):
    for _ in range(6):
        site.window()
    assert len(site.site.epochs.ingest.challenges) == 2


@pytest.mark.parametrize(
    "change, reason",
    [
        ("signature", "bad_signature"),
        ("index", "not_asked"),
        ("device", "wrong_device"),
        ("size", "too_large"),
        ("cut", "malformed"),
    ],
)
def test_an_answer_that_is_none_is_refused_and_nothing_is_stored(site, change, reason):
    frame, before = answered(site), stored(site)
    topic, identity = wire.topic(site.id, "reveal"), site.bench.agent.identity
    fields = list(reveal.decode_reveal(wire.open_sign1(frame, reveal.REVEAL_MAX_BYTES)[1]))
    if change == "index":
        fields[1] += 1
    other = {
        "signature": lambda: reveal.sign_reveal(identity.id, Signer(9).sign, *fields),
        "index": lambda: reveal.sign_reveal(identity.id, identity.sign, *fields),
        "device": lambda: reveal.sign_reveal(Signer(9).id, Signer(9).sign, *fields),
        "size": lambda: frame + bytes(800),
        "cut": lambda: frame[:-1],
    }[change]()
    site.site.send((topic, other))
    assert stored(site) == before and site.site.registry.rejected == {reason: 1}
    site.site.send((topic, frame))
    assert frame in stored(site)


def test_a_restart_in_mid_epoch_counts_the_heartbeats_and_passes_over_the_answers(site):
    for _ in range(3):
        site.window()
    before = site.site.registry.rejected.copy()
    site.site.evidence.release()
    again = Site(site.site.folder, now_ms=site.site.now_ms)
    assert again.registry.progress[site.id].sequence == 3 and again.registry.rejected == before


def test_another_chain_than_that_of_the_windows_is_no_evidence(site):
    for _ in range(6):
        site.window()
    with pytest.raises(EvidenceError, match="has another hash"):
        check_epoch(site.site.folder / "evidence", 1, lambda number: bytes(32), {site.id}, MODELS)
    with pytest.raises(EvidenceError, match="chain has none"):
        check_epoch(
            site.site.folder / "evidence", 1, lambda n: None if n in (3, 5, 7) else block_hash(n), {site.id}, MODELS
        )

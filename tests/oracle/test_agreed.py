"""Sets of several gateways' evidence: kept, scored by both scorers alike, lent and audited; lies come to nothing."""

import contextlib
import hashlib
import random
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit import evidence as audit_evidence
from gateway.intake import evidence
from gateway.oracle import bundles, epoch, messages
from gateway.oracle.at_close import AtClose
from gateway.oracle.availability import EvidenceError
from gateway.oracle.effects import Fetch
from gateway.oracle.fetching import Fetching
from gateway.oracle.statements import Bundle, Close, encode_set, evidence_of
from gateway.poai import models
from gateway.settlement import agreed
from gateway.settlement.tree import Leaves
from gateway.storage.embedded import Embedded
from gateway.verify.verify import verify_epoch
from tests.oracle.test_epoch import (
    CLOSE_BLOCK,
    DEEDS,
    DEVICE,
    HASHES,
    Chain,
    SecondScorersChain,
    any_beat,
    heartbeat,
    write,
)
from tests.oracle.test_oracle_bundles import GATEWAY, SECOND, SITE

OWN, FURTHER = (bundles.messages.curve.address_of(key.secret) for key in (GATEWAY, SECOND))
GAPS = st.lists(st.integers(0, 65535), max_size=3).map(lambda ends: tuple((end, end) for end in sorted(set(ends))))
BUNDLES = st.builds(
    Bundle, st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32), st.integers(0, 1 << 40),
    st.sampled_from(["", "bafy"]), GAPS,
)  # fmt: skip


class ChainOfSets(SecondScorersChain):
    """The same table, and a root that names a set."""

    def __init__(self, attested):
        super().__init__(HASHES)
        self.attested = attested

    def evidence(self, _):
        return self.attested


def packed(folder, beats, block=CLOSE_BLOCK):
    """A further gateway's bundle and its bytes."""
    digest = write(folder, beats, block)
    word = messages.seal(Close(1, digest, block), SITE, SECOND.secret)
    return Bundle(FURTHER, digest, block, "bafy"), list(bundles.pack(folder, 1, word))


def agree(folder, own, further, missing=((), ()), block=CLOSE_BLOCK):
    """An agreed set of two gateways, kept; what the root says of it."""
    there, data = packed(folder / "there", further, block)
    here = Bundle(OWN, write(folder / "evidence", own), CLOSE_BLOCK)
    found = tuple(sorted((replace(here, missing=missing[0]), replace(there, missing=missing[1]))))
    agreed.keep(folder / "evidence", 1, found, {"bafy": data}.__getitem__, SITE)
    return evidence_of(found)


def judge(folder, attested):
    sources = agreed.sources(folder / "evidence", 1, attested)
    return epoch.verdict_of(sources, 1, attested, Chain(HASHES), Leaves(), models.shipped)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(BUNDLES, min_size=1, max_size=4, unique_by=lambda bundle: bundle.gateway))
def test_a_set_is_read_as_it_was_written(found):
    assert agreed.decode_set(encode_set(tuple(found))) == tuple(found)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=st.binary(max_size=120), place=st.integers(0, 1 << 10), value=st.integers(0, 255))
def test_foreign_bytes_are_no_set_or_the_one_encoding_of_one(data, place, value):
    good = bytearray(encode_set((Bundle(OWN, bytes(32), 7, "", ((1, 2),)),)))
    good[place % len(good)] = value
    for foreign in (data, bytes(good), bytes(good[: place % len(good)])):
        with contextlib.suppress(EvidenceError):
            assert encode_set(agreed.decode_set(foreign)) == foreign


@pytest.mark.parametrize("seed", range(20))
def test_both_scorers_find_the_same_in_any_set(tmp_path, seed):
    dice = random.Random(seed)
    gaps = [tuple((window, window) for window in range(4) if not dice.randrange(5)) for _ in range(2)]
    both = ([any_beat(dice) for _ in range(20)] for _ in range(2))
    attested = agree(tmp_path, *both, gaps, dice.choice([CLOSE_BLOCK, 13]))
    mine, theirs = judge(tmp_path, attested), verify_epoch(tmp_path, 1, ChainOfSets(attested))
    assert theirs.root == "0x" + mine.root.hex() and theirs.evidence == "0x" + attested.hex()
    assert list(theirs.availability.values()) == [mine.availability[DEVICE]]


def beats(*windows):
    return [(window, heartbeat(window, window + 1)) for window in windows]


@pytest.mark.parametrize(
    ("own", "further", "missing", "wanted"),
    [
        (beats(0, 1), beats(2, 3), ((), ()), 255),
        (beats(0, 1, 2, 3), beats(0, 1, 2, 3), ((), ()), 255),
        (beats(0, 1), [], ((), ()), 127),
        (beats(0, 1), beats(2, 3), ((), ((3, 3),)), 191),
        (beats(0, 1), [(2, b"noise"), (0, heartbeat(3, 9))], ((), ()), 127),
        (beats(0, 1), [(2, heartbeat(2, 1))], ((), ()), 63),
    ],
    ids=[
        "half here, half there",
        "heard by both",
        "withheld",
        "not committed in time",
        "forged",
        "two boards with one key",
    ],
)
def test_who_roams_is_paid_in_full_and_nobody_moves_anothers_windows(tmp_path, own, further, missing, wanted):
    attested = agree(tmp_path, own, further, missing)
    assert judge(tmp_path, attested).availability == {DEVICE: wanted}
    assert list(verify_epoch(tmp_path, 1, ChainOfSets(attested)).availability.values()) == [wanted]


def test_a_window_that_the_set_leaves_out_may_hide_a_block_that_the_chain_no_longer_has(tmp_path):
    gaps = ((2, 2),), ((2, 2),)
    attested = agree(tmp_path, beats(0, 2), beats(1), gaps)
    chain = ChainOfSets(attested)
    chain.hashes = HASHES | {12: b"?" * 32}
    found = verify_epoch(tmp_path, 1, chain)
    assert found.root == "0x" + judge(tmp_path, attested).root.hex() and found.availability.popitem()[1] == 127
    assert found.windows_opened == 4 and not any("another hash" in text for text in found.findings)


def test_bindings_are_read_at_the_later_close_of_two(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(Chain, "at_close", lambda self, windows: asked.append(windows.block) or AtClose(DEEDS))
    monkeypatch.setattr(ChainOfSets, "bindings", lambda self, block: asked.append(block) or {})
    attested = agree(tmp_path, beats(0), beats(1), block=13)
    judge(tmp_path, attested)
    verify_epoch(tmp_path, 1, ChainOfSets(attested))
    assert set(asked) == {CLOSE_BLOCK}


def test_evidence_that_is_other_than_agreed_is_not_scored_and_named(tmp_path):
    attested = agree(tmp_path, beats(0, 1), beats(2, 3))
    place = tmp_path / "evidence" / f"0x{FURTHER.hex()}"
    path = evidence.heartbeats_path(place, 1)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(EvidenceError, match="announced"):
        judge(tmp_path, attested)
    found = verify_epoch(tmp_path, 1, ChainOfSets(attested))
    assert not found.ok and any(FURTHER.hex() in text for text in found.findings)
    with pytest.raises(EvidenceError, match="not the set that oracles signed"):
        agreed.sources(tmp_path / "evidence", 1, bytes(32))
    own = evidence.digest(tmp_path / "evidence", 1)
    assert agreed.sources(tmp_path / "evidence", 1, own) == [epoch.Source(tmp_path / "evidence", own)]


def test_a_set_is_lent_by_one_cid_and_audited_from_what_the_chain_says(tmp_path):
    attested = agree(tmp_path, beats(0, 1), beats(2, 3))
    with contextlib.closing(Embedded(tmp_path / "r1fs")) as store:
        cid = audit_evidence.lend(store, tmp_path / "evidence", 1)
        assert audit_evidence.lend(store, tmp_path / "evidence", 1) == cid
        names = {entry.name for entry in store.entries(cid)}
        assert f"0x{FURTHER.hex()}" in names and "epoch-1.set.cbor" in names
        audit_evidence.fetch(store, 1, attested, [], tmp_path / "audit" / "evidence")
        audit_evidence.fetch(store, 1, attested, [cid], tmp_path / "again" / "evidence")
    for folder in (tmp_path / "audit", tmp_path / "again"):
        assert hashlib.sha256(agreed.set_path(folder / "evidence", 1).read_bytes()).digest() == attested
        assert verify_epoch(folder, 1, ChainOfSets(attested)).root == "0x" + judge(tmp_path, attested).root.hex()


@pytest.mark.parametrize(
    ("shape", "block", "words"),
    [((4, 999), CLOSE_BLOCK, "the site has 4 of 999 ms"), ((4, 1000), 99, "block 99"), ((4, 1000), CLOSE_BLOCK, "")],
    ids=["another shape", "a block that is not there", "good"],
)
def test_an_oracle_holds_no_further_evidence_that_would_keep_the_epoch_from_a_verdict(tmp_path, shape, block, words):
    bundle, data = packed(tmp_path / "there", beats(0), block)
    (tmp_path / "site").mkdir()
    with contextlib.closing(Embedded(tmp_path / "site" / "r1fs")) as store:
        bundle = replace(bundle, cid=store.add(data).cid)
    said = []
    places = tmp_path / "site", tmp_path / "oracle", SITE
    fetching = Fetching(*places, Chain(HASHES), shape, ["http://127.0.0.1:1"], None, said.append)
    fetching.start(Fetch(1, bundle))
    for thread in threading.enumerate():
        if thread.name == "fetch":
            thread.join(30)
    assert list(fetching.done()) == ([] if words else [(1, bundle)])
    assert len(said) == bool(words) and all(words in text for text in said)


@pytest.mark.parametrize("damage", [b"", b"torn"], ids=["emptied", "torn"])
def test_a_bundle_that_a_power_cut_damaged_on_the_oracles_disk_is_fetched_again(tmp_path, damage):
    bundle, data = packed(tmp_path / "there", beats(0))
    (tmp_path / "site").mkdir()
    with contextlib.closing(Embedded(tmp_path / "site" / "r1fs")) as store:
        bundle = replace(bundle, cid=store.add(data).cid)
    said = []
    fetching = Fetching(tmp_path / "site", tmp_path / "oracle", SITE, Chain(HASHES), (4, 1000), [], None, said.append)
    for path in (evidence.windows_path, evidence.heartbeats_path):
        folder = fetching.folder_of(bundle)
        folder.mkdir(parents=True, exist_ok=True)
        path(folder, 1).write_bytes(damage)
        fetching.start(Fetch(1, bundle))
        for thread in threading.enumerate():
            if thread.name == "fetch":
                thread.join(30)
        assert (list(fetching.done()), said) == ([(1, bundle)], [])


def test_bundles_of_epochs_before_the_settled_one_are_forgotten_and_torn_ones_at_the_next_start(tmp_path):
    made = [tmp_path / "oracle" / "bundles" / name for name in ("one", "two", "three", "torn.part")]
    for number, folder in enumerate(made, 1):
        folder.mkdir(parents=True)
        evidence.windows_path(folder, number).touch()
    fetching = Fetching(tmp_path / "site", tmp_path / "oracle", SITE, Chain(HASHES), (4, 1000), [], None, print)
    assert [folder.exists() for folder in made] == [True, True, True, False]
    made[3].mkdir()  # one that is being written
    for settled, left in ((1, [True] * 4), (3, [False, False, True, True]), (4, [False, False, False, True])):
        fetching.forget(settled)
        assert [folder.exists() for folder in made] == left


def test_a_gateway_that_withholds_is_asked_on_a_thread_of_its_own(tmp_path):
    (tmp_path / "site").mkdir()
    said = []
    fetching = Fetching(tmp_path / "site", tmp_path / "oracle", SITE, Chain(HASHES), (4, 1000), [], None, said.append)
    cid = "bafkreicryllxa7sk2xlr4msbx2evi6myk7vhevcbqrqdsp5fakgapbbytu"
    bundle = Bundle(FURTHER, bytes(32), 7, cid)
    fetching.start(Fetch(1, bundle))
    own = Bundle(OWN, write(tmp_path / "site" / "evidence", beats(0)), CLOSE_BLOCK)
    fetching.start(Fetch(1, own))
    assert list(fetching.done()) == [(1, own)]

"""Work that several gateways heard: paid once, by both scorers alike; who roams loses what stands between, no more."""

import random

import cbor2
import pytest

from device.agent import wire
from gateway.intake import evidence
from gateway.oracle.availability import EvidenceError
from gateway.oracle.epoch import SignerKeys, Source, verdict_of
from gateway.oracle.statements import Bundle, encode_set, evidence_of
from gateway.poai.answers import read_answers
from gateway.poai.claims import claims_of
from gateway.poai.draw import draw, turns
from gateway.poai.models import Models
from gateway.poai.score import Heard, score
from gateway.poai.simulated import KEPT, MODEL, OPENED_MS, WINDOW_MS, Device, Epoch, block_hash, run
from gateway.poai.verdict import FRAUD, MISSED, SOUND
from gateway.settlement.agreed import set_path
from gateway.settlement.tree import Leaves
from gateway.verify.verify import verify_epoch
from tests import scorer_epochs, verify_site
from tests.oracle.test_second_work import COUNT, SimulatedChain, windows_of
from tests.scorer_epochs import SameChain, random_bindings, random_jobs, random_windows, random_work
from tests.verify_site import CLOSE_BLOCK, FixedChain

MODELS = Models({MODEL: KEPT}, {MODEL: run})
GATEWAYS = [bytes([number]) * 20 for number in (1, 2)]
HALF = COUNT // 2


def heard(epoch, chosen=lambda at_ms, is_answer: True):
    """What one gateway heard of an epoch: items (receipt in ms, frame) as chosen."""
    items = [item for item in epoch.items if chosen(item[0], len(item[1]) > 192)]
    reveals = read_answers(items, SignerKeys().is_signed)
    return Heard(epoch.windows, turns(epoch.windows), lambda: items, reveals)


def scored(epoch, *each):
    works, checked = score(each, SignerKeys().is_signed, set(epoch.ids), lambda n: block_hash(n, epoch.seed), MODELS)
    return works[epoch.ids[0]], checked


def test_a_block_that_draws_is_asked_for_once_whatever_was_claimed():
    epoch = Epoch([Device(number) for number in (1, 2, 3)], 60).play()
    asked = []
    score([heard(epoch)], SignerKeys().is_signed, set(epoch.ids), lambda n: asked.append(n) or block_hash(n), MODELS)
    assert len(asked) == len(set(asked)) == 59


def claims(epoch):
    return claims_of(epoch.windows, epoch.items, SignerKeys().is_signed, set(epoch.ids), {MODEL: KEPT})


def in_half(at_ms):
    return at_ms < OPENED_MS + HALF * WINDOW_MS


ALONE = [
    ("both heard all of it", [lambda *_: True] * 2),
    ("it answered to the second alone", [lambda _, is_answer: not is_answer, lambda *_: True]),
    ("the second heard nothing", [lambda *_: True, lambda *_: False]),
    ("the first heard nothing", [lambda *_: False, lambda *_: True]),
    ("the second heard heartbeats alone", [lambda *_: True, lambda _, is_answer: not is_answer]),
]


@pytest.mark.parametrize("chosen", [row[1] for row in ALONE], ids=[row[0] for row in ALONE])
def test_what_two_gateways_heard_is_paid_as_if_one_had_heard_it(chosen):
    epoch = Epoch([Device(1)], COUNT).play()
    work, checked = scored(epoch, *(heard(epoch, each) for each in chosen))
    assert work == epoch.work()[0][epoch.ids[0]] and work.units == (COUNT - 1) * KEPT
    assert {found.outcome for found in checked} == {SOUND}


@pytest.mark.parametrize("chosen", [row[1] for row in ALONE], ids=[row[0] for row in ALONE])
def test_the_second_scorer_pays_it_so_too(chosen, tmp_path):
    epoch = Epoch([Device(1)], COUNT).play()
    chain = SimulatedChain(epoch)
    both = [(windows_of(epoch), list(heard(epoch, each).items())) for each in chosen]
    _, chain.attested[1] = keep_set(tmp_path, 1, both)
    assert list(verify_epoch(tmp_path, 1, chain).units.values()) == [(COUNT - 1) * KEPT]


@pytest.mark.parametrize("seed", range(6))
def test_who_roams_loses_the_window_of_the_move_and_the_answer_that_was_asked_for_behind_it(seed):
    epoch = Epoch([Device(1)], COUNT, seed).play()
    before = heard(epoch, lambda at_ms, _: in_half(at_ms))
    after = heard(epoch, lambda at_ms, _: not in_half(at_ms))
    work, checked = scored(epoch, before, after)
    last = next(found for found in claims(epoch) if found.window == HALF - 1)
    is_drawn = draw(block_hash(2 * HALF + 1, seed), last, 1, COUNT) is not None
    assert work.claimed == (COUNT - 2) * KEPT
    assert [found.outcome for found in checked if found.claim.window == HALF - 1] == [MISSED] * is_drawn
    assert {found.outcome for found in checked if found.claim.window != HALF - 1} == {SOUND}
    assert work.units == work.claimed * work.answered**2 // work.challenged**2


def test_a_fraud_at_one_gateway_is_a_fraud_at_all_of_them():
    epoch = Epoch([Device(1, share=0.5, is_liar=True)], COUNT).play()
    honest = heard(epoch, lambda at_ms, _: False)
    work, checked = scored(epoch, honest, heard(epoch))
    assert FRAUD in {found.outcome for found in checked} and work.frauds and work.units == 0


def test_a_draw_by_a_block_that_the_chain_has_not_is_no_verdict():
    epoch = Epoch([Device(1)], COUNT).play()
    with pytest.raises(EvidenceError, match="the chain has none, wanted it for the draw"):
        score([heard(epoch)], SignerKeys().is_signed, set(epoch.ids), lambda number: None, MODELS)


def opened_by_a_second(dice, windows):
    """A second gateway's windows file: some ms later, some not opened, some by a block of its own."""
    header, *opened, closed = windows
    found = []
    for window, opened_ms, block, block_hash_, beacon_ in opened:
        if dice.random() < 0.1:
            continue
        if dice.random() < 0.1:
            block -= 1
            block_hash_ = verify_site.block_hash(block)
            beacon_ = wire.make_beacon(header["epoch"], window, block_hash_)
        found.append([window, opened_ms + dice.randrange(20), block, block_hash_, beacon_])
    return [header, *found, closed]


def roaming(dice, items):
    """The items of two gateways: each device is at one of them, moves now and then, and is heard by both at times."""
    at, found = {}, ([], [])
    for item in items:
        device = cbor2.loads(item[1]).value[1][4]
        if dice.random() < 0.1 or device not in at:
            at[device] = dice.randrange(2)
        for number in {at[device], at[device] if dice.random() < 0.9 else 1 - at[device]}:
            found[number].append(item)
    return found


def keep_set(folder, epoch, both):
    """Write two gateways' files and the set of them; (sources, what a root says of it)."""
    place, bundles, sources = folder / "evidence", [], []
    for gateway, (windows, items) in zip(GATEWAYS, both, strict=True):
        there = place if gateway == GATEWAYS[0] else place / f"0x{gateway.hex()}"
        there.mkdir(parents=True, exist_ok=True)
        evidence.windows_path(there, epoch).write_bytes(b"".join(map(cbor2.dumps, windows)))
        evidence.heartbeats_path(there, epoch).write_bytes(b"".join(map(cbor2.dumps, items)))
        bundles.append(Bundle(gateway, evidence.digest(there, epoch), CLOSE_BLOCK[epoch]))
        sources.append(Source(there, bundles[-1].digest))
    set_path(place, epoch).write_bytes(encode_set(tuple(bundles)))
    return sources, evidence_of(tuple(bundles))


def test_gateways_with_other_windows_have_no_root_together(tmp_path):
    windows = random_windows(random.Random(1), 1)
    longer = [windows[0] | {"window_ms": windows[0]["window_ms"] + 1}, *windows[1:]]
    chain = FixedChain()
    sources, chain.attested[1] = keep_set(tmp_path, 1, [(windows, []), (longer, [])])
    with pytest.raises(EvidenceError, match="wanted one"):
        verdict_of(sources, 1, chain.attested[1], SameChain(chain), Leaves(), lambda: MODELS)
    found = verify_epoch(tmp_path, 1, chain)
    assert found.root is None and "other numbers or lengths of windows" in found.findings[0]


@pytest.mark.parametrize("batch", range(4))
def test_both_scorers_find_the_same_work_in_random_sets(batch, tmp_path):
    earned = caught = 0
    for seed in range(10 * batch, 10 * batch + 10):
        dice, chain, previous = random.Random(seed), FixedChain(), Leaves()
        bound = random_bindings(dice)
        chain.bound = {deed: (dice.choice(scorer_epochs.OWNERS), *rest) for deed, (_, *rest) in bound.items()}
        chain.open_jobs = dict.fromkeys((1, 2), random_jobs(dice, sorted(bound)))
        folder = tmp_path / str(seed)
        for epoch in (1, 2):
            windows = random_windows(dice, epoch)
            items = roaming(dice, random_work(dice, epoch, windows[0]["windows"]))
            both = zip((windows, opened_by_a_second(dice, windows)), items, strict=True)
            sources, chain.attested[epoch] = keep_set(folder, epoch, both)
            mine = verdict_of(sources, epoch, chain.attested[epoch], SameChain(chain), previous, lambda: MODELS)
            chain.roots[epoch], previous = mine.root, mine.leaves
            theirs = verify_epoch(folder, epoch, chain)
            assert theirs.ok and theirs.root == "0x" + mine.root.hex(), seed
            assert {bytes.fromhex(each[2:]): units for each, units in theirs.units.items()} == dict(mine.units)
            assert tuple(bytes.fromhex(each[2:]) for each in theirs.frauds) == mine.frauds
            earned, caught = earned + sum(mine.units.values()), caught + len(mine.frauds)
    assert earned and caught

"""Evidence on its way to oracles: bundles by CID, windows committed in time, and what several gateways heard."""

import dataclasses
import random

import cbor2
import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import curve
from gateway.intake import evidence
from gateway.oracle import bundles, epoch, messages
from gateway.oracle.availability import EvidenceError, Window, Windows, score, score_union
from gateway.oracle.commitments import GRACE_WINDOWS, Seen, as_ranges, missing_windows
from gateway.oracle.statements import Bundle, Close, Commitment, digest_of, evidence_of
from gateway.poai import models
from gateway.settlement.tree import Leaves
from gateway.storage.embedded import Embedded
from tests.oracle.test_availability import DEVICE, EPOCH, OTHER, beat, is_signed, make_windows
from tests.oracle.test_epoch import CLOSE_BLOCK, HASHES, OPENED_MS, WINDOW_MS, Chain, heartbeat, write

GATEWAY, SECOND = PrivateKey(b"\x05" * 32), PrivateKey(b"\x06" * 32)
ME = curve.address_of(GATEWAY.secret)
SITE = messages.Site(1331, b"s" * 20)
PATHS = evidence.windows_path, evidence.heartbeats_path
BEATS = [(window, heartbeat(window, window + 1)) for window in range(4)]


def packed(folder, key=GATEWAY, **changes):
    digest = write(folder, BEATS)
    close = dataclasses.replace(Close(1, digest, CLOSE_BLOCK), **changes)
    data = b"".join(bundles.pack(folder, 1, messages.seal(close, SITE, key.secret)))
    return data, Bundle(ME, digest, CLOSE_BLOCK)


def test_a_bundle_goes_through_r1fs_and_gives_the_same_verdict(tmp_path):
    data, bundle = packed(tmp_path / "gateway")
    store = Embedded(tmp_path / "r1fs")
    cid = store.add([data]).cid
    bundles.unpack(store.read(cid), dataclasses.replace(bundle, cid=cid), 1, SITE, tmp_path / "oracle")
    assert bundles.verify_bundle(tmp_path / "oracle", 1, bundle, HASHES.get)[0].block == CLOSE_BLOCK
    chain = Chain(HASHES)
    verdicts = [
        epoch.verdict(tmp_path / place, 1, bundle.digest, chain, Leaves(), models.shipped)
        for place in ("gateway", "oracle")
    ]
    assert verdicts[0] == verdicts[1] and verdicts[0].minted > 0
    store.close()


@pytest.mark.parametrize(
    "key, changes",
    [(SECOND, {}), (GATEWAY, {"epoch": 2}), (GATEWAY, {"block": 21}), (GATEWAY, {"evidence": bytes(32)})],
    ids=["another gateway's", "another epoch", "another block", "another digest"],
)
def test_a_bundle_that_its_gateway_did_not_sign_so_is_refused(tmp_path, key, changes):
    data, bundle = packed(tmp_path / "gateway", key, **changes)
    with pytest.raises(EvidenceError):
        bundles.unpack([data], bundle, 1, SITE, tmp_path / "oracle")
    assert [path.name for path in tmp_path.iterdir()] == ["gateway"]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_bundle_comes_in_any_pieces_and_replaces_what_a_crash_left(tmp_path, size):
    data, bundle = packed(tmp_path / "gateway")
    assert cbor2.loads(data)[1:] == [path(tmp_path / "gateway", 1).read_bytes() for path in PATHS]
    for name in ("oracle", "oracle.part"):
        (tmp_path / name).mkdir()
        evidence.heartbeats_path(tmp_path / name, 1).write_bytes(b"torn")
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    bundles.unpack(pieces, bundle, 1, SITE, tmp_path / "oracle")
    assert evidence.digest(tmp_path / "oracle", 1) == bundle.digest and not (tmp_path / "oracle.part").exists()


def test_a_bundle_that_ends_early_or_is_too_long_changes_nothing(tmp_path, monkeypatch):
    data, bundle = packed(tmp_path / "gateway")
    for pieces, most in (([data[:-1]], 1 << 20), ([data, b"1"], 1 << 20), ([data], len(data) - 1), ([], 1 << 20)):
        monkeypatch.setattr(bundles, "MAX_BYTES", most)
        with pytest.raises(EvidenceError):
            bundles.unpack(pieces, bundle, 1, SITE, tmp_path / "oracle")
    assert [path.name for path in tmp_path.iterdir()] == ["gateway"]


@settings(derandomize=True, max_examples=100, deadline=None)
@given(place=st.integers(0, 1 << 20), value=st.integers(0, 255), noise=st.binary(max_size=60))
def test_changed_and_foreign_bytes_are_refused_and_nothing_is_written(tmp_path_factory, place, value, noise):
    folder = tmp_path_factory.mktemp("bundle")
    data, bundle = packed(folder / "gateway")
    changed = bytearray(data)
    changed[place % len(data)] = value
    for foreign in (bytes(changed), noise, data[: place % len(data)]):
        if foreign != data:
            with pytest.raises(EvidenceError):
                bundles.unpack([foreign], bundle, 1, SITE, folder / "oracle")
    assert [path.name for path in folder.iterdir()] == ["gateway"]


def windows_of(count):
    opened = tuple(Window(w, 1_000 * w, 10 + w, bytes(32), bytes(14)) for w in range(count))
    return Windows(1, count, 1_000, opened, 10 + count)


def committed(window, length, block):
    return Seen(Commitment(1, window, length, 0, bytes(32)), block)


IN_TIME = [committed(w, 100 * (w + 1), 11 + w) for w in range(6)]
ANSWERS = [(100 * w + 50, w) for w in range(6)]
LAST = GRACE_WINDOWS + 1  # the last window's block at which window 0's commitment is in time
COMMITTED = [
    ("each in the next window", IN_TIME, ANSWERS, ()),
    ("none", [], ANSWERS, ((0, 5),)),
    ("one lost, the next covers it", IN_TIME[:1] + IN_TIME[2:], ANSWERS, ()),
    ("cut off for as long as the grace", IN_TIME[:1] + IN_TIME[3:], ANSWERS, ()),
    ("cut off for longer", IN_TIME[4:], ANSWERS, ((0, 1),)),
    ("in the grace's last block", [committed(0, 100, 10 + LAST)], ANSWERS, ((1, 5),)),
    ("a block later", [committed(0, 100, 11 + LAST)], ANSWERS, ((0, 5),)),
    ("all told long after the close", [committed(5, 600, 99)], ANSWERS, ((0, 5),)),
    ("a heartbeat added after its window was committed", IN_TIME, [*ANSWERS, (601, 2)], ((2, 2),)),
    ("a heartbeat that came before its window was committed", IN_TIME, [*ANSWERS, (300, 2)], ()),
    ("a late one while cut off", IN_TIME[:1] + IN_TIME[3:], [*ANSWERS, (400, 2)], ()),
]


@pytest.mark.parametrize("seen, answers, wanted", [row[1:] for row in COMMITTED], ids=[row[0] for row in COMMITTED])
def test_a_window_counts_if_it_was_committed_in_time_and_nothing_was_added(seen, answers, wanted):
    assert missing_windows(windows_of(6), seen, answers) == wanted
    assert missing_windows(windows_of(6), seen[::-1], answers[::-1]) == wanted


def test_ranges_are_ascending_and_apart():
    assert as_ranges([]) == () and as_ranges([0, 1, 2, 5, 7, 8]) == ((0, 2), (5, 5), (7, 8))


def record(folder, late=()):
    """Evidence as a gateway writes it, and what it stated after each window."""
    made, said = evidence.Evidence(folder), []
    made.open_epoch(1, 4, WINDOW_MS, OPENED_MS)
    for window in range(4):
        block = 10 + window
        opened_ms = OPENED_MS + window * WINDOW_MS
        made.open_window(
            Window(window, opened_ms, block, HASHES[block], epoch.wire.make_beacon(1, window, HASHES[block]))
        )
        made.append([(opened_ms + 100, heartbeat(window, window + 1))])
        said.append(Seen(Commitment(1, window, *made.commitment()), block + 1))
    made.append(late)
    made.close_epoch(OPENED_MS + 4 * WINDOW_MS, CLOSE_BLOCK)
    return evidence.digest(folder, 1), said


def test_what_a_gateway_states_is_a_prefix_of_what_it_bundles(tmp_path):
    digest, said = record(tmp_path)
    windows, _ = bundles.verify_bundle(tmp_path, 1, Bundle(ME, digest, CLOSE_BLOCK), HASHES.get)
    assert bundles.missing_of(tmp_path, windows, said) == ()
    forged = [dataclasses.replace(said[0], commitment=dataclasses.replace(said[0].commitment, digest=bytes(32)))]
    beyond = [
        dataclasses.replace(said[0], commitment=dataclasses.replace(said[0].commitment, heartbeats_bytes=1 << 40))
    ]
    assert bundles.missing_of(tmp_path, windows, forged + beyond) == ((0, 3),)


def test_a_gateway_that_adds_a_heartbeat_later_loses_the_window_and_no_other(tmp_path):
    digest, said = record(tmp_path, [(OPENED_MS + WINDOW_MS + 100, heartbeat(1, 9))])
    windows, _ = bundles.verify_bundle(tmp_path, 1, Bundle(ME, digest, CLOSE_BLOCK), HASHES.get)
    missing = bundles.missing_of(tmp_path, windows, said)
    assert missing == ((1, 1),)
    source = epoch.Source(tmp_path, digest, missing)
    verdict = epoch.verdict_of([source], 1, digest, Chain(HASHES), Leaves(), models.shipped)
    assert list(verdict.availability.values()) == [255 * 3 // 4]


def test_a_commitment_goes_on_after_a_restart(tmp_path):
    made = evidence.Evidence(tmp_path)
    made.open_epoch(1, 4, WINDOW_MS, OPENED_MS)
    made.append([(1, b"x")])
    before = made.commitment()
    made.release()
    again = evidence.Evidence(tmp_path)
    again.resume()
    assert again.commitment() == before
    again.append([(2, b"y")])
    lengths = again.commitment()[:2]
    assert evidence.digests_at(tmp_path, 1, [before[:2], lengths, (1 << 30, 0)]) == {
        before[:2]: before[2],
        lengths: again.commitment()[2],
    }


def second(count, **kwargs):
    """The same windows as another gateway opened them: later, from other blocks."""
    windows = make_windows(count, **kwargs)
    hashes = [bytes([64 + window.window]) * 32 for window in windows.opened]
    opened = tuple(
        dataclasses.replace(
            window,
            opened_ms=window.opened_ms + 700,
            block_hash=block_hash,
            beacon=epoch.wire.make_beacon(EPOCH, window.window, block_hash),
        )
        for window, block_hash in zip(windows.opened, hashes, strict=True)
    )
    return dataclasses.replace(windows, opened=opened)


FIRST, NEXT = make_windows(4), second(4)


def there(window, sequence, digest=b"digest", **kwargs):
    """A heartbeat that answers the second gateway's beacon, and is heard there."""
    of = NEXT.opened[window].beacon
    return dataclasses.replace(beat(window, sequence, after_ms=800, of=of, **kwargs), digest=digest)


ROAMING = [
    ("half here, half there", [beat(0, 1), beat(1, 2)], [there(2, 3), there(3, 4)], 255),
    ("the same windows at both", [beat(0, 1), beat(1, 3)], [there(0, 2), there(1, 4)], 127),
    ("the very same heartbeat heard by both", [beat(0, 1)], [beat(0, 1)], 63),
    ("answered there, but heard here only", [there(2, 1)], [], 0),
    ("a copy of the key under the same numbers", [beat(0, 1)], [there(1, 1, b"another")], 0),
    ("and what it signed under others", [beat(0, 1), beat(1, 2)], [there(1, 1, b"another")], 63),
]


@pytest.mark.parametrize("here, away, wanted", [row[1:] for row in ROAMING], ids=[row[0] for row in ROAMING])
def test_a_device_that_several_gateways_hear_counts_once(here, away, wanted):
    for sources in ([(FIRST, here), (NEXT, away)], [(NEXT, away), (FIRST, here)]):
        assert score_union(sources, is_signed, [DEVICE, OTHER]) == {DEVICE: wanted, OTHER: 0}


def test_one_gateway_alone_is_scored_as_before():
    dice = random.Random(5)
    for _ in range(200):
        beats = [beat(dice.randrange(4), dice.randrange(1, 9), boot=dice.randrange(1, 3)) for _ in range(12)]
        assert score_union([(FIRST, beats)], is_signed, [DEVICE]) == score(FIRST, beats, is_signed, [DEVICE])


def test_gateways_that_cut_the_epoch_differently_have_no_verdict():
    with pytest.raises(EvidenceError, match="wanted one"):
        score_union([(FIRST, []), (second(3), [])], is_signed, [DEVICE])


def test_a_root_commits_to_one_whole_bundle_by_its_digest_and_to_all_else_by_the_sets():
    one, two = Bundle(b"a" * 20, b"d" * 32, 7), Bundle(b"b" * 20, b"e" * 32, 7)
    holey = dataclasses.replace(one, missing=((1, 2),))
    assert evidence_of((one,)) == b"d" * 32
    assert len({digest_of(bundles) for bundles in ((one,), (holey,), (one, two), (two,))}) == 4
    for several in ((holey,), (one, two)):
        assert evidence_of(several) == digest_of(several)

"""The verdict from evidence files: what counts, what counts for nobody, and what is no evidence at all."""

import json
import random
from dataclasses import replace

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import cbor, wire
from gateway import curve
from gateway.intake import evidence
from gateway.oracle import bundles, epoch, rewards
from gateway.oracle.at_close import AtClose
from gateway.oracle.availability import EvidenceError
from gateway.oracle.bundles import verify_bundle
from gateway.oracle.leaves import read_leaves
from gateway.oracle.rewards import Deed
from gateway.oracle.rpc import ChainAway
from gateway.oracle.statements import Bundle
from gateway.poai import models
from gateway.settlement.tree import Leaves, root_of
from gateway.verify.verify import verify_epoch

DICE = random.Random(11)
KEY, OTHER = (PrivateKey(DICE.randbytes(32)) for _ in range(2))
DEVICE, STRANGER = (curve.address_of(key.secret) for key in (KEY, OTHER))
DEEDS = {1: Deed(b"o" * 20, 1, (DEVICE,))}
OPENED_MS, WINDOW_MS, CLOSE_BLOCK = 1_000_000, 1_000, 20
HASHES = {10 + window: bytes([window + 1]) * 32 for window in range(4)} | {CLOSE_BLOCK: b"z" * 32}
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def heartbeat(window, sequence, device=DEVICE, key=KEY):
    beacon = wire.make_beacon(1, window, HASHES[10 + window])
    sign = lambda digest: key.sign_recoverable(digest, hasher=None)  # noqa: E731
    return wire.sign_heartbeat(device, sign, beacon, 1, sequence, b"\x01\x55\x12\x20" + bytes(32), 0, bytes(16), 23)


def flip_s(frame):
    s = int.from_bytes(frame[-32:], "big")
    return frame[:-32] + (CURVE_ORDER - s).to_bytes(32, "big")


def write(folder, beats, block=CLOSE_BLOCK, closed=True):
    """Evidence of epoch 1, each beat a tenth of a second into its window; returns its digest."""
    made = evidence.Evidence(folder)
    made.open_epoch(1, 4, WINDOW_MS, OPENED_MS)
    for window in range(4):
        number = 10 + window
        beacon = wire.make_beacon(1, window, HASHES[number])
        made.open_window(evidence.Window(window, OPENED_MS + window * WINDOW_MS, number, HASHES[number], beacon))
    made.append([(OPENED_MS + window * WINDOW_MS + 100, frame) for window, frame in beats])
    if closed:
        made.close_epoch(OPENED_MS + 4 * WINDOW_MS, block)
    made.release()
    return evidence.digest(folder, 1)


def judge(folder, digest, previous=()):
    return epoch.verdict(folder, 1, digest, Chain(HASHES), Leaves(deeds=previous), models.shipped)


FIRST = heartbeat(0, 1)
BEATS = [
    ("one good heartbeat", [(0, FIRST)], 63),
    ("four", [(window, heartbeat(window, window + 1)) for window in range(4)], 255),
    ("signed by another key", [(0, heartbeat(0, 1, DEVICE, OTHER))], 0),
    ("signed by another key after a good one", [(0, FIRST), (1, heartbeat(1, 2, DEVICE, OTHER))], 63),
    ("a stranger's", [(0, heartbeat(0, 1, STRANGER, OTHER))], 0),
    ("with the other s of the same signature", [(0, flip_s(FIRST))], 0),
    ("a byte changed", [(0, FIRST[:60] + bytes([FIRST[60] ^ 1]) + FIRST[61:])], 0),
    ("cut short", [(0, FIRST[:-1])], 0),
    ("noise", [(0, b"noise"), (0, b""), (0, FIRST)], 63),
    ("no heartbeat but signed", [(0, wire.sign1(cbor.encode({10: b"x"}), DEVICE, KEY.sign_recoverable))], 0),
]


@pytest.mark.parametrize("beats, wanted", [row[1:] for row in BEATS], ids=[row[0] for row in BEATS])
def test_only_what_a_bound_device_signed_counts(tmp_path, beats, wanted):
    digest = write(tmp_path, beats)
    verdict = judge(tmp_path, digest)
    assert verdict.availability == {DEVICE: wanted}
    earned = rewards.epoch_reward(wanted, 1)
    assert (verdict.leaves, verdict.total, verdict.minted) == (Leaves(deeds=((1, earned),)), earned, earned)
    assert verdict.evidence == digest and verdict.root == root_of(verdict.leaves)


def test_a_verdict_adds_to_the_leaves_before(tmp_path):
    verdict = judge(tmp_path, write(tmp_path, [(0, FIRST)]), ((1, 5), (9, 7)))
    assert verdict.leaves == Leaves(deeds=((1, 5 + verdict.minted), (9, 7)))
    assert verdict.total == 12 + verdict.minted


def append(path, data):
    path.write_bytes(path.read_bytes() + data)


DAMAGE = [
    ("a torn heartbeat", evidence.heartbeats_path, b"\x82\x01"),
    ("no CBOR", evidence.heartbeats_path, b"\xff"),
    ("an item of another form", evidence.heartbeats_path, b"\x01"),
    ("a torn window", evidence.windows_path, b"\x85\x01"),
    ("something behind the close", evidence.windows_path, b"\x01"),
]


@pytest.mark.parametrize("path, data", [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE])
def test_damaged_files_are_no_evidence(tmp_path, path, data):
    write(tmp_path, [(0, FIRST)])
    append(path(tmp_path, 1), data)
    with pytest.raises(EvidenceError):
        judge(tmp_path, evidence.digest(tmp_path, 1))


def test_an_epoch_that_is_open_or_another_than_announced_has_no_verdict(tmp_path):
    with pytest.raises(EvidenceError, match="not closed"):
        judge(tmp_path, write(tmp_path, [], closed=False))
    other = tmp_path / "other"
    write(other, [])
    with pytest.raises(EvidenceError, match="announced"):
        judge(other, b"\x00" * 32)
    with pytest.raises(OSError):
        judge(tmp_path / "nowhere", b"\x00" * 32)


def test_windows_of_another_epoch_or_with_a_beacon_of_no_block_are_no_evidence(tmp_path):
    write(tmp_path, [(0, FIRST)])
    path = evidence.windows_path(tmp_path, 1)
    for source in (path, evidence.heartbeats_path(tmp_path, 1)):
        source.with_name(source.name.replace("1", "2", 1)).write_bytes(source.read_bytes())
    with pytest.raises(EvidenceError, match="windows of epoch 1, wanted 2"):
        epoch.verdict(tmp_path, 2, evidence.digest(tmp_path, 2), Chain(HASHES), Leaves(), models.shipped)
    path.write_bytes(path.read_bytes().replace(wire.make_beacon(1, 2, HASHES[12]), bytes(14)))
    with pytest.raises(EvidenceError, match="window 2: beacon"):
        judge(tmp_path, evidence.digest(tmp_path, 1))


def test_evidence_that_changes_while_it_is_scored_has_no_verdict(tmp_path):
    digest = write(tmp_path, [(0, FIRST)])

    class Changing(Chain):
        def at_close(self, windows):
            append(evidence.heartbeats_path(tmp_path, 1), evidence.evidence_file.encode_heartbeat(1, b""))
            return super().at_close(windows)

    with pytest.raises(EvidenceError, match="announced"):
        epoch.verdict(tmp_path, 1, digest, Changing(HASHES), Leaves(), models.shipped)


class Chain:
    """What an oracle reads, from a table."""

    def __init__(self, hashes, settled=(0, bytes(32), 0)):
        self.hashes, self.last = hashes, settled

    def block_hash(self, number):
        if number not in self.hashes:
            raise ChainAway(f"block {number} is not there")
        return self.hashes[number]

    def at_close(self, _):
        return AtClose(DEEDS)

    def settled(self):
        return self.last


def test_a_bundle_is_what_was_announced_and_every_window_hides_a_block_of_the_chain(tmp_path):
    bundle = Bundle(b"g" * 20, write(tmp_path, []), CLOSE_BLOCK)
    windows, lost = verify_bundle(tmp_path, 1, bundle, Chain(HASHES).block_hash)
    assert (windows.block, lost) == (CLOSE_BLOCK, ())
    reorged = {number: b"?" * 32 for number in HASHES}
    assert verify_bundle(tmp_path, 1, bundle, Chain(HASHES | {12: reorged[12]}).block_hash) == (windows, (2,))
    with pytest.raises(EvidenceError, match="window 0 and all others"):
        verify_bundle(tmp_path, 1, bundle, Chain(reorged).block_hash)
    with pytest.raises(ChainAway):
        verify_bundle(tmp_path, 1, bundle, Chain({10: HASHES[10]}).block_hash)
    with pytest.raises(ChainAway, match="block 20"):
        verify_bundle(tmp_path, 1, bundle, Chain({n: h for n, h in HASHES.items() if n != CLOSE_BLOCK}).block_hash)
    with pytest.raises(EvidenceError, match="closed at block"):
        verify_bundle(tmp_path, 1, replace(bundle, block=CLOSE_BLOCK + 1), Chain(HASHES).block_hash)
    with pytest.raises(EvidenceError, match="announced"):
        verify_bundle(tmp_path, 1, replace(bundle, digest=bytes(32)), Chain(HASHES).block_hash)
    path = evidence.windows_path(tmp_path, 1)
    path.write_bytes(path.read_bytes().replace(wire.make_beacon(1, 2, HASHES[12]), bytes(14)))
    with pytest.raises(EvidenceError, match="window 2: beacon"):
        verify_bundle(tmp_path, 1, replace(bundle, digest=evidence.digest(tmp_path, 1)), Chain(HASHES).block_hash)


def test_a_bundle_is_read_no_further_than_one_may_be_long(monkeypatch):
    monkeypatch.setattr(bundles, "MAX_BYTES", 5)
    assert b"".join(bundles.at_most([b"12", b"345"])) == b"12345"
    with pytest.raises(EvidenceError, match="more than 5 bytes"):
        list(bundles.at_most([b"12", b"345", b"6"]))


def test_an_oracles_signature_is_taken_as_the_contract_takes_it():
    digest, other = b"d" * 32, bytes([27, 28])
    signed = epoch.sign_digest(digest, KEY)
    s = CURVE_ORDER - int.from_bytes(signed[32:64], "big")
    high_s = signed[:32] + s.to_bytes(32, "big") + other.replace(signed[64:], b"")
    assert epoch.signer_of(digest, signed) == DEVICE
    for refused in (high_s, signed[:64], signed[:64] + bytes([signed[64] - 27]), bytes(65)):
        assert epoch.signer_of(digest, refused) is None


class SecondScorersChain(Chain):
    """The same table as the second scorer asks for it."""

    def root(self, _):
        return None

    def evidence(self, _):
        return None

    def bindings(self, _):
        return {number: (deed.owner, deed.slots, deed.devices) for number, deed in DEEDS.items()}

    def to_account(self, *_):
        return set()

    def models(self):
        return {}


def any_beat(dice):
    """A heartbeat with anything wrong or nothing, as (window it comes in, frame)."""
    device, key = dice.choice([(DEVICE, KEY)] * 4 + [(STRANGER, OTHER), (DEVICE, OTHER)])
    frame = heartbeat(dice.randrange(4), dice.randrange(1, 9), device, key)
    change = dice.choice([lambda frame: frame] * 5 + [flip_s, lambda frame: frame[:-1], lambda frame: b"\x00" + frame])
    return dice.randrange(-1, 5), change(frame)


@pytest.mark.parametrize("seed", range(20))
def test_the_second_scorer_finds_the_same_in_any_evidence(tmp_path, seed):
    dice = random.Random(seed)
    digest = write(tmp_path / "evidence", [any_beat(dice) for _ in range(30)])
    mine = judge(tmp_path / "evidence", digest)
    theirs = verify_epoch(tmp_path, 1, SecondScorersChain(HASHES))
    assert theirs.root == "0x" + mine.root.hex() and theirs.evidence == "0x" + digest.hex()
    assert [value for value in theirs.availability.values()] == [mine.availability[DEVICE]]
    assert theirs.leaves == dict(mine.leaves.deeds)


LEAVES = Leaves(deeds=((1, 5), (2, 7)))
SETTLED = (3, root_of(LEAVES), 12)
FILES = [
    ("another amount", {"leaves": [[1, "5"], [2, "8"]]}, EvidenceError),
    ("other amounts of the same total", {"leaves": [[1, "6"], [2, "6"]]}, EvidenceError),
    ("a leaf less", {"leaves": [[1, "5"]]}, EvidenceError),
    ("no leaves", {}, EvidenceError),
    ("leaves that are no pairs", {"leaves": [1]}, EvidenceError),
    ("amounts that are no numbers", {"leaves": [[1, "x"]]}, ValueError),
]


def test_the_leaves_before_are_those_of_the_root_on_chain(tmp_path):
    assert read_leaves(tmp_path, Chain({}), 0) == Leaves()
    with pytest.raises(OSError):
        read_leaves(tmp_path, Chain({}, SETTLED), 3)
    path = tmp_path / "settlement" / "epoch-3.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"leaves": [[2, "7"], [1, "5"]]}))
    assert read_leaves(tmp_path, Chain({}, SETTLED), 3) == LEAVES
    with pytest.raises(EvidenceError, match="last settled epoch is 3"):
        read_leaves(tmp_path, Chain({}, SETTLED), 4)
    with pytest.raises(EvidenceError, match="do not hash to the root"):
        read_leaves(tmp_path, Chain({}, (3, SETTLED[1], 13)), 3)


@pytest.mark.parametrize("fields, error", [row[1:] for row in FILES], ids=[row[0] for row in FILES])
def test_leaves_that_the_chain_does_not_confirm_are_refused(tmp_path, fields, error):
    path = tmp_path / "settlement" / "epoch-3.json"
    path.parent.mkdir()
    path.write_text(json.dumps(fields))
    with pytest.raises(error):
        read_leaves(tmp_path, Chain({}, SETTLED), 3)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    fields=st.dictionaries(
        st.sampled_from(["leaves", "accounts", "work"]),
        st.lists(st.lists(st.integers() | st.text(max_size=5) | st.just("0x" + "11" * 20), max_size=4), max_size=3)
        | st.none(),
        max_size=3,
    ),
    text=st.none() | st.text(max_size=20) | st.just("[" * 100_000),
)
def test_any_file_of_leaves_is_refused_by_name(tmp_path_factory, fields, text):
    path = tmp_path_factory.mktemp("site") / "settlement" / "epoch-3.json"
    path.parent.mkdir()
    path.write_text(json.dumps(fields) if text is None else text)
    with pytest.raises((EvidenceError, ValueError)):
        read_leaves(path.parents[1], Chain({}, SETTLED), 3)

"""The second scorer against sites that are built here, whole and damaged, and against tables worked out by hand."""

import hashlib
import json
import random
from pathlib import Path

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.verify.messages import HALF_ORDER, read_heartbeat
from gateway.verify.read import Refused
from gateway.verify.report import as_json, report
from gateway.verify.tree import Leaves, root_of
from gateway.verify.verify import Result
from tests.verify_site import (
    CLOSE_BLOCK,
    IDS,
    KEYS,
    TABLE,
    WINDOW_MS,
    FixedChain,
    Site,
    beacon,
    digest,
    heartbeat,
    opened_ms,
    sign,
)

FUZZ = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def ids(result: Result) -> dict[bytes, int]:
    return {bytes.fromhex(device[2:]): value for device, value in result.availability.items()}


def test_a_whole_site_scores_as_the_table_that_was_worked_out_by_hand(site: Site) -> None:
    result = site.verify()
    assert ids(result) == {IDS[0]: 255, IDS[1]: 63, IDS[2]: 255}
    assert result.leaves == {1: 637_739_854_922_152_314 + 454_711_376_379_471_829, 2: 1_458_508_188_386_985_115}
    assert (result.windows, result.windows_opened, result.heartbeats, result.counted) == (4, 4, 9, 9)
    assert (result.ok, result.exit_code, result.findings, result.recomputed) == (True, 0, (), (1, 2))
    assert "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf" in result.availability


def test_the_evidence_digest_is_that_of_both_files(site: Site) -> None:
    result = site.verify()
    parts = [hashlib.sha256(site.path(2, kind).read_bytes()).digest() for kind in ("cborseq", "windows.cborseq")]
    assert result.evidence == "0x" + hashlib.sha256(b"".join(parts)).hexdigest()


def test_the_root_of_two_leaves_is_that_of_openzeppelins_published_example() -> None:
    leaves = {int("11" * 20, 16): 5 * 10**18, int("22" * 20, 16): 25 * 10**17}
    assert root_of(Leaves(leaves)).hex() == "d4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77"


def test_the_root_of_three_leaves_pairs_the_first_two() -> None:
    first, second, third = (digest(digest(n.to_bytes(32, "big") + (n * 10).to_bytes(32, "big"))) for n in (1, 2, 3))
    lower = digest(b"".join(sorted([first, second])))
    assert root_of(Leaves({3: 30, 1: 10, 2: 20})) == digest(b"".join(sorted([lower, third])))
    assert root_of(Leaves()) == bytes(32)


def alter(message: bytes, offset: int) -> bytes:
    changed = bytearray(message)
    changed[offset] ^= 1
    return bytes(changed)


def with_high_s(message: bytes) -> bytes:
    tagged = cbor2.loads(message)
    signature = tagged.value[3]
    s = 2 * HALF_ORDER + 1 - int.from_bytes(signature[32:], "big")
    return cbor2.dumps(cbor2.CBORTag(18, [*tagged.value[:3], signature[:32] + s.to_bytes(32, "big")]))


def answer(sequence: int, answers: bytes, **others: int) -> bytes:
    return heartbeat(1, sequence, answers, boot=2, **others)


def claim(claims: dict, **others: bytes) -> bytes:
    return sign(KEYS[1], cbor2.dumps(claims), IDS[1], **others)


FIRST = beacon(2, 0)
GOOD = answer(1, FIRST)
CLAIMS = [2, 1, b"\x01\x55\x12\x20" + bytes(32), 7, bytes(16), 23]
WHOLE = {10: FIRST, -65537: CLAIMS}
# What takes the place of device 1's only heartbeat of epoch 2, how much later it comes, and the finding.
FOREIGN = [
    ("altered signature", 0, alter(GOOD, -1), "its signature is not 0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF's"),
    ("altered beacon", 0, alter(GOOD, 45), "its signature is not"),
    ("another device's key", 0, answer(1, FIRST, signer=3), "its signature is not"),
    ("high s", 0, with_high_s(GOOD), "its signature is not"),
    ("wrong window", 0, answer(1, beacon(2, 1)), "received -4899 ms after window 1 opened, wanted 0 to 4999"),
    ("late receipt", WINDOW_MS, GOOD, "received 5101 ms after window 0 opened, wanted 0 to 4999"),
    ("an epoch that is over", 0, answer(9, beacon(1, 0)), "beacon is of epoch 1"),
    ("a window never opened", 0, answer(9, beacon(2, 9)), "beacon is of window 9, which was not opened"),
    ("a guessed beacon", 0, answer(9, FIRST[:6] + bytes(8)), "beacon is not window 0's"),
    ("no bytes", 0, 7, "it is not [receipt time, message]"),
    ("another array", 0, cbor2.dumps([1, 2]), "it is not a COSE_Sign1 with a kid"),
    ("a big number", 0, bytes.fromhex("c5821a7fffffff01"), "it is not a COSE_Sign1 with a kid"),
    ("bytes after it", 0, GOOD + b"\0", "its CBOR is not deterministic, or holds more than a"),
    ("a missing claim", 0, claim({10: FIRST}), "its payload is not a heartbeat's"),
    ("an unknown claim", 0, claim({**WHOLE, 1: 1}), "its CBOR is not deterministic, or holds more than a"),
    ("a float as label", 0, claim({10.0: FIRST, -65537: CLAIMS}), "its CBOR is not deterministic"),
    ("true as boot", 0, claim({10: FIRST, -65537: [True, *CLAIMS[1:]]}), "its boot, sequence or count is not a u32"),
    ("boot too large", 0, claim({10: FIRST, -65537: [2**32, *CLAIMS[1:]]}), "its boot, sequence or count is not a u32"),
    ("boot 0", 0, claim({10: FIRST, -65537: [0, *CLAIMS[1:]]}), "is not a u32, the first two from 1"),
    ("sequence 0", 0, claim({10: FIRST, -65537: [2, 0, *CLAIMS[2:]]}), "is not a u32, the first two from 1"),
    ("another CID", 0, claim({10: FIRST, -65537: [2, 1, bytes(36), *CLAIMS[3:]]}), "its model is not a CIDv1"),
    ("a budget of a day", 0, claim({10: FIRST, -65537: [*CLAIMS[:5], 24]}), "its budget is not 0 to 23 hours"),
    ("true as budget", 0, claim({10: FIRST, -65537: [*CLAIMS[:5], True]}), "its budget is not 0 to 23 hours"),
    ("no budget", 0, claim({10: FIRST, -65537: CLAIMS[:5]}), "its payload is not a heartbeat's"),
    ("short beacon", 0, claim({10: FIRST[:13], -65537: CLAIMS}), "the length of a field is not a heartbeat's"),
    ("another algorithm", 0, claim(WHOLE, header=b"\xa1\x01\x26"), "its algorithm or the length of its kid"),
]


@pytest.mark.parametrize(("late_ms", "message", "finding"), [r[1:] for r in FOREIGN], ids=[r[0] for r in FOREIGN])
def test_a_heartbeat_that_breaks_a_rule_counts_for_nobody(site: Site, late_ms: int, message, finding: str) -> None:
    site.items[2][1] = [site.items[2][1][0] + late_ms, message]
    result = site.verify()
    assert ids(result) == {IDS[0]: 255, IDS[1]: 0, IDS[2]: 255}
    assert (result.ok, result.exit_code, len(result.findings)) == (False, 8, 1)
    assert result.findings[0].startswith("epoch 2 heartbeat 2: ") and finding in result.findings[0]


def test_a_removed_heartbeat_changes_the_root(site: Site) -> None:
    del site.items[2][1]
    result = site.verify()
    assert (result.ok, result.exit_code, result.heartbeats, ids(result)[IDS[1]]) == (False, 8, 8, 0)


def test_an_added_replay_is_found_and_changes_no_figure(site: Site) -> None:
    site.items[2].append(site.items[2][0])
    result = site.verify()
    assert result.findings == ("epoch 2 heartbeat 10: (boot, sequence) is (2, 1), the last of its device was (2, 4)",)
    assert (result.ok, result.counted, ids(result)) == (True, 9, {IDS[0]: 255, IDS[1]: 63, IDS[2]: 255})


def test_a_second_answer_in_one_window_earns_nothing_more(site: Site) -> None:
    site.items[2].append([opened_ms(2, 3) + 4_000, heartbeat(0, 5, beacon(2, 3), boot=2)])
    result = site.verify()
    assert (result.ok, result.counted, result.findings, ids(result)[IDS[0]]) == (True, 10, (), 255)


def test_evidence_that_gives_the_same_root_but_is_not_what_the_oracles_signed_is_a_mismatch(tmp_path):
    site = Site(tmp_path)
    before = site.verify()
    site.chain.attested[2] = bytes.fromhex(before.evidence[2:])
    assert site.verify().ok
    site.items[2].append(site.items[2][-1])
    result = site.verify()
    assert (result.ok, result.exit_code, result.root) == (False, 8, before.root)
    assert "the oracles signed " + before.evidence in result.findings[-1]


def test_a_device_that_is_bound_to_no_deed_is_named_once(site: Site) -> None:
    site.items[2] += [[opened_ms(2, 3) + 1, heartbeat(3, n, beacon(2, 3))] for n in (1, 2)]
    result = site.verify()
    assert result.ok and len(result.findings) == 1
    assert "is bound to no deed; heartbeats that do not count: 2" in result.findings[0]


def test_a_torn_tail_is_found_and_what_precedes_it_counts(site: Site) -> None:
    site.verify()
    whole = site.path(2).read_bytes()
    site.path(2).write_bytes(whole[:-30])
    result = site.verify(write=False)
    start = len(whole) - len(cbor2.dumps(site.items[2][-1]))
    torn = len(whole) - 30 - start
    assert result.findings == (f"epoch-2.cborseq: not CBOR from byte {start} on, {torn} bytes are not read",)
    assert (result.exit_code, result.heartbeats, ids(result)[IDS[2]]) == (8, 8, 191)


WINDOW_FAULTS = [
    ("another block", lambda w: w[1].__setitem__(2, 33), 191, "window 0: the chain's block 33 has another hash"),
    ("no such block", lambda w: w[1].__setitem__(2, 2**60), 191, "has another hash"),
    ("another beacon", lambda w: w[1].__setitem__(4, bytes(14)), 191, "its beacon does not follow from its block hash"),
    ("opened twice", lambda w: w.insert(2, w[1]), 255, "epoch 2 window 0: it was opened before"),
    ("one too many", lambda w: w[1].__setitem__(0, 4), 191, "epoch 2 window 4: it is not one of 0 to 3"),
    ("another item", lambda w: w.insert(2, "x"), 255, "an item that is neither a window nor the close"),
    ("after the close", lambda w: w.append("x"), 255, "goes on after it was closed"),
]


@pytest.mark.parametrize(("change", "availability", "finding"), [r[1:] for r in WINDOW_FAULTS])
def test_a_window_that_breaks_a_rule_counts_for_nobody(site: Site, change, availability: int, finding: str) -> None:
    change(site.windows[2])
    result = site.verify()
    assert ids(result)[IDS[0]] == availability and result.ok == (availability == 255)
    assert finding in result.findings[0]


NO_ROOT = {
    "epoch 2: it is not closed, so it has no root": lambda windows: windows.pop(),
    "epoch 2: its windows file does not begin with its number, ": lambda windows: windows[0].update(epoch=1),
}


@pytest.mark.parametrize("finding", NO_ROOT)
def test_an_epoch_without_its_close_or_of_another_number_has_no_root(site: Site, finding: str) -> None:
    NO_ROOT[finding](site.windows[2])
    result = site.verify()
    assert (result.root, result.exit_code, result.availability) == (None, 8, {})
    assert result.findings[0].startswith(finding)


def test_an_epoch_without_files_has_no_root_and_no_digest(site: Site) -> None:
    result = site.verify(3)
    assert (result.root, result.evidence, result.exit_code) == (None, None, 8)
    assert "epoch-3.windows.cborseq: No such file or directory" in result.findings


def test_a_changed_earlier_epoch_is_named_and_carries_on(site: Site) -> None:
    del site.items[1][0]
    result = site.verify()
    assert not result.ok and result.findings[0].startswith("epoch 1: root is 0x")


def test_settled_leaves_are_taken_only_when_they_hash_to_the_chains_root(site: Site) -> None:
    path = site.folder / "settlement" / "epoch-1.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"leaves": [[1, str(TABLE[0][0])], [2, "0"]]}))
    result = site.verify(from_settlement=True)
    assert (result.ok, result.recomputed, result.findings) == (True, (2,), ())
    for text, finding in [('{"leaves": [[1, "9"]]}', "do not hash to"), ("[", "no settlement file that can be read")]:
        path.write_text(text)
        result = site.verify(from_settlement=True)
        assert not result.ok and finding in result.findings[0]


def test_a_deed_that_no_longer_has_devices_keeps_its_leaf(site: Site) -> None:
    class Emptied(FixedChain):
        def bindings(self, block: int):
            return self.bound if block == CLOSE_BLOCK[1] else {2: self.bound[2]}

    roots, site.chain = site.chain.roots, Emptied()
    site.chain.roots = roots
    assert site.verify().leaves == {1: TABLE[0][0], 2: TABLE[1][1]}


def test_findings_are_bounded_and_the_rest_is_counted(site: Site) -> None:
    site.items[2] += [site.items[2][0]] * 300
    result = site.verify()
    assert (len(result.findings), result.findings_left_off, result.ok) == (200, 100, True)
    assert "- and 100 more" in report(result)


def test_the_report_fits_80_columns_and_ends_with_the_verdict(site: Site) -> None:
    site.items[2][1][1] = alter(GOOD, -1)
    for result, verdict in [(site.verify(), "RESULT: MISMATCH"), (site.verify(1), "RESULT: OK")]:
        lines = report(result).splitlines()
        assert max(map(len, lines)) <= 80 and lines[-1].startswith(verdict)


def test_the_json_holds_amounts_as_decimal_strings(site: Site) -> None:
    value = json.loads(as_json(site.verify()))
    assert value["leaves"] == [[1, str(sum(TABLE[0]))], [2, str(sum(TABLE[1]))]]
    assert value["ok"] is True and value["root"] == value["chain_root"]


@settings(FUZZ, max_examples=150)
@given(seed=st.integers(0, 2**32), edits=st.integers(1, 6), kind=st.sampled_from(["cborseq", "windows.cborseq"]))
def test_any_damage_gives_a_verdict_and_never_more_pay(site: Site, seed: int, edits: int, kind: str) -> None:
    site.verify()
    noise = random.Random(seed)
    data = bytearray(site.path(2, kind).read_bytes())
    for _ in range(edits):
        place = noise.randrange(len(data))
        data[place : place + noise.randrange(3)] = noise.randbytes(noise.randrange(3))
    site.path(2, kind).write_bytes(data)
    result = site.verify(write=False)
    report(result), as_json(result)
    if kind == "cborseq":
        assert ids(result)[IDS[0]] <= 255 and ids(result)[IDS[1]] <= 63 and ids(result)[IDS[2]] <= 255


@settings(FUZZ, max_examples=100)
@given(evidence=st.binary(max_size=300), windows=st.binary(max_size=300))
def test_noise_instead_of_evidence_gives_a_mismatch(site: Site, evidence: bytes, windows: bytes) -> None:
    site.path(2).write_bytes(evidence)
    site.path(2, "windows.cborseq").write_bytes(windows)
    assert site.verify(write=False).exit_code == 8


VECTORS = Path(__file__).parents[1] / "vectors"


def test_the_wire_vectors_are_read_as_their_specification_says() -> None:
    vectors = json.loads((VECTORS / "wire.json").read_text())
    for vector in vectors["valid"]:
        if vector["message"] == "heartbeat":
            read, fields = read_heartbeat([1, bytes.fromhex(vector["frame"])]), vector["fields"]
            assert (read.beacon.hex(), read.position) == (fields["beacon"], (fields["boot"], fields["sequence"]))
            assert read.device.hex() == vectors["device"]["id"]
    foreign = [vector for vector in vectors["invalid"] if vector["message"] == "heartbeat"] + vectors["unauthentic"]
    for vector in foreign:
        with pytest.raises(Refused):
            read_heartbeat([1, bytes.fromhex(vector["frame"])])


def test_the_merkle_vectors_give_their_roots() -> None:
    for vector in json.loads((VECTORS / "merkle.json").read_text()):
        assert root_of(Leaves({deed: int(wei) for deed, wei in vector["leaves"]})).hex() == vector["root"]

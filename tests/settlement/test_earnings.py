"""Why a deed earned what it did: over real evidence and a real chain, and against the score that is paid."""

import contextlib
import json
import re

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import wire
from gateway import cli
from gateway.earnings import earnings
from gateway.earnings import page as earnings_page
from gateway.earnings.earnings import ANSWERED, NOT_OPENED, REFUSED, SILENT, Money, explain
from gateway.earnings.site import explain_site, explain_with
from gateway.errors import CommandError, Exit
from gateway.intake import evidence
from gateway.oracle import availability, rewards
from gateway.oracle.availability import Heartbeat, Window, Windows
from gateway.oracle.rewards import Deed, epoch_reward
from gateway.web import app as web
from gateway.web.serve import serve
from tests.oracle_site import DEVICES, Site, address, text
from tests.settlement.test_settler import Stand
from tests.web_demo import DemoSource, settled_snapshot

HASH, MS, COUNT = bytes(32), 100, 5
IDS = [bytes([number]) * 20 for number in (1, 2)]
OPENED = [number for number in range(COUNT) if number != 3]
MONEY, DEED = Money(0, 0, 0), Deed(bytes(20), 2, (IDS[0],))


def windows():
    opened = [Window(number, number * MS, 1, HASH, wire.make_beacon(1, number, HASH)) for number in OPENED]
    return Windows(1, COUNT, MS, tuple(opened), 9)


def beat(window, sequence, at_ms=None, device=IDS[0], signature=b"good"):
    at_ms = window * MS + 5 if at_ms is None else at_ms
    return Heartbeat(at_ms, device, wire.make_beacon(1, window, HASH), 1, sequence, bytes(32), signature)


def is_signed(heartbeat):
    return heartbeat.signature == b"good"


def told(beats, deed=DEED, money=MONEY):
    return explain(7, deed, windows(), beats, is_signed, money, (HASH, HASH))


@pytest.mark.parametrize(
    ("beats", "outcomes", "advice"),
    [
        ([], [SILENT, SILENT, SILENT, NOT_OPENED, SILENT], "check the device's power"),
        ([beat(0, 1), beat(1, 2)], [ANSWERED, ANSWERED, SILENT, NOT_OPENED, SILENT], "1 of 2 slots are empty"),
        ([beat(0, 1, 100)], [REFUSED[5], SILENT, SILENT, NOT_OPENED, SILENT], "1 answers were out of time"),
        ([beat(1, 1, 99)], [SILENT, REFUSED[5], SILENT, NOT_OPENED, SILENT], "1 windows were not opened"),
        ([beat(0, 1, signature=b"")], [REFUSED[3], SILENT, SILENT, NOT_OPENED, SILENT], "1 answers were replayed or"),
        ([beat(0, 2), beat(1, 2)], [ANSWERED, REFUSED[2], SILENT, NOT_OPENED, SILENT], "two boards may hold one key"),
        ([beat(0, 1, 100), beat(0, 2)], [ANSWERED, SILENT, SILENT, NOT_OPENED, SILENT], "tinyren verify"),
        ([beat(3, 1)], [SILENT, SILENT, SILENT, NOT_OPENED, SILENT], "1 windows were not opened"),
    ],
    ids=["silent", "answered", "late", "early", "forged", "replayed", "again", "window never opened"],
)
def test_each_window_has_the_outcome_that_the_rule_gives_and_words_for_it(beats, outcomes, advice):
    found = told(beats)
    (device,) = found.devices
    assert [window.outcome for window in device.windows] == outcomes
    assert any(advice in line for line in found.advice)
    assert device.availability == 255 * outcomes.count(ANSWERED) // COUNT
    assert found.earned_wei == epoch_reward(device.availability, 2)
    assert set(outcomes) <= set(earnings.OUTCOMES)


def test_a_heartbeat_that_names_no_window_is_told_beside_them():
    stray = Heartbeat(5, IDS[0], bytes(14), 1, 1, HASH, b"good")
    (device,) = told([stray, beat(0, 2)]).devices
    assert [item.outcome for item in device.strays] == [REFUSED[4]] and device.count(ANSWERED) == 1


def test_a_replay_says_whether_the_device_signed_it():
    (device,) = told([beat(0, 2), beat(1, 2), beat(2, 2, signature=b"")]).devices
    assert [item.is_signed for window in device.windows for item in window.evidence] == [True, True, False]


def test_a_deed_without_devices_earns_nothing_and_is_told_so():
    found = told([beat(0, 1)], Deed(bytes(20), 2, ()))
    assert (found.earned_wei, found.devices) == (0, ()) and "2 of 2 slots are empty" in found.advice[0]


def test_what_is_due_is_never_below_nothing():
    assert told([], money=Money(1, 5, 2)).money.due_wei == 3 and told([], money=Money(1, 5, 9)).money.due_wei == 0


BEATS = st.builds(
    beat,
    st.integers(0, COUNT),
    st.integers(0, 6),
    st.none() | st.integers(-1, COUNT * MS),
    st.sampled_from(IDS),
    st.sampled_from([b"good", b"good", b""]),
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.lists(BEATS, max_size=12))
def test_what_is_told_is_what_is_paid(beats):
    found = told(beats, Deed(bytes(20), 2, tuple(IDS)))
    scores = availability.score(windows(), beats, is_signed, IDS)
    assert {device.device: device.availability for device in found.devices} == scores
    kept = sum(len(window.evidence) for device in found.devices for window in device.windows)
    assert kept + sum(len(device.strays) for device in found.devices) == len(beats)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("site"))
    made.record(1, {DEVICES[0]: range(4), DEVICES[1]: [0, 2], DEVICES[2]: range(3)})
    made.record(2, {DEVICES[0]: range(4)})
    Stand(made).settle(1, 2)
    yield made
    made.stop()


def run(capsys, site, *more):
    code = cli.main(["earnings", "explain", "--site", str(site.folder), "--rpc", site.rpc.url, *map(str, more)])
    return code, capsys.readouterr()


def test_the_command_explains_a_settled_epoch_to_the_wei(site, capsys):
    code, said = run(capsys, site, 1, "--epoch", 1, "--json")
    fields = json.loads(said.out)
    assert (code, fields["owner"].lower()) == (Exit.OK, "0x" + site.contracts.bindings()[1].owner.hex())
    assert [(row["id"].lower(), row["availability"]) for row in fields["devices"]] == [
        (text(DEVICES[0]), 255),
        (text(DEVICES[1]), 127),
    ]
    assert int(fields["earned_wei"]) == rewards.ND_REWARD_WEI * (255 + 127) // (255 * 4)
    posted = site.contracts.roots()[0]
    assert (fields["root"], fields["evidence"]) == ("0x" + posted.root.hex(), "0x" + posted.evidence.hex())
    answered = fields["devices"][1]["windows"][2]["evidence"][0]
    assert (answered["after_ms"], answered["is_signed"], answered["outcome"]) == (10, True, ANSWERED)
    code, later = run(capsys, site, 1, "--epoch", 2, "--json")
    after = json.loads(later.out)
    assert after["before_wei"] == fields["cumulative_wei"] and after["claimed_wei"] == after["cumulative_wei"]


def test_the_words_fit_80_columns_and_end_with_a_result(site, capsys):
    code, said = run(capsys, site, 2, "--epoch", 1)
    lines = said.out.splitlines()
    assert code == Exit.OK and max(map(len, lines)) <= 80 and "  window 3: silent" in lines
    assert lines[-1] == f"RESULT: OK deed=2 epoch=1 earned_wei={epoch_reward(191, 1)}"


@pytest.mark.parametrize(
    ("deed", "number", "code", "words"),
    [
        (3, 1, Exit.USAGE, "deed 3: none at the close of epoch 1; wanted 1 to 2"),
        (1, 3, Exit.NOTHING_TO_DO, "epoch 3 is not settled; wanted 1 to 2"),
    ],
)
def test_a_wrong_deed_or_epoch_is_refused_in_words(site, capsys, deed, number, code, words):
    got, said = run(capsys, site, deed, "--epoch", number)
    assert (got, said.out) == (code, "") and words in said.err


@contextlib.contextmanager
def changed(path, content):
    before = path.read_bytes()
    path.write_bytes(content(before))
    try:
        yield
    finally:
        path.write_bytes(before)


def test_what_the_chain_does_not_confirm_is_not_explained(site, capsys):
    beats = evidence.heartbeats_path(site.folder / "evidence", 1)
    leaves = site.folder / "settlement" / "epoch-1.json"
    for path, content, words in (
        (beats, lambda data: data[:-1], "not the evidence that oracles signed"),
        (leaves, lambda data: data.replace(b'"leaves": [', b'"leaves": [[9, "5"],'), "missing or not the chain's"),
        (leaves, lambda data: b"", "missing or not the chain's"),
    ):
        with changed(path, content):
            got, said = run(capsys, site, 1, "--epoch", 1)
            assert (got, said.out) == (Exit.TRUST, "") and words in said.err
    assert explain_with(site.folder, site.contracts, 1, 1).earned_wei


def test_a_root_that_the_evidence_does_not_give_is_not_explained(site, monkeypatch):
    monkeypatch.setattr(earnings, "epoch_reward", lambda *_: 1)
    with pytest.raises(CommandError, match="deed 1: the evidence gives 1 wei, the root") as refused:
        explain_with(site.folder, site.contracts, 1, 1)
    assert refused.value.code == Exit.TRUST


def test_a_folder_that_is_no_site_is_refused(tmp_path):
    with pytest.raises(CommandError, match="wanted the folder of a site"):
        explain_site(tmp_path, 1, 1)
    assert list(tmp_path.iterdir()) == []


def test_the_page_shows_the_same_and_says_what_it_wants(site):
    why = earnings_page.routes(lambda deed, epoch: explain_with(site.folder, site.contracts, deed, epoch))
    server = serve(web.app(DemoSource(settled_snapshot()), why))
    try:
        with httpx.Client(base_url=server.url) as client:
            page = client.get("/earnings/1/1")
            shown = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.text))
            assert page.status_code == 200 and "Deed 1 earned 0.5462 R1 in epoch 1" in shown
            assert "10 ms after opening" in shown and "silent" in shown and "2 of 4 slots are empty" in shown
            posted = site.contracts.roots()[0]
            assert posted.root.hex() in page.text and "0x" + address(DEVICES[1]).hex() in page.text.lower()
            for path, words in (
                ("1/3", "epoch 3 is not settled"),
                ("9/1", "deed 9: none"),
                ("0/1", "deed: got"),
                ("1/-1", "epoch: got"),
                ("1/<script>", "&lt;script&gt;"),
                ("1/" + "9" * 10, "wanted a whole number"),
            ):
                answer = client.get(f"/earnings/{path}")
                assert answer.status_code == 404 and words in answer.text and "<script>" not in answer.text
    finally:
        server.stop()

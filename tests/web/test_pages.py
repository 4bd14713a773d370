"""What each page shows of a made-up site: figures as they are, and what to do where nothing is yet."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.web import render, view
from gateway.web.views import common, fleet, overview, plot
from tests.web_demo import BOARDS, JOB, NOW_MS, OWNERS, DemoSource, empty_snapshot, settled_snapshot, shown, words

DEVICE = f"/fleet/{BOARDS[1][0]}"
SAYS = [
    ("/", ("Earned in all 4.9203 R1", "answering 2 of 3", "window 7 of 12", "full height: 3 devices; 7 not full",
           "0x6813…BA69 does not answer", "pump hall, left", "2 oracles", "The chain is embedded")),
    ("/fleet", ("3 of 3 devices", "answering (2)", "23+", "14", "148", "5 h low", "1.0938", "deed 1, slot 2")),
    (DEVICE, ("pump hall, left", "Boot 3: watchdog", "812 link: timeout", "0 reset: watchdog", "Late records taken 61",
              "Dropped by the device 2", "model 7: confirmed", "epoch 3: 148",
              "16 values of int8", "25.0 °C", "36 212")),
    (f"/fleet/{BOARDS[2][0]}", ("It will soon lose work: it says 5 h, wanted at least 6. See", "5 h", "silent")),
    ("/earnings", ("Deed 1 of 0x1efF…A718", "Claimed 4.9203", "To be claimed 0.0000", "255 233 148", "2.9170")),
    ("/epochs", ("3 settled epochs", "2 of 3 have to sign one root", "3 of 3", "0 of 3", "stale beacon 3",
                 "tinyren verify site --epoch 3")),
    ("/rollouts", ("quiet", "running", "1 done, 2 waiting", "1/2", "1 device", "model 7", "qemu_virt_rv32")),
    ("/rollouts/quiet", ("it is not online", "tinyren job pause quiet", "tinyren job rollback quiet")),
    ("/storage", ("Pinned in R1FS 373", "Pins 6", "Keys in CSTORE 15", "epoch 3", "everyone", "bafybe…bbbb")),
    ("/settings", ("port", "8420", "default", "config.toml:3", "TINYREN_BROKER_PASSWORD",
                   "tinyren config show --origin")),
]  # fmt: skip


@pytest.mark.parametrize(("path", "texts"), SAYS)
def test_a_page_says_what_the_snapshot_says(path, texts):
    told = words(shown(path, settled_snapshot())).replace("\u202f", " ")
    assert [text for text in texts if text not in told] == []
    assert "built-in method" not in told and "Undefined" not in told


EMPTY = [
    ("/", "Waiting for the first heartbeat"), ("/fleet", "Waiting for the first heartbeat"),
    ("/earnings", "No deed is bound yet"), ("/epochs", "The first epoch opens"),
    ("/rollouts", "tinyren job apply job.toml"),
    ("/rounds", "tinyren edil demo"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text"), EMPTY)
def test_where_nothing_is_yet_a_page_says_what_to_do(path, text):
    html = shown(path, empty_snapshot())
    assert text in words(html) and "<table" not in html


def test_the_three_steps_go_on_as_a_device_does():
    waiting = {"id": BOARDS[0][0], "board": "qemu_mps2_an385", "deed": None}
    steps = [shown("/", empty_snapshot() | {"devices": rows}) for rows in ([], [waiting], [{**waiting, "deed": 1}])]
    assert [html.count('<li class="done">') for html in steps] == [0, 1, 2]
    assert [html.count('<li class="doing">') for html in steps] == [1, 1, 1]
    assert "tinyren flash" in steps[0] and "tinyren flash" not in steps[1]


AMOUNTS = [("0", "0.0000"), ("9" * 14, "0.0000"), ("1458508188386985115", "1.4585"), ("1" + "0" * 22, "10,000.0000")]


def test_amounts_are_shown_in_r1_rounded_down():
    assert [view.r1(wei) for wei, _ in AMOUNTS] == [shown for _, shown in AMOUNTS]
    assert view.r1(None) == "–"


TIMES = [(-5_000, "now"), (999, "now"), (1_000, "1 s ago"), (119_999, "119 s ago"), (120_000, "2 min ago"),
         (7_200_000, "2 h ago"), (172_800_000, "2 days ago")]  # fmt: skip
SIZES = [
    (0, "0 B"),
    (999, "999 B"),
    (1_000, "1.0 kB"),
    (147_456, "147 kB"),
    (5_300_000, "5.3 MB"),
    (7 * 10**15, "7000.0 TB"),
]


def test_times_and_sizes_are_short_and_have_their_unit():
    assert [view.ago(NOW_MS - age, NOW_MS).replace("\u202f", " ") for age, _ in TIMES] == [text for _, text in TIMES]
    assert [view.size(value).replace("\u202f", " ") for value, _ in SIZES] == [text for _, text in SIZES]
    assert view.stamp(NOW_MS) == "2023-11-14 22:13:20 UTC"


def test_a_devices_verdict_is_the_newest_settled_epochs_and_its_mean_that_of_all():
    rows = common.rows(settled_snapshot(), NOW_MS)
    assert [(row["verdict"], row["availability"]) for row in rows] == [(255, 255), (148, 212), (255, 170)]


STATES = [
    ({"deed": None, "last_heartbeat_ms": NOW_MS}, "not bound"), ({"deed": 1}, "not heard yet"),
    ({"deed": 1, "last_heartbeat_ms": NOW_MS - 10_000}, "answering"),
    ({"deed": 1, "last_heartbeat_ms": NOW_MS - 10_001}, "silent"),
]  # fmt: skip


@pytest.mark.parametrize(("device", "state"), STATES)
def test_a_device_is_silent_when_two_windows_went_by(device, state):
    assert common.state(device, NOW_MS, 5_000) == state


def found(**asked):
    return [row["id"] for row in fleet.view(settled_snapshot(), asked, NOW_MS)["devices"]]


IDS = [board[0] for board in BOARDS]
FILTERS = [
    ({"q": "PUMP left"}, [IDS[1]]), ({"q": IDS[2][:10].lower()}, [IDS[2]]), ({"q": "6d63"}, [IDS[1], IDS[2], IDS[0]]),
    ({"q": "no such"}, []), ({"state": "silent"}, [IDS[2]]), ({"board": "qemu_virt_rv32"}, [IDS[2]]),
    ({"board": "qemu_virt_rv32", "state": "answering"}, []), ({"sort": "budget"}, [IDS[2], IDS[1], IDS[0]]),
    ({"sort": "verdict"}, [IDS[1], IDS[0], IDS[2]]), ({"sort": "earned"}, [IDS[2], IDS[0], IDS[1]]),
    ({"sort": "seen"}, IDS),
    ({"sort": "../x", "state": "x", "board": "<b>", "page": "9" * 30}, [IDS[1], IDS[2], IDS[0]]),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "ids"), FILTERS)
def test_the_address_filters_and_orders_the_fleet(asked, ids):
    assert found(**asked) == ids


def test_a_large_fleet_has_pages_that_keep_its_filters():
    one = settled_snapshot()["devices"][0]
    many = [one | {"id": f"0x{n:040x}", "name": f"pump {n:03}"} for n in range(120)]
    rows = [
        fleet.view({"devices": many}, {"q": "pump", "page": page}, NOW_MS) for page in ("1", "2", "3", "4", "0", "x")
    ]
    assert [(row["page"], len(row["devices"])) for row in rows] == [
        (1, 50),
        (2, 50),
        (3, 20),
        (3, 20),
        (1, 50),
        (1, 50),
    ]
    assert rows[1]["links"] == {1: "/fleet?q=pump&sort=name&page=1", 3: "/fleet?q=pump&sort=name&page=3"}
    assert len({device["id"] for row in rows[:3] for device in row["devices"]}) == 120


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.dictionaries(st.sampled_from(fleet.FILTERS), st.text(max_size=80)))
def test_whatever_an_address_asks_is_answered_and_shows_known_devices_only(asked):
    assert set(found(**asked)) <= set(IDS)


def test_what_wants_attention_is_told_gravest_first_and_calm_is_told_too():
    snapshot = settled_snapshot()
    snapshot["jobs"] = [JOB | {"state": "halted", "why": "1 of 3 devices failed"}]
    snapshot["devices"][1]["deed"] = None
    snapshot["devices"][0]["offline"]["low"] = "can be offline for 1 h"
    texts = [item["text"] for item in overview.view(snapshot, {}, NOW_MS)["attention"]]
    assert [text.split(" ")[0] for text in texts] == ["does", "is", "can", "it", "job", "messages"]
    calm = settled_snapshot() | {"rejected": {"stale_beacon": 1}, "jobs": []}
    calm["devices"] = calm["devices"][:2]
    assert "Nothing. Every device answers" in words(shown("/", calm))


def test_drawings_stay_inside_their_place_and_leave_gaps_as_gaps():
    columns = plot.columns([0, 1, 3, 9], 3)
    assert [column["height"] for column in columns] == [0, 33.33, 100, 100]
    assert [column["is_full"] for column in columns] == [False, False, True, True]
    assert plot.line([0, None, 10, 5], 0, 10) == ["0.0,100.0", "400.0,0.0 600.0,50.0"]
    paths = plot.cells([[-128, 0], [127, 127]], 4)
    assert [bool(path) for path in paths] == [True, *[False] * 3, True, *[False] * 3, True]
    assert paths[4] == "M300.0 50.0h150.0v50.0h-150.0z" and paths[8].count("M450.0") == 2
    assert plot.columns([], 0) == [] and plot.line([], 0, 0) == [] and plot.columns([5], 0)[0]["height"] == 0


def test_amounts_of_a_deed_are_those_of_its_devices():
    html = shown("/earnings", settled_snapshot())
    assert html.count('href="/earnings/1/') == 3 and html.count('href="/earnings/2/') == 3
    assert OWNERS[0] in html and re.search(r'class="n bad">0<', html)


def test_a_claim_says_what_it_was_paid_for():
    snapshot = settled_snapshot()
    paid = {"owner": OWNERS[0], "amount_wei": "1", "tx": "0x" + "ab" * 32}
    snapshot["claims"] = [{**paid, "deed": 2, "job": 7}, {**paid, "deed": None, "job": 0}]
    text = words(shown("/earnings", snapshot))
    assert "deed 2, work for job 7" in text and "an account" in text and "None" not in text


def test_a_device_that_is_not_emulated_shows_no_samples():
    snapshot = settled_snapshot()
    snapshot["devices"][1]["emulated"] = False
    html = shown(DEVICE, snapshot)
    assert "a gateway is never sent them" in html and "tells the emulated sensors" not in html
    assert DemoSource(snapshot).detail("device", "0x" + "1" * 40) is None


WINDOW = {"window": 3, "outcome": "answered", "evidence": [
    {"outcome": "answered", "receipt_ms": NOW_MS, "after_ms": 34, "boot": 2, "sequence": 40, "digest": "0x" + "ef" * 32,
     "is_signed": True}]}  # fmt: skip
TOLD = {
    "deed": 1, "epoch": 3, "owner": OWNERS[0], "slots": 2, "availability_sum": 403, "earned_wei": "1152507941334931493",
    "before_wei": "25", "cumulative_wei": "3652507941334931493", "claimed_wei": "0", "root": "0x" + "ab" * 32,
    "evidence": "0x" + "cd" * 32, "advice": ["<b>See</b> that it has power."],
    "devices": [{"id": BOARDS[0][0], "availability": 255, "strays": [], "windows": [
        WINDOW, {"window": 4, "outcome": "silent", "evidence": []}]}],
}  # fmt: skip


def test_why_a_deed_earned_is_told_window_by_window():
    outcomes = {"answered": "it came in time", "silent": "no heartbeat came"}
    template = render.templates().get_template("earnings.html")
    html = template.render(layout="part.html", told=TOLD, rule="a rule", outcomes=outcomes)
    for text in ("Deed 1 earned 1.1525 R1 in epoch 3", "403 of 510", "34 ms after opening", "2, 40"):
        assert text in words(html)
    assert "silent no heartbeat came" in words(html) and "<b>See" not in html and BOARDS[0][0] in html
    refused = template.render(layout="part.html", error="deed: got <9>, wanted one of 1, 2")
    assert "There is nothing to explain here" in refused and "&lt;9&gt;" in refused

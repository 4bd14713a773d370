"""Ratio1's rule on its own cases, and what it makes of the heartbeats that our windows count."""

import json

import pytest

from gateway import cli
from gateway.errors import CommandError, Exit
from gateway.oracle.conformance import compare, ratio1_availability, reasons
from tests.oracle.test_availability import DEVICE, OTHER, WINDOW_MS, beat, is_signed, make_windows
from tests.oracle_site import DEVICES, Site, text

DAY_MS = 86_400_000
CASES = [  # (seconds between heartbeats, hours of the day that they come in, Ratio1's value)
    (10, 24, 255),
    (15, 24, 255),
    (5, 24, 255),
    (16, 24, 0),
    (4, 24, 0),
    (10, 12, 127),
    (10, 0, 0),
]


@pytest.mark.parametrize("every_s, hours, wanted", CASES)
def test_ratio1s_rule_gives_ratio1s_values(every_s, hours, wanted):
    times = range(0, hours * 3_600_000, every_s * 1_000)
    assert ratio1_availability(times, DAY_MS) == wanted
    assert ratio1_availability(reversed(times), DAY_MS) == wanted


def test_a_heartbeat_just_before_or_after_a_bound_of_a_gap_is_not_credited():
    assert [ratio1_availability([0, gap], 15_000) for gap in (4_999, 5_000, 15_000, 15_001)] == [0, 85, 255, 0]


def test_both_rules_on_the_same_heartbeats_and_why_they_differ():
    windows = make_windows(4)
    steady = [beat(window, window + 1) for window in range(4)]
    early = [beat(0, 1, 2_000), beat(1, 2, 1_000), beat(2, 3, 0), beat(3, 4, 0)]
    forged = [beat(window, window + 1, device=OTHER, signature=b"forged") for window in range(4)]
    found = compare(windows, steady + forged, is_signed, [DEVICE, OTHER])
    assert {device: item[:3] for device, item in found.items()} == {DEVICE: (255, 191, 4), OTHER: (0, 0, 0)}
    assert "ends are not credited" in reasons(found[DEVICE])[-1] and reasons(found[OTHER]) == []
    shorter = compare(windows, early, is_signed, [DEVICE])[DEVICE]
    assert shorter[:2] == (255, 64) and shorter.gaps.short == 2 and "under 5 s: 2 were" in reasons(shorter)[0]
    late = compare(windows, [beat(window, window + 1, WINDOW_MS) for window in range(3)], is_signed, [DEVICE])[DEVICE]
    assert late[:2] == (0, 128) and reasons(late) == [
        "a heartbeat that answers no open window counts for Ratio1 and not here"
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("site"))
    made.record(1, {DEVICES[0]: range(4), DEVICES[1]: [0, 2]})
    yield made
    made.stop()


def run(capsys, site, *more):
    code = cli.main(["conformance", "--site", str(site.folder), "--rpc", site.rpc.url, *map(str, more)])
    return code, capsys.readouterr()


def test_the_command_shows_both_rules_for_every_bound_device(site, capsys):
    code, said = run(capsys, site, "--epoch", 1, "--json")
    rows = {row["id"].lower(): row for row in json.loads(said.out)["devices"]}
    assert code == Exit.OK and set(rows) == {text(key) for key in DEVICES}
    assert [(rows[text(key)]["ours"], rows[text(key)]["ratio1"]) for key in DEVICES] == [(255, 0), (127, 0), (0, 0)]
    assert (rows[text(DEVICES[0])]["heartbeats"], rows[text(DEVICES[0])]["short"]) == (4, 3)
    code, said = run(capsys, site, "--epoch", 1)
    lines = said.out.splitlines()
    assert code == Exit.OK and max(map(len, lines)) <= 80 and lines[-1] == "RESULT: OK same=1 of=3"


@pytest.mark.parametrize("more, code, words", [
    (["--epoch", 9], Exit.NOTHING_TO_DO, "there is no epoch 9, the last is 1; name a closed one"),
    (["--epoch", 1, "--site", "nowhere"], Exit.USAGE, "nowhere: wanted the folder of a site"),
    (["--epoch", 1, "--rpc", "http://127.0.0.1:1"], Exit.CHAIN, "chain: "),
])  # fmt: skip
def test_what_cannot_be_compared_is_said_in_one_line(site, capsys, more, code, words):
    with pytest.raises(CommandError) as refused:
        arguments = cli.parser().parse_args(
            ["conformance", "--site", str(site.folder), "--rpc", site.rpc.url, *map(str, more)]
        )
        arguments.run(arguments)
    assert refused.value.code == code and words in str(refused.value) and capsys.readouterr().out == ""

"""What the page and the status show of a device's time without its gateway, and of its resets."""

from gateway.site.status import Status
from tests.agent.test_journal import journal_of
from tests.ingest_site import A, B, Site
from tests.intake.test_late_gateway import batch
from tests.web_demo import BOARDS, settled_snapshot, shown, words


class Nothing:
    """A settlement and a dAuth without deeds."""

    deeds = {}


def status_of(site):
    return Status("site", site.registry, site.epochs, Nothing(), Nothing())


def test_a_devices_row_says_its_budget_what_came_late_what_was_dropped_and_what_is_missing(tmp_path):
    site = Site(tmp_path)
    site.send((A.topic("announce"), A.announce(boot=2)), (B.topic("announce"), B.announce()))
    site.send((A.topic("heartbeat"), A.heartbeat(site.beacon, 2, 20, budget=7)))
    site.send((A.topic("late"), batch(A, 2, range(3, 9), dropped=4)))
    site.send((A.topic("journal"), journal_of(A, 2, "watchdog", ["812 link: timeout", "0 reset: watchdog"])))

    rows = {row["id"].lower(): row for row in status_of(site)._devices()}
    row, other = rows["0x" + A.id.hex()], rows["0x" + B.id.hex()]

    assert row["offline"] == {"budget_hours": 7, "late": 6, "kept": 6, "dropped": 4, "missing": 9, "low": ""}
    assert other["offline"] == {"budget_hours": None, "late": 0, "kept": 0, "dropped": 0, "missing": 0, "low": ""}
    (journal,) = status_of(site)._live(A.id)["journals"]
    assert (journal["boot"], journal["reason"], list(journal["lines"])) == (
        2, "watchdog", ["812 link: timeout", "0 reset: watchdog"])  # fmt: skip
    assert status_of(site)._live(B.id)["journals"] == []


def test_the_devices_page_shows_them_and_escapes_what_it_says():
    snapshot = settled_snapshot()
    snapshot["devices"][1]["journals"][0]["reason"] = "<b>boom</b>"

    text = words(shown(f"/fleet/{BOARDS[1][0]}", snapshot))

    for part in (
        "14 h",
        "Late records taken 61",
        "Dropped by the device 2",
        "812 link: timeout",
        "&lt;b&gt;boom&lt;/b&gt;",
    ):
        assert part in text.replace("\u202f", " ")


def test_the_page_does_without_what_an_older_snapshot_does_not_say():
    snapshot = settled_snapshot()
    for device in snapshot["devices"]:
        del device["offline"], device["journals"]

    text = words(shown(f"/fleet/{BOARDS[0][0]}", snapshot))

    assert "Late records taken 0" in text and "Boot 3" not in text

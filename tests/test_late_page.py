"""What the page and the status show of a device's time without its gateway, and of its resets."""

import re

from ingest_site import A, B, Site
from jinja2 import Environment, FileSystemLoader
from test_journal import journal_of
from test_late_gateway import batch

from gateway.status import Status
from gateway.web import app as web
from gateway.web import view
from tests.web_demo import NOW_MS, settled_snapshot


class Nothing:
    """A settlement and a dAuth without deeds."""

    deeds = {}


def status_of(site):
    return Status("site", site.registry, site.epochs, Nothing(), Nothing())


def shown(snapshot):
    templates = Environment(loader=FileSystemLoader(web.HERE / "templates"), autoescape=True)
    templates.filters |= {name: getattr(view, name) for name in ("r1", "short", "text", "number")}
    html = templates.get_template("live.html").render(view.view(snapshot, NOW_MS))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_a_devices_row_says_its_budget_what_came_late_what_was_dropped_and_what_is_missing(tmp_path):
    site = Site(tmp_path)
    site.send((A.topic("announce"), A.announce(boot=2)), (B.topic("announce"), B.announce()))
    site.send((A.topic("heartbeat"), A.heartbeat(site.beacon, 2, 20, budget=7)))
    site.send((A.topic("late"), batch(A, 2, range(3, 9), dropped=4)))
    site.send((A.topic("journal"), journal_of(A, 2, "watchdog", ["812 link: timeout", "0 reset: watchdog"])))

    rows = {row["id"].lower(): row for row in status_of(site)._devices()}
    row, other = rows["0x" + A.id.hex()], rows["0x" + B.id.hex()]

    assert row["offline"] == {"budget_hours": 7, "late": 6, "kept": 6, "dropped": 4, "missing": 9}
    assert other["offline"] == {"budget_hours": None, "late": 0, "kept": 0, "dropped": 0, "missing": 0}
    (journal,) = status_of(site)._live(A.id)["journals"]
    assert (journal["boot"], journal["reason"], list(journal["lines"])) == (
        2, "watchdog", ["812 link: timeout", "0 reset: watchdog"])  # fmt: skip
    assert status_of(site)._live(B.id)["journals"] == []


def test_the_page_shows_them_and_escapes_what_devices_say():
    snapshot = settled_snapshot()
    snapshot["devices"][1]["journals"][0]["reason"] = "<b>boom</b>"

    text = shown(snapshot)

    for part in ("23+ h", "14 h", "61 late", "2 dropped", "Resets", "812 link: timeout", "&lt;b&gt;boom&lt;/b&gt;"):
        assert part in text
    assert "1 missing" in text


def test_the_page_does_without_what_an_older_snapshot_does_not_say():
    snapshot = settled_snapshot()
    for device in snapshot["devices"]:
        del device["offline"], device["journals"]

    text = shown(snapshot)

    assert "Resets" not in text and " late" not in text

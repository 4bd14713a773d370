"""/metrics: what a site says of itself, read by its grammar and by Prometheus' own parser."""

import re

from prometheus_client.parser import text_string_to_metric_families

from gateway.monitoring import metrics
from gateway.monitoring.metrics import MAX_DEVICES, Family, of_site, render
from tests.snapshots import DEVICE, NOW_MS, OTHER, device, offline, snapshot

LINE = re.compile(r'[a-z_]+(\{([a-z]+="(\\.|[^"\\\n])*",?)*\})? -?[0-9.e+-]+')


def read(text):
    """Values by (name, labels) as a reader of the text format finds them; every line must be of the grammar."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            assert LINE.fullmatch(line), line
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def test_a_site_is_told_in_prometheus_names_and_units():
    facts = {"broker_connected": True, "disk_free_bytes": 5e9, "device_accounts": 1}
    found = read(render(of_site(snapshot(device(), device(OTHER, deed=None)), facts, NOW_MS)))
    assert found['tinyren_devices{state="bound"}'] == 1 and found['tinyren_devices{state="unbound"}'] == 1
    assert found["tinyren_heartbeats_total"] == 80
    assert found['tinyren_messages_refused_total{reason="replay"}'] == 5
    assert found['tinyren_last_heartbeat_age_seconds{quantile="0.5"}'] == 2.0
    assert found[f'tinyren_device_last_heartbeat_time_seconds{{device="{DEVICE}"}}'] == NOW_MS / 1000 - 2
    assert found[f'tinyren_device_offline_budget_seconds{{device="{DEVICE}"}}'] == 23 * 3600
    assert (found["tinyren_epoch"], found["tinyren_epoch_settled"], found["tinyren_epochs_behind"]) == (6, 4, 1)
    assert found["tinyren_records_dropped_total"] == 4 and found["tinyren_records_missing"] == 2
    assert found['tinyren_rounds{state="open"}'] == 2
    assert found["tinyren_broker_connected"] == 1 and found["tinyren_disk_free_bytes"] == 5e9


def test_what_is_foreign_in_a_label_stays_in_its_quotes():
    text = render(of_site(snapshot(), {}, NOW_MS))
    assert r'tinyren_jobs{state="a \"quoted\"\nstate\\"} 1' in text.splitlines()


def test_beyond_a_thousand_devices_none_has_a_line_of_its_own_and_the_summary_has_all():
    few = [device(f"0x{number:040x}") for number in range(MAX_DEVICES)]
    assert (
        sum("device=" in line for line in render(of_site(snapshot(*few), {}, NOW_MS)).splitlines()) == 2 * MAX_DEVICES
    )
    many = [*few, device()]
    found = read(render(of_site(snapshot(*many), {}, NOW_MS)))
    assert not any("device=" in name for name in found)
    assert found["tinyren_last_heartbeat_age_seconds_count"] == MAX_DEVICES + 1


def test_a_new_site_and_a_device_that_was_never_heard_are_told_too():
    silent = device(last_heartbeat_ms=None, offline=offline(None))
    for row in ([], [silent]):
        found = read(render(of_site(snapshot(epochs=[], edil=[], jobs=[], rejected={}) | {"devices": row}, {}, NOW_MS)))
        assert found["tinyren_last_heartbeat_age_seconds_count"] == 0 and found["tinyren_epoch"] == 0


def test_a_quantile_is_an_age_that_there_is():
    ages = [device(f"0x{number:040x}", last_heartbeat_ms=NOW_MS - 1000 * number) for number in range(1, 101)]
    found = read(render(of_site(snapshot(*ages), {}, NOW_MS)))
    quantiles = [found[f'tinyren_last_heartbeat_age_seconds{{quantile="{share}"}}'] for share in ("0.5", "0.99", "1")]
    assert quantiles == [51, 100, 100]
    assert found["tinyren_last_heartbeat_age_seconds_sum"] == 5050


def test_every_family_is_named_and_explained_as_prometheus_wants_it():
    families = list(of_site(snapshot(), dict.fromkeys(metrics.FACTS, 1.0), NOW_MS))
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    for family in families:
        assert re.fullmatch("tinyren_[a-z_]+", family.name) and family.help.endswith(".") and "\n" not in family.help
        assert (family.kind == "counter") == family.name.endswith("_total"), family.name
        assert family.kind in ("gauge", "counter", "summary")


def test_prometheus_own_parser_reads_it():
    text = render(of_site(snapshot(), dict.fromkeys(metrics.FACTS, 1.5), NOW_MS))
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["tinyren_heartbeats"].type == "counter" and families["tinyren_heartbeats"].samples[0].value == 40
    assert families["tinyren_jobs"].samples[0].labels == {"state": 'a "quoted"\nstate\\'}
    assert families["tinyren_last_heartbeat_age_seconds"].type == "summary"
    assert {family.type for family in families.values()} == {"counter", "gauge", "summary"}


def test_large_and_small_numbers_keep_their_value():
    family = Family("tinyren_x", "gauge", "X.", [("", {}, 123456789012345.0), ("_sum", {}, 1e-9)])
    assert list(read(render([family])).values()) == [123456789012345.0, 1e-9]

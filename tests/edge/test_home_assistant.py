"""What Home Assistant reads: with documented fields alone, at a real broker by its own account, taken back in time."""

import json
import re
from datetime import datetime

import pytest

from gateway.broker.broker import Broker
from gateway.monitoring import home_assistant
from gateway.monitoring.home_assistant import AGAIN_S, EXPIRE_S, messages, topics
from gateway.monitoring.outside import GRACE_S, LOOK_S, Outside
from tests.broker_clients import Device, Ear
from tests.snapshots import DEVICE, NOW_MS, OTHER, device, offline, snapshot

# Of "Device discovery payload", "MQTT sensor" and "MQTT binary sensor" in Home Assistant's documentation (2024.12).
DEVICE_FIELDS = {"identifiers", "connections", "name", "manufacturer", "model", "model_id", "serial_number",
                 "sw_version", "hw_version", "suggested_area", "configuration_url", "via_device"}  # fmt: skip
ORIGIN_FIELDS = {"name", "sw_version", "support_url"}
TOP_FIELDS = {"device", "origin", "components", "state_topic", "command_topic", "qos", "encoding", "availability",
              "availability_topic", "availability_mode"}  # fmt: skip
PART_FIELDS = {"platform", "unique_id", "name", "value_template", "expire_after", "device_class", "state_class",
               "unit_of_measurement", "icon", "entity_category"}  # fmt: skip
CLASSES = {
    "sensor": {"timestamp": {None}, "duration": {"d", "h", "min", "s", "ms"}, None: {None, "%", "R1"}},
    "binary_sensor": {"connectivity": {None}, "problem": {None}, "update": {None}},
}
STATE_CLASSES = {None, "measurement", "total", "total_increasing"}
CONFIG, STATE = topics(DEVICE)


def read(found, topic=CONFIG):
    return json.loads(found[topic])


def test_a_bound_device_is_one_device_with_documented_fields_alone():
    told = read(messages(snapshot(), {}, NOW_MS, "0.1.0"))
    assert set(told) <= TOP_FIELDS and set(told["device"]) <= DEVICE_FIELDS and set(told["origin"]) <= ORIGIN_FIELDS
    assert {"device", "origin", "components"} <= set(told) and told["origin"]["name"]
    assert told["state_topic"] == STATE
    parts = told["components"]
    assert len({part["unique_id"] for part in parts.values()}) == len(parts) == 9
    for key, part in parts.items():
        assert set(part) <= PART_FIELDS and {"platform", "unique_id", "value_template"} <= set(part), key
        assert part.get("unit_of_measurement") in CLASSES[part["platform"]][part.get("device_class")], key
        assert part.get("state_class") in STATE_CLASSES and part["expire_after"] == EXPIRE_S > AGAIN_S
        if part.get("device_class") == "timestamp":
            assert "state_class" not in part  # Home Assistant refuses one there


def test_topics_are_of_the_form_that_home_assistant_listens_to():
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", CONFIG)
    assert not STATE.endswith("/config") and not set("+#") & set(CONFIG + STATE)


def test_every_template_finds_its_value_in_the_state():
    found = messages(snapshot(device(offline=offline(23) | {"low": "why"})), {DEVICE}, NOW_MS, "0.1.0")
    state = read(found, STATE)
    for part in read(found)["components"].values():
        key = re.fullmatch(r"\{\{ value_json\.([a-z_]+) \}\}", part["value_template"])[1]
        assert key in state
        if part["platform"] == "binary_sensor":
            assert state[key] in ("ON", "OFF")  # its default payloads
    assert datetime.fromisoformat(state["last_heartbeat"]).timestamp() == NOW_MS / 1000 - 2
    assert (state["availability"], state["earned"], state["offline_budget"]) == (80.0, 1.5, 23)
    assert (state["connected"], state["budget_low"], state["update"]) == ("ON", "ON", "ON")


def test_a_silent_device_is_not_connected_and_one_never_heard_has_no_time():
    late = device(last_heartbeat_ms=NOW_MS - 15_001)
    assert read(messages(snapshot(late), {}, NOW_MS, ""), STATE)["connected"] == "OFF"
    never = read(messages(snapshot(device(last_heartbeat_ms=None, offline=offline(None))), {}, NOW_MS, ""), STATE)
    assert (never["connected"], never["last_heartbeat"], never["budget_low"]) == ("OFF", None, "OFF")


def test_a_device_that_is_not_bound_is_not_told():
    assert messages(snapshot(device(deed=None)), {}, NOW_MS, "") == {}


def test_the_operators_name_goes_before_the_boards():
    named = read(messages(snapshot(device(name="Kühlraum 3")), {}, NOW_MS, ""))
    assert named["device"]["name"] == "Kühlraum 3"
    assert read(messages(snapshot(), {}, NOW_MS, ""))["device"]["name"] == "qemu_virt_rv32 0x7E5F…5Bdf"


class Site:
    """What `Outside` needs of a site, on a clock that is the test's."""

    def __init__(self, folder, publish, hook=None):
        self.rows, self.now_s, self.said = [device()], 0.0, []
        self.low = dict
        notice = lambda text, **fields: self.said.append((text, fields))  # noqa: E731
        clock = lambda: NOW_MS + int(1000 * self.now_s)  # noqa: E731
        self.outside = Outside(folder, self, dict, publish, hook, 6, notice, clock, set, lambda: self.now_s)

    def snapshot(self):
        return snapshot() | {"devices": self.rows}

    def turn(self, seconds=LOOK_S):
        self.now_s += seconds
        self.outside.turn()


@pytest.fixture
def sent():
    return []


def test_home_assistant_reads_it_with_its_own_account_and_may_do_nothing_else(tmp_path):
    broker = Broker(tmp_path / "broker", (), devices=dict)
    broker.start()
    ear = Ear(broker)
    site = Site(tmp_path, lambda topic, payload, retain: ear.bus.publish(topic, payload, qos=1, retain=retain))
    site.turn()
    home = Device(broker.port, "home", broker.account("homeassistant"))
    home.subscribe("homeassistant/#")
    home.subscribe("tinyren-home/#")
    expected = messages(site.snapshot(), {}, NOW_MS + int(1000 * LOOK_S), "0.1.0")
    for topic, payload in expected.items():
        assert home.wait_for(topic, payload)
    for topic in (CONFIG, STATE, "tinyren/beacon", f"tinyren/{DEVICE[2:].lower()}/ack"):
        home.send(topic, b"forged")
    home.send("homeassistant/status", b"online")
    assert home.wait_for("homeassistant/status", b"online")
    assert not any(payload == b"forged" for _, payload in home.heard + ear.heard)
    site.rows = [device(deed=None)]
    site.turn()
    assert home.wait_for(CONFIG, b"") and home.wait_for(STATE, b"")
    late = Device(broker.port, "late", broker.account("homeassistant"))
    late.subscribe("homeassistant/#")
    late.send("homeassistant/status", b"online")
    assert late.wait_for("homeassistant/status", b"online")
    assert not any(topic == CONFIG for topic, _ in late.heard)
    for client in (home, late):
        client.end()
    ear.bus.stop()
    broker.stop()


def test_only_what_changed_is_told_and_all_of_it_each_minute(tmp_path, sent):
    site = Site(tmp_path, lambda *message: sent.append(message))
    site.turn(0)
    assert {topic for topic, _, _ in sent} == {CONFIG, STATE} and all(retain for _, _, retain in sent)
    sent.clear()
    site.turn(1)
    assert sent == []  # it looks each LOOK_S
    site.turn(LOOK_S)
    assert sent == []
    site.rows = [device(heartbeats=41)]
    site.turn()
    assert [topic for topic, _, _ in sent] == [STATE]
    sent.clear()
    site.turn(AGAIN_S)
    assert {topic for topic, _, _ in sent} >= {CONFIG, STATE}


def test_what_an_earlier_start_told_of_a_device_that_was_released_meanwhile_is_taken_back(tmp_path, sent):
    site = Site(tmp_path, lambda *message: sent.append(message))
    site.rows = [device(), device(OTHER, deed=None)]
    site.turn()
    assert {topic for topic, payload, _ in sent if not payload} == set(topics(OTHER))
    sent.clear()
    site.turn()
    assert not any(payload == b"" for _, payload, _ in sent)


def test_an_alert_is_a_line_and_a_post_once_an_episode_and_shows_in_the_status(tmp_path):
    class Hook:
        posted, counts = [], {"sent": 0, "lost": 0}
        post = posted.append

    site = Site(tmp_path, None, Hook)
    site.turn()
    site.rows = [device(offline=offline(4, dropped=2))]
    site.turn()
    site.turn()
    assert (
        [fields["event"] for _, fields in site.said]
        == ["offline_budget_low"]
        == [post["event"] for post in Hook.posted]
    )
    assert Hook.posted[0]["device"] == DEVICE and Hook.posted[0]["left_hours"] == 4 and DEVICE in site.outside.low()
    site.rows = [device()]
    site.turn()
    assert [post["event"] for post in Hook.posted] == ["offline_budget_low", "offline_budget_ok"]
    assert site.outside.low() == {}


def test_devices_that_a_gateway_kept_waiting_have_ten_minutes_to_come_back(tmp_path):
    site = Site(tmp_path, None)
    site.rows = [device(last_heartbeat_ms=NOW_MS - 30 * 3_600_000)]
    site.turn()
    assert site.said == []
    site.turn(GRACE_S)
    assert [fields["event"] for _, fields in site.said] == ["offline_budget_low"]
    assert home_assistant.SILENT_WINDOWS > 1

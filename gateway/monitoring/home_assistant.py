"""What Home Assistant is told of a bound device: MQTT messages, pure; it sends none, and takes no command.

One retained message a device says what it is and what it has (device discovery), one what holds now. A device that is
no longer bound has both taken back by empty ones. Raw samples are not told: a device signs their digest and keeps them.
State is told again each AGAIN_S, and expires, so that nothing looks alive when the gateway is not.
Source: Home Assistant, MQTT integration: "Device discovery payload", "MQTT sensor", "MQTT binary sensor" (2024.12 on).
"""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

DISCOVERY = "homeassistant"
STATES = "tinyren-home"
AGAIN_S = 60
EXPIRE_S = 3 * AGAIN_S
SILENT_WINDOWS = 3
FULL = 255
WEI = 10**18
_SENSORS: dict[str, dict[str, Any]] = {
    "last_heartbeat": {"name": "Last heartbeat", "device_class": "timestamp"},
    "heartbeats": {"name": "Heartbeats", "state_class": "total_increasing", "icon": "mdi:heart-pulse"},
    "inferences": {"name": "Inferences since it started", "state_class": "total_increasing", "icon": "mdi:brain"},
    "offline_budget": {
        "name": "Offline budget",
        "device_class": "duration",
        "unit_of_measurement": "h",
        "state_class": "measurement",
    },
    "availability": {
        "name": "Availability in the last epoch",
        "unit_of_measurement": "%",
        "state_class": "measurement",
        "icon": "mdi:check-decagram",
    },
    "earned": {"name": "Earned", "unit_of_measurement": "R1", "state_class": "total", "icon": "mdi:cash"},
}
_SIGNS: dict[str, dict[str, Any]] = {
    "connected": {"name": "Connected", "device_class": "connectivity"},
    "budget_low": {"name": "Offline budget low", "device_class": "problem"},
    "update": {"name": "Update on its way", "device_class": "update"},
}


def topics(device: str) -> tuple[str, str]:
    """Topics of a device's discovery and of its state. `device`: 0x and 40 hex digits."""
    name = device[2:].lower()
    return f"{DISCOVERY}/device/tinyren_{name}/config", f"{STATES}/{name}"


def discovery(row: Mapping[str, Any], version: str) -> bytes:
    """The message that makes a device of a bound one. row: of `devices` in status.Status.snapshot()."""
    name = f"tinyren_{row['id'][2:].lower()}"
    parts = {key: _part("sensor", name, key, says) for key, says in _SENSORS.items()}
    parts |= {key: _part("binary_sensor", name, key, says) for key, says in _SIGNS.items()}
    told = {
        "device": {
            "identifiers": [name],
            "name": row.get("name") or f"{row['board']} {row['id'][:6]}…{row['id'][-4:]}",
            "manufacturer": "tinyren",
            "model": row["board"],
            "serial_number": row["id"],
            "sw_version": row["firmware"],
        },
        "origin": {"name": "tinyren", "sw_version": version},
        "state_topic": topics(row["id"])[1],
        "components": parts,
        "qos": 1,
    }
    return json.dumps(told, ensure_ascii=False).encode()


def state(row: Mapping[str, Any], availability: int | None, has_update: bool, now_ms: int, window_ms: int) -> bytes:
    """What holds now of a bound device.

    Args:
        row: of `devices` in a snapshot. availability: in the last settled epoch, 0..255, or None.
        has_update: whether a job has a model or an agent for it that it does not run yet.
    """
    last_ms = row["last_heartbeat_ms"]
    is_here = last_ms is not None and now_ms - last_ms <= SILENT_WINDOWS * window_ms
    said = {
        "last_heartbeat": None if last_ms is None else datetime.fromtimestamp(last_ms / 1000, UTC).isoformat(),
        "heartbeats": row["heartbeats"],
        "inferences": row["inferences"],
        "offline_budget": row["offline"]["budget_hours"],
        "availability": None if availability is None else round(100 * availability / FULL, 1),
        "earned": round(int(row["earned_wei"]) / WEI, 6),
        "connected": "ON" if is_here else "OFF",
        "budget_low": "ON" if row["offline"]["low"] else "OFF",
        "update": "ON" if has_update else "OFF",
    }
    return json.dumps(said).encode()


def messages(snapshot: Mapping[str, Any], updating: Collection[str], now_ms: int, version: str) -> dict[str, bytes]:
    """All that is to be told now, retained: payload by topic.

    Args:
        snapshot: status.Status.snapshot(). updating: ids of devices that have an update on its way.
    """
    settled = next((row for row in reversed(snapshot["epochs"]) if row["state"] == "settled"), None)
    availability = settled["availability"] if settled else {}
    found: dict[str, bytes] = {}
    for row in snapshot["devices"]:
        if row["deed"] is not None:
            config, now = topics(row["id"])
            found[config] = discovery(row, version)
            has_update = row["id"] in updating
            found[now] = state(row, availability.get(row["id"]), has_update, now_ms, snapshot["window_ms"])
    return found


def _part(platform: str, device: str, key: str, says: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "platform": platform,
        "unique_id": f"{device}_{key}",
        "value_template": f"{{{{ value_json.{key} }}}}",
        "expire_after": EXPIRE_S,
        **says,
    }

"""The first page: what the site earns, who answers, what wants attention; pure."""

from collections.abc import Mapping
from typing import Any

from gateway.web.views import plot
from gateway.web.views.common import ANSWERING, earned, rows

WINDOWS_SHOWN = 60
EPOCHS_SHOWN = 6
USUAL = ("replay",)  # a device repeats a heartbeat until it is acknowledged
REFUSED_SHARE = 50  # one refused message in so many heartbeats is worth a look


def view(snapshot: Mapping[str, Any], asked: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    """The context of overview.html."""
    epochs, devices = list(snapshot.get("epochs", ())), rows(snapshot, now_ms)
    settled = [epoch for epoch in epochs if epoch.get("state") == "settled"]
    return {
        "devices": devices,
        "answering": sum(device["state"] == ANSWERING for device in devices),
        "bound": sum(device.get("deed") is not None for device in devices),
        "heartbeats": sum(int(device.get("heartbeats", 0)) for device in devices),
        "earned_wei": earned(snapshot),
        "current": next((epoch for epoch in reversed(epochs) if epoch.get("state") == "open"), None),
        "windows": _windows(snapshot, devices),
        "settled": settled[::-1][:EPOCHS_SHOWN],
        "attention": _attention(snapshot, devices),
        "notes": list(snapshot.get("notes", ()))[::-1],
    }


def _windows(snapshot: Mapping[str, Any], devices: list[dict[str, Any]]) -> dict[str, Any]:
    """How many devices answered each of the last windows, as columns."""
    told = list(snapshot.get("windows", ()))[-WINDOWS_SHOWN:]
    most = max([sum(device.get("deed") is not None for device in devices), *(row["answered"] for row in told)])
    values = [0] * (WINDOWS_SHOWN - len(told)) + [row["answered"] for row in told]
    return {
        "columns": plot.columns(values, most),
        "count": len(told),
        "most": most,
        "answered": sum(row["answered"] for row in told),
        "missed": sum(row["answered"] < most for row in told),
    }


def _attention(snapshot: Mapping[str, Any], devices: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What a person should look at: {"text", "href"}, the gravest first."""
    found = []
    for name, words in (("silent", "does not answer"), ("not bound", "is not bound and earns nothing")):
        those = [device for device in devices if device["state"] == name]
        for device in those[:3]:
            found.append({"device": device["id"], "text": words, "href": f"/fleet/{device['id']}"})
        if len(those) > 3:
            found.append({"text": f"{len(those) - 3} more: {name}", "href": f"/fleet?state={name.replace(' ', '+')}"})
    for device in devices:
        if why := device["offline"].get("low"):
            found.append({"device": device["id"], "text": why, "href": f"/fleet/{device['id']}"})
    found += [{"text": f"job {job['name']} is halted: {job['why']}", "href": f"/rollouts/{job['name']}"}
              for job in snapshot.get("jobs", ()) if job.get("state") == "halted"]  # fmt: skip
    rejected = {reason: count for reason, count in snapshot.get("rejected", {}).items() if reason not in USUAL}
    taken = sum(int(device.get("heartbeats", 0)) for device in devices)
    if sum(rejected.values()) * REFUSED_SHARE > taken:
        most = sorted(rejected.items(), key=lambda row: -row[1])[:3]
        words = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in most)
        found.append({"text": f"messages were refused: {words}", "href": "/epochs#refused"})
    return found

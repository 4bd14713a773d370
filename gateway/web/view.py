"""Turns a snapshot of the site into what the page prints; holds no state and reads no clock.

Amounts are decimal strings of wei in the snapshot and R1 with four decimals on the page, rounded down, so that the page
never shows more than the chain pays. Text that comes from a device is cut here and escaped by the template.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

STRIP_WINDOWS = 24
EPOCHS_SHOWN = 12
ROUNDS_SHOWN = 8
JOBS_SHOWN = 16
RESETS_SHOWN = 8
TEXT_LIMIT = 40
ENCRYPTED = "encrypted-on-device"
KINDS = {
    1: "moments of embeddings",
    2: "moments, and sums of each class",
    3: "moments, and sums with the window",
    4: "logits of each embedding",
    5: "a vector of each device",
}


def view(snapshot: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """The template's context.

    Args:
        snapshot: what `Source.snapshot()` gives (app.py lists its fields); any field may be missing.
        now_ms: the gateway's clock, from which the page counts "2 s ago".
    """
    epochs = list(snapshot.get("epochs", ()))
    devices = [_device(device, epochs) for device in snapshot.get("devices", ())]
    owners = list(snapshot.get("owners", ()))
    current = next((epoch for epoch in reversed(epochs) if epoch.get("state") == "open"), None)
    settled = [epoch for epoch in epochs if epoch.get("state") == "settled"]
    return {
        "now_ms": now_ms,
        "window_ms": int(snapshot.get("window_ms", 5_000)),
        "site": text(snapshot.get("site", "site"), 4096),
        "chain": snapshot.get("chain", {}),
        "devices": devices,
        "answering": sum(device["recent"][-1:] == [1] for device in devices),
        "heartbeats": sum(int(device.get("heartbeats", 0)) for device in devices),
        "beating": any(device.get("last_heartbeat_ms") for device in devices),
        "bound": any(device.get("deed") is not None for device in devices),
        "current": current,
        "settled": settled,
        "epochs": epochs[::-1][:EPOCHS_SHOWN],
        "epochs_left_off": max(0, len(epochs) - EPOCHS_SHOWN),
        "owners": owners,
        "earned_wei": sum(int(owner.get("earned_wei", 0)) for owner in owners),
        "claims": list(snapshot.get("claims", ()))[::-1][:EPOCHS_SHOWN],
        "rejected": sorted(snapshot.get("rejected", {}).items(), key=lambda item: (-item[1], item[0])),
        "all_emulated": all(device.get("emulated", True) for device in devices),
        "notes": list(snapshot.get("notes", ())),
        "verify_epoch": settled[-1]["epoch"] if settled else None,
        "resets": _resets(snapshot.get("devices", ())),
        "jobs": [_job(row) for row in list(snapshot.get("jobs", ()))[:JOBS_SHOWN]],
        "rounds": [_round(row) for row in list(snapshot.get("edil", ()))[::-1][:ROUNDS_SHOWN]],
    }


def _job(row: Mapping[str, Any]) -> dict[str, Any]:
    """A job of Deeploy (gateway/deeploy/statuses.py lists its fields)."""
    is_over = row["finished"] and row["state"] == "running"
    return {**row, "shown": "finished" if is_over else row["state"]}


def _round(row: Mapping[str, Any]) -> dict[str, Any]:
    """A round of EDIL (gateway/aggregation/known.py lists its fields). Whatever is not known to be encrypted is not."""
    said = Counter(str(status) for status in row.get("said", {}).values())
    values = f"{number(row.get('values'))} values of each device"
    return {
        **row,
        "name": row.get("round", row.get("name")),
        "is_trusted": row.get("confidentiality") != ENCRYPTED,
        "asks": KINDS.get(row.get("kind", 0), values),
        "said": sorted(said.items(), key=lambda item: (item[0] != "joined", -item[1], item[0])),
        "stored": len(row.get("devices", ())),
    }


def _device(device: Mapping[str, Any], epochs: list[Mapping[str, Any]]) -> dict[str, Any]:
    values = [epoch["availability"][device["id"]] for epoch in epochs if device["id"] in epoch.get("availability", {})]
    recent = [int(bool(answered)) for answered in device.get("recent", ())][-STRIP_WINDOWS:]
    return {
        **device,
        "recent": recent,
        "answered": sum(recent),
        "availability": sum(values) // len(values) if values else None,
        "availability_epochs": len(values),
    }


def _resets(devices: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The newest journals of all devices, newest first."""
    resets = [{"id": device["id"], **journal} for device in devices for journal in device.get("journals", ())]
    return sorted(resets, key=lambda reset: -int(reset["received_ms"]))[:RESETS_SHOWN]


def r1(wei: str | int | None, decimals: int = 4) -> str:
    """Wei as R1, rounded down: "1458508188386985115" is "1.4585"."""
    if wei is None:
        return "–"
    whole, rest = divmod(int(wei), 10**18)
    return f"{whole:,}.{rest:018}"[: -(18 - decimals)]


def short(value: str | None) -> str:
    """An id or digest by its two ends: "0x7E5F…5Bdf"."""
    value = text(value, 80)
    return value if len(value) <= 14 else f"{value[:6]}…{value[-4:]}"


def text(value: object, limit: int = TEXT_LIMIT) -> str:
    """Foreign text: one line, printable characters, cut to its limit."""
    plain = "".join(char if char.isprintable() else "�" for char in str(value or ""))
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def number(value: object) -> str:
    """An integer with thin groups of three: "12 480"."""
    return f"{int(str(value or 0)):,}".replace(",", "\u202f")

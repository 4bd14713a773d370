"""Deeds, their devices and what they earned and claimed, epoch by epoch; pure. Why is on /earnings/DEED/EPOCH."""

from collections.abc import Mapping
from typing import Any

from gateway.web.views.common import earned, rows

EPOCHS_SHOWN = 12
CLAIMS_SHOWN = 12


def view(snapshot: Mapping[str, Any], asked: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    """The context of deeds.html."""
    settled = [epoch for epoch in snapshot.get("epochs", ()) if epoch.get("state") == "settled"]
    devices, owners = rows(snapshot, now_ms), list(snapshot.get("owners", ()))
    numbers = sorted(number for owner in owners for number in owner.get("deeds", ()))
    claimed = sum(int(owner.get("claimed_wei", 0)) for owner in owners)
    return {
        "earned_wei": earned(snapshot),
        "claimed_wei": claimed,
        "due_wei": earned(snapshot) - claimed,
        "owners": owners,
        "deeds": [_deed(number, owners, devices, settled) for number in numbers],
        "epochs": [epoch["epoch"] for epoch in settled[-EPOCHS_SHOWN:]],
        "claims": list(snapshot.get("claims", ()))[::-1][:CLAIMS_SHOWN],
    }


def _deed(number: int, owners: list[Any], devices: list[dict[str, Any]], settled: list[Any]) -> dict[str, Any]:
    own = [device for device in devices if device.get("deed") == number]
    return {
        "deed": number,
        "owner": next(owner["owner"] for owner in owners if number in owner.get("deeds", ())),
        "devices": own,
        "earned_wei": sum(int(device.get("earned_wei") or 0) for device in own),
        "epochs": [
            {"epoch": epoch["epoch"], "values": [epoch["availability"].get(device["id"]) for device in own]}
            for epoch in settled[-EPOCHS_SHOWN:]
        ],
    }

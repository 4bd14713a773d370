"""Epochs, the oracles that signed them, and the messages that were refused; pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

EPOCHS_SHOWN = 24


def view(snapshot: Mapping[str, Any], asked: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    """The context of epochs.html."""
    epochs = list(snapshot.get("epochs", ()))
    settled = [epoch for epoch in epochs if epoch.get("state") == "settled"]
    return {
        "epochs": [_epoch(epoch) for epoch in epochs[::-1][:EPOCHS_SHOWN]],
        "left_off": max(0, len(epochs) - EPOCHS_SHOWN),
        "current": next((epoch for epoch in reversed(epochs) if epoch.get("state") == "open"), None),
        "settled_count": len(settled),
        "verify_epoch": settled[-1]["epoch"] if settled else None,
        "oracles": _oracles(snapshot.get("oracles") or {}, settled),
        "rejected": sorted(snapshot.get("rejected", {}).items(), key=lambda item: (-item[1], item[0])),
    }


def _epoch(epoch: Mapping[str, Any]) -> dict[str, Any]:
    values = list(epoch.get("availability", {}).values())
    return {
        **epoch,
        "mean": sum(values) // len(values) if values else None,
        "least": min(values, default=None),
        "devices": len(values),
    }


def _oracles(told: Mapping[str, Any], settled: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Each oracle and how many of the settled epochs it signed. One that is late is not missing: a quorum suffices."""
    signed = Counter(signer for epoch in settled for signer in epoch.get("signers", ()))
    addresses = list(told.get("addresses", ())) or sorted(signed)
    last = set(settled[-1].get("signers", ())) if settled else set()
    return {
        "threshold": told.get("threshold"),
        "rows": [
            {"address": address, "signed": signed[address], "is_last": address in last, "of": len(settled)}
            for address in addresses
        ],
    }

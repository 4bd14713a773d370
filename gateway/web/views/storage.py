"""What R1FS and CSTORE keep; pure. It shows names and sizes, never a value: those belong to their readers."""

from collections.abc import Mapping
from typing import Any

SHOWN = 24


def view(snapshot: Mapping[str, Any], detail: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """The context of storage.html; `detail` as status_detail.py lists it."""
    stores = snapshot.get("stores", {})
    pins = list(detail.get("pins", ()))
    return {
        "backup": stores.get("backup"),
        "evidence": list(stores.get("evidence", ()))[::-1][:SHOWN],
        "evidence_count": len(stores.get("evidence", ())),
        "pins": sorted(pins, key=lambda pin: -int(pin["bytes"]))[:SHOWN],
        "pin_count": len(pins),
        "pin_bytes": sum(int(pin["bytes"]) for pin in pins),
        "buckets": list(detail.get("buckets", ())),
        "key_count": sum(int(bucket["keys"]) for bucket in detail.get("buckets", ())),
        "failure": detail.get("failure"),
        "cstore_owner": detail.get("owner"),
    }

"""What this gateway was told, and by whom; pure. Nothing is changed here: each row says where it is changed.

A secret's value is never in the detail that comes here, so it cannot be shown.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any


def view(snapshot: Mapping[str, Any], detail: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """The context of settings.html; `detail` as status_detail.py lists it."""
    rows = [
        {
            **row,
            "key": str(row["name"]).partition(".")[2],
            "value": _words(row.get("value")),
            "is_default": row.get("origin") == "default",
        }
        for row in detail.get("settings", ())
    ]
    sections = groupby(rows, lambda row: str(row["name"]).partition(".")[0])
    return {
        "sections": [(name, list(of)) for name, of in sections],
        "about": list(detail.get("about", {}).items()),
        "notes": list(snapshot.get("notes", ()))[::-1],
    }


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

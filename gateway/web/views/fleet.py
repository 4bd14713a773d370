"""The table of devices: filters and order come from the address, pure; it knows no device that the snapshot has not."""

from collections.abc import Callable, Container, Mapping
from typing import Any
from urllib.parse import urlencode

from gateway.web.view import text
from gateway.web.views.common import STATES, rows

PAGE_ROWS = 50
ORDERS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
    "name": ("name", lambda row: (not row.get("name"), str(row.get("name", "")).lower(), row["id"].lower())),
    "seen": ("last heard, latest first", lambda row: -(row["last_ms"] or 0)),
    "budget": ("offline budget, least first", lambda row: _or(row["offline"].get("budget_hours"), 99)),
    "verdict": ("verdict, lowest first", lambda row: _or(row["verdict"], 256)),
    "earned": ("earned, most first", lambda row: -int(row.get("earned_wei") or 0)),
}
FILTERS = ("q", "state", "board", "sort", "page")


def view(snapshot: Mapping[str, Any], asked: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    """The context of fleet.html; `asked` holds FILTERS, each may be missing or nonsense."""
    devices = rows(snapshot, now_ms)
    boards = sorted({text(device.get("board", "")) for device in devices} - {""})
    chosen = {
        "q": text(asked.get("q", ""), 60).strip(),
        "state": _one_of(asked.get("state"), STATES),
        "board": _one_of(asked.get("board"), boards),
        "sort": _one_of(asked.get("sort"), ORDERS) or "name",
    }
    found = sorted((device for device in devices if _fits(device, chosen)), key=ORDERS[chosen["sort"]][1])
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(pages, int(asked["page"])) if _is_page(asked.get("page", "")) else 1
    return {
        "devices": found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS],
        "found": len(found),
        "total": len(devices),
        "boards": boards,
        "states": [(state, sum(device["state"] == state for device in devices)) for state in STATES],
        "orders": [(key, words) for key, (words, _) in ORDERS.items()],
        "chosen": chosen,
        "page": page,
        "pages": pages,
        "links": {number: _link(chosen, number) for number in (page - 1, page + 1) if 1 <= number <= pages},
        "bound": any(device.get("deed") is not None for device in devices),
    }


def _fits(device: Mapping[str, Any], chosen: Mapping[str, str]) -> bool:
    words = " ".join(str(device.get(key) or "") for key in ("name", "id", "ren", "board", "core", "firmware", "source"))
    return (
        all(part in words.lower() for part in chosen["q"].lower().split())
        and chosen["state"] in ("", device["state"])
        and chosen["board"] in ("", text(device.get("board", "")))
    )


def _link(chosen: Mapping[str, str], page: int) -> str:
    return "/fleet?" + urlencode({key: value for key, value in {**chosen, "page": str(page)}.items() if value})


def _one_of(value: str | None, known: Container[str]) -> str:
    return value if value is not None and value in known else ""


def _is_page(value: str) -> bool:
    return value.isascii() and value.isdigit() and 0 < len(value) < 6 and int(value) > 0


def _or(value: int | None, other: int) -> int:
    return other if value is None else value

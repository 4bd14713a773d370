"""One device: what it answered, what it did since it is known, what it told of itself; pure.

What the gateway does not get is not shown: samples and embeddings stay on the device, unless a job asks for outputs.
"""

from collections.abc import Mapping
from typing import Any

from gateway.web.views import plot
from gateway.web.views.common import rows, window_ms

EVENTS_SHOWN = 40
COLUMNS = 36
ANSWERS_SHOWN = 60
OUTPUTS_SHOWN = 48
CHANNELS = (("temperature", "°C", 256), ("x", "counts", 1), ("y", "counts", 1), ("z", "counts", 1))


def view(snapshot: Mapping[str, Any], detail: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """The context of device.html.

    Args:
        detail: as status_detail.py lists it for a device.
    """
    row = next(row for row in rows(snapshot, now_ms) if row["id"] == detail["id"])
    settled = [epoch for epoch in snapshot.get("epochs", ()) if row["id"] in epoch.get("availability", {})]
    return {
        "device": row,
        "verdicts": settled[::-1][:12],
        "verdict_columns": _verdicts([epoch["availability"][row["id"]] for epoch in settled[-COLUMNS:]]),
        "events": _events(row, snapshot, detail),
        "answers": _answers(detail, window_ms(snapshot)),
        "outputs": _outputs(detail),
        "signals": _signals(detail) if row.get("emulated", True) else None,
        "spans": detail.get("spans", ()),
    }


def _verdicts(values: list[int]) -> dict[str, Any]:
    return {"columns": plot.columns([0] * (COLUMNS - len(values)) + values, 255), "count": len(values)}


def _events(row: Mapping[str, Any], snapshot: Mapping[str, Any], detail: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Boots and updates of a device, newest first: {"kind", "at_ms" or None, "title", "lines"}."""
    by_boot = {journal["boot"]: journal for journal in row.get("journals", ())}  # the last of a boot has all its lines
    found = [
        {
            "kind": "boot",
            "at_ms": journal["received_ms"],
            "title": f"Boot {journal['boot']}: {journal['reason']}",
            "lines": list(journal["lines"]),
        }
        for journal in by_boot.values()
    ]
    found += [
        {
            "kind": "update",
            "at_ms": update["at_ms"],
            "title": f"{update['kind']} {update['sequence']}: {update['state']}",
            "lines": [update["reason"]] if update.get("reason") else [],
        }
        for update in detail.get("updates", ())
    ]
    return sorted(found, key=lambda event: -int(event["at_ms"] or 0))[:EVENTS_SHOWN]


def _answers(detail: Mapping[str, Any], window: int) -> dict[str, Any]:
    """How long after a window opened each heartbeat was stored; a line, and its middle in ms."""
    told = [point["after_ms"] for point in detail.get("history", ())][-ANSWERS_SHOWN:]
    known = sorted(value for value in told if value is not None)
    most = min(window, max(100, 2 * known[-1 - len(known) // 20])) if known else window
    lines = plot.line([None] * (ANSWERS_SHOWN - len(told)) + told, 0, most) if len(known) > 1 else []
    return {
        "lines": lines,
        "most_ms": most,
        "count": len(known),
        "median_ms": known[len(known) // 2] if known else None,
    }


def _outputs(detail: Mapping[str, Any]) -> dict[str, Any] | None:
    """The embeddings that a job asked the device to tell, newest right."""
    told = list(detail.get("outputs", ()))
    if not told:
        return None
    length = len(told[-1]["values"])
    vectors = [row["values"] for row in told if len(row["values"]) == length][-OUTPUTS_SHOWN:]
    paths = plot.cells(vectors, OUTPUTS_SHOWN)
    return {"paths": paths, "count": len(vectors), "length": length, "last": told[-1]}


def _signals(detail: Mapping[str, Any]) -> dict[str, Any] | None:
    """What emulated sensors are told, a line each channel."""
    told = detail.get("signals") or {}
    samples = list(told.get("samples", ()))
    if len(samples) < 2:
        return None
    found = []
    for index, (name, unit, steps) in enumerate(CHANNELS):
        values = [sample[index] / steps for sample in samples]
        least, most = min(values), max(values)
        slack = max((most - least) * 0.1, 0.5)
        lines = plot.line(values, least - slack, most + slack)
        found.append({"name": name, "unit": unit, "lines": lines, "least": least, "most": most, "now": values[-1]})
    seconds = len(samples) * int(told.get("sample_ms", 0)) // 1000
    return {"description": told.get("description", ""), "channels": found, "seconds": seconds}

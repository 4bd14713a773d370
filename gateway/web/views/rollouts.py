"""Jobs of Deeploy and how far each device is with them; pure (gateway/deeploy/statuses.py lists a job's fields)."""

from collections.abc import Mapping
from typing import Any

from gateway.deeploy.reconcile import BAD, DONE


def view(snapshot: Mapping[str, Any], asked: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    """The context of rollouts.html."""
    return {"jobs": [_job(row) for row in snapshot.get("jobs", ())]}


def one(snapshot: Mapping[str, Any], detail: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """The context of rollout.html: a job with its devices."""
    return {"job": _job(detail)}


def _job(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = row.get("counts", {})
    total = sum(counts.values())
    parts = [
        {"phase": phase, "count": count, "kind": "good" if phase == DONE else "bad" if phase in BAD else "open"}
        for phase, count in sorted(counts.items(), key=lambda item: (item[0] != DONE, item[0] not in BAD, item[0]))
    ]
    shown = row["state"]
    if shown == "running":
        shown = row["workload"]["state"] if row["workload"] else "finished" if row["finished"] else shown
    return {**row, "shown": shown, "parts": parts, "total": total}

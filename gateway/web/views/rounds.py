"""Rounds of EDIL: what is encrypted to whom, who answered, who can read; pure.

Whatever is not known to be encrypted on the device counts as read by the gateway, and is shown so.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from gateway.web.view import number

ROUNDS_SHOWN = 16
ENCRYPTED = "encrypted-on-device"
INFERENCE = 4
KINDS = {
    1: "moments of embeddings",
    2: "moments, and sums of each class",
    3: "moments, and sums with the window",
    INFERENCE: "logits of each embedding",
    5: "a vector of each device",
}
STATES = ("closed", "ended")


def view(snapshot: Mapping[str, Any], asked: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    """The context of rounds.html (gateway/aggregation/known.py lists a round's fields)."""
    rounds = [_round(row) for row in list(snapshot.get("edil", ()))[::-1][:ROUNDS_SHOWN]]
    sealed = [row for row in rounds if not row["is_trusted"] and not row["is_inference"]]
    return {
        "rounds": rounds,
        "any_trusted": any(row["is_trusted"] for row in rounds),
        "last": sealed[0] if sealed else None,
    }


def _round(row: Mapping[str, Any]) -> dict[str, Any]:
    said = Counter(str(status) for status in row.get("said", {}).values())
    values = f"{number(row.get('values'))} values of each device"
    return {
        **row,
        "name": row.get("round", row.get("name")),
        "is_trusted": row.get("confidentiality") != ENCRYPTED,
        "is_inference": row.get("kind") == INFERENCE,
        "is_done": row.get("state") in STATES,
        "asks": KINDS.get(row.get("kind", 0), values),
        "said": sorted(said.items(), key=lambda item: (item[0] != "joined", -item[1], item[0])),
        "stored": len(row.get("devices", ())),
        "given": len(row.get("shares", ())),
    }

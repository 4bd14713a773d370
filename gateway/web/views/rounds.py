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
WHY = {
    "enrolled": "enrolled",
    "joined": "joined: it runs its windows, or they are on their way",
    "malformed": "what came could not be read",
    "unbound": "not bound to a deed",
    "signature": "the signature is not that of who must sign",
    "holders": "its deed's owner has not enrolled it for these share-holders: tinyren edil enrol",
    "number": "it has a newer enrolment",
    "round": "it has taken part in this round, or a later one",
    "model": "it runs another encoder than the round asks for",
    "bounds": "the round asks for more than it can encrypt",
    "store": "it could not store the round's number, so it encrypts nothing",
    "late": "it came after the deadline",
    "closed": "the set was closed before it came",
    "twice": "it came twice, and counts once",
    "residue": "what came is no ciphertext",
    "digest": "it was damaged on its way",
    "stranger": "not a device of this gateway",
    "space": "the gateway has no room for it",
}


def view(snapshot: Mapping[str, Any], asked: Mapping[str, str], now_ms: int) -> dict[str, Any]:
    """The context of rounds.html (gateway/aggregation/known.py lists a round's fields)."""
    known = {device["id"].lower(): device for device in snapshot.get("devices", ())}
    rounds = [_round(row, known) for row in list(snapshot.get("edil", ()))[::-1][:ROUNDS_SHOWN]]
    sealed = [row for row in rounds if not row["is_trusted"] and not row["is_inference"]]
    return {
        "rounds": rounds,
        "any_trusted": any(row["is_trusted"] for row in rounds),
        "last": sealed[0] if sealed else None,
    }


def _round(row: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    said = Counter(str(status) for status in row.get("said", {}).values())
    refused = row.get("refused", {})
    values = f"{number(row.get('values'))} values of each device"
    return {
        **row,
        "name": row.get("round", row.get("name")),
        "is_trusted": row.get("confidentiality") != ENCRYPTED,
        "is_inference": row.get("kind") == INFERENCE,
        "asks": KINDS.get(row.get("kind", 0), values),
        "said": sorted(said.items(), key=lambda item: (item[0] != "joined", -item[1], item[0])),
        "stored": len(row.get("devices", ())),
        "refusals": len(set(refused) - set(row.get("devices", ()))),
        "heard": [
            _heard(device, row, known) for device in sorted({*row.get("devices", ()), *row.get("said", {}), *refused})
        ],
        "given": len(row.get("shares", ())),
    }


def _heard(device: str, row: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """A device of a round: whether its ciphertext is stored, else what it said or why it was refused, in words."""
    shown = known.get(f"0x{device}", {"id": f"0x{device}"})
    status = str(row.get("refused", {}).get(device) or row.get("said", {}).get(device, ""))
    is_stored = device in row.get("devices", ())
    words = "its ciphertext is stored" if is_stored else WHY.get(status, status)
    return {
        "id": shown["id"],
        "name": shown.get("name", ""),
        "is_refused": not is_stored and device in row.get("refused", {}),
        "words": words,
    }

"""A gateway's page as a reader of sealed work uses it (readers_http.py); believes nothing: frames prove themselves."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from gateway.errors import CommandError, Exit
from gateway.poai.audit import Item
from gateway.text import one_line

TIMEOUT_S = 10
MAX_ANSWER_BYTES = 64 << 20


def fetch(url: str, reader: bytes) -> tuple[int, list[Item]]:
    """(epoch that runs, what those devices signed that sealed anything to a public key); 0 before the first epoch.

    Raises:
        CommandError: the gateway does not answer, or with something else.
    """
    found = _call(url, f"/sealed/{reader.hex()}")
    try:
        items = [(int(receipt_ms), bytes.fromhex(frame)) for receipt_ms, frame in found["items"]]
        return int(found["epoch"]), items
    except (KeyError, TypeError, ValueError, OverflowError):
        raise CommandError(
            f"{url}: wanted an epoch and its items from a gateway of this version", Exit.FAILED
        ) from None


def publish(url: str, opening: bytes) -> None:
    """Have an opening put into the evidence. CommandError: the gateway does not answer, or refuses it."""
    _call(url, "/openings", {"opening": opening.hex()})


def _call(url: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url.rstrip("/") + path, data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read(MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        raise CommandError(f"{url}: {_told(error)}", Exit.REFUSED) from None
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise CommandError(f"{url}: {one_line(error)}; wanted the page of a gateway that runs", Exit.FAILED) from error


def _told(error: urllib.error.HTTPError) -> str:
    try:
        return one_line(json.loads(error.read(MAX_ANSWER_BYTES))["message"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError):
        return f"answered {error.code}"

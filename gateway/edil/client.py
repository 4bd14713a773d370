"""A gateway's EDIL routes (edil_http.py) for share-holder and data owner; believes nothing that it is told.

What is told is data for those who check it: frames are signed, and everything else is shown to a person and no more.
"""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from device.agent import rounds
from gateway.text import one_line

TIMEOUT_S = 10
MAX_ANSWER_BYTES = 16 << 20
_KINDS = {"digest": str, "state": str, "devices": list, "said": dict, "refused": dict, "shares": list}


class GatewayAway(Exception):
    """The gateway did not answer, or not what was asked; one line."""


class GatewayRefused(Exception):
    """The gateway refused; `reason` is EDIL's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Closed(NamedTuple):
    """A closed round as it is published: manifest's frame, set's frame, the aggregate's ciphertext."""

    manifest: bytes
    closed_set: bytes
    aggregate: bytes


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A gateway does not get to send its reader elsewhere; to be redirected is an error of HTTP."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Gateway:
    """One gateway by its URL, for instance http://127.0.0.1:8420. Every method raises GatewayAway, GatewayRefused."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)

    def rounds(self) -> list[dict[str, Any]]:
        """Status of each round it keeps."""
        found = self._get("rounds", "rounds")
        if not isinstance(found, list):
            raise GatewayAway(f"{self.url}: rounds: wanted a list")
        return [self._row(row) for row in found]

    def status(self, manifest: bytes) -> dict[str, Any]:
        return self._row(self._request(f"rounds/{manifest.hex()}"))

    def manifest(self, digest: bytes) -> bytes:
        """The frame of the manifest that has this digest, as the gateway has it."""
        return self._bytes(self.status(digest), "frame")

    def closed(self, manifest: bytes) -> Closed:
        body = self._request(f"rounds/{manifest.hex()}/closed")
        return Closed(*(self._bytes(body, name) for name in ("manifest", "set", "aggregate")))

    def shares(self, manifest: bytes) -> list[bytes]:
        found = self._get(f"rounds/{manifest.hex()}/shares", "shares")
        if not isinstance(found, list) or len(found) > rounds.HOLDERS_MAX:
            raise GatewayAway(f"{self.url}: shares: wanted a list of at most {rounds.HOLDERS_MAX}")
        return [self._bytes({"share": item}, "share") for item in found]

    def answers(self, manifest: bytes) -> list[tuple[bytes, bytes]]:
        """(device's signed header, c0 | c1) of each embedding that the head was applied to."""
        found = self._get(f"rounds/{manifest.hex()}/answers", "answers")
        if not isinstance(found, list):
            raise GatewayAway(f"{self.url}: answers: wanted a list")
        return [(self._bytes(row, "update"), self._bytes(row, "ciphertext")) for row in found]

    def announce(self, manifest: bytes, weights: Mapping[bytes, int], is_part: bool) -> None:
        by_device = {device.hex(): weight for device, weight in weights.items()}
        self._request("rounds", {"manifest": manifest.hex(), "weights": by_device, "part": is_part})

    def close(self, manifest: bytes) -> None:
        self._request(f"rounds/{manifest.hex()}/close", {})

    def merge(self, manifest: bytes, parts: Sequence[tuple[bytes, Closed]]) -> None:
        """Have it join its part with those of other gateways (address, what it published)."""
        rows = [
            {"gateway": address.hex(), "set": part.closed_set.hex(), "aggregate": part.aggregate.hex()}
            for address, part in parts
        ]
        self._request(f"rounds/{manifest.hex()}/merge", {"parts": rows})

    def enrol(self, owner: bytes, frame: bytes) -> None:
        self._request("enrolments", {"owner": owner.hex(), "enrol": frame.hex()})

    def give_share(self, frame: bytes) -> None:
        self._request("shares", {"share": frame.hex()})

    def tell_head(self, frame: bytes) -> None:
        self._request("heads", {"head": frame.hex()})

    def announce_trusted(self, configuration: Mapping[str, Any]) -> str:
        """Open a gateway-trusted round; its digest R in hex, as the gateway tells it."""
        return one_line(self._request("trusted", configuration))

    def trusted(self, digest: bytes) -> dict[str, Any]:
        """Status of a gateway-trusted round."""
        found = self._get("trusted", "rounds")
        for row in map(self._row, found if isinstance(found, list) else ()):
            if row.get("digest") == digest.hex():
                return row
        raise GatewayRefused("unknown", f"{self.url}: unknown: no such gateway-trusted round")

    def closed_trusted(self, digest: bytes) -> tuple[bytes, bytes]:
        """(record's frame, encrypted total) of a closed gateway-trusted round."""
        body = self._request(f"trusted/{digest.hex()}/closed")
        return self._bytes(body, "set"), self._bytes(body, "total")

    def label(self, device: bytes, class_: int | None) -> None:
        self._request("labels", {"device": device.hex(), "class": class_})

    def _row(self, row: Any) -> dict[str, Any]:
        """A round's status, whose fields that are there are of their kinds."""
        if not isinstance(row, dict) or any(
            type(row[name]) is not kind for name, kind in _KINDS.items() if name in row
        ):
            raise GatewayAway(f"{self.url}: round: wanted an object with {', '.join(_KINDS)}")
        return row

    def _get(self, path: str, name: str) -> Any:
        body = self._request(path)
        return body.get(name) if isinstance(body, dict) else None

    def _bytes(self, body: Any, name: str) -> bytes:
        value = body.get(name) if isinstance(body, dict) else None
        try:
            return bytes.fromhex(value if isinstance(value, str) else "-")
        except ValueError:
            raise GatewayAway(f"{self.url}: {name}: wanted hex") from None

    def _request(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/edil/{path}", data, {"Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return json.loads(answer.read(MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise GatewayAway(f"{self.url}: {one_line(error)}") from error

    def _refused(self, error: urllib.error.HTTPError) -> Exception:
        try:
            told = json.loads(error.read(1 << 16))
            reason, message = (one_line(told[name]) for name in ("error", "message"))
            return GatewayRefused(reason, f"{self.url}: {reason}: {message}")
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError):
            return GatewayAway(f"{self.url}: HTTP {error.code}, wanted a tinyren gateway with EDIL")

"""Posts alerts to the operator's address, each until it is taken or given up; refuses to hold anybody up for it.

An alert is one JSON object by POST. 2xx takes it; anything else is tried again after FIRST_PAUSE_S, doubled up to
LONGEST_PAUSE_S, TRIES times in all. At most MAX_WAITING wait: one more drops the oldest, and both losses are counted.
Redirects are not followed, so what is posted goes nowhere else. The address may hold a token and is never told.
"""

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0
TRIES = 10
MAX_WAITING = 256
ANSWER_S = 10.0


class Webhook:
    """A part of a site (threads.py).

    Attributes:
        counts: "sent", "failed" (tries), "lost" (alerts).
    """

    def __init__(self, url: str, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self.failure: Exception | None = None
        self.counts: Counter[str] = Counter(sent=0, failed=0, lost=0)
        self._url, self._first_pause_s = url, first_pause_s
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._news, self._stopping = threading.Condition(), False
        self._open = urllib.request.build_opener(_Stay).open

    def post(self, alert: Mapping[str, Any]) -> None:
        """Have an alert sent, JSON values; from any thread."""
        with self._news:
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.popleft()
                self.counts["lost"] += 1
            self._waiting.append(alert)
            self._news.notify_all()

    def run(self) -> None:
        """Send until `stop`; what waits then is lost."""
        try:
            while (alert := self._next()) is not None:
                self._deliver(json.dumps(alert).encode())
        except Exception as error:
            self.failure = error
            raise

    def stop(self) -> None:
        with self._news:
            self._stopping = True
            self._news.notify_all()

    def _next(self) -> Mapping[str, Any] | None:
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._stopping)
            return None if self._stopping else self._waiting.popleft()

    def _deliver(self, body: bytes) -> None:
        pause_s = self._first_pause_s
        for number in range(TRIES):
            if self._is_taken(body):
                self.counts["sent"] += 1
                return
            self.counts["failed"] += 1
            if number + 1 < TRIES and self._rest(pause_s):
                break
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self.counts["lost"] += 1

    def _is_taken(self, body: bytes) -> bool:
        try:
            request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
            with self._open(request, timeout=ANSWER_S) as answer:
                return 200 <= int(answer.status) < 300
        except (OSError, http.client.HTTPException, ValueError):  # no answer, none of HTTP, or not an address
            return False

    def _rest(self, seconds: float) -> bool:
        """Wait; whether it is to end."""
        with self._news:
            return self._news.wait_for(lambda: self._stopping, seconds)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None

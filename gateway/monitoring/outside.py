"""What a running site tells the world of itself: /metrics, alerts, Home Assistant; it decides none of it.

    status ─┬─▶ metrics ─▶ GET /metrics
            ├─▶ alerts ─▶ a line, [alerts] url
            └─▶ home_assistant ─▶ broker

`turn` is called often, by one thread; what it does, it does each LOOK_S.
"""

import shutil
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from device.agent.version import VERSION
from gateway.monitoring import alerts, home_assistant, metrics
from gateway.monitoring.alerts import Heard, Low
from gateway.monitoring.webhook import Webhook
from gateway.site.status import Status

LOOK_S = 5.0
SHARE = 20  # a look takes at most a twentieth of the thread's time: with 1,000 devices one takes a third of a second
GRACE_S = 600.0  # devices that the gateway itself kept waiting come back before they count as silent
Publish = Callable[[str, bytes, bool], object]


class Outside:
    """
    Args:
        facts: values of metrics.FACTS that others know.
        publish: (topic, payload, whether it is retained) to the broker; None: Home Assistant is told nothing.
        hook: where alerts are posted to, or None.
        notice: tells a person a line, with the name of the event and its fields.
        now_ms: the site's time. updating: ids of devices that have an update on its way.
    """

    def __init__(
        self,
        folder: Path,
        status: Status,
        facts: Callable[[], Mapping[str, float]],
        publish: Publish | None,
        hook: Webhook | None,
        budget_hours: int,
        notice: Callable[..., None],
        now_ms: Callable[[], int],
        updating: Callable[[], Collection[str]],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._status = folder, status
        self._facts, self._publish, self._hook, self._budget_hours = facts, publish, hook, budget_hours
        self._notice, self._now_ms, self._updating, self._clock_s = notice, now_ms, updating, clock_s
        self._low: dict[str, Low] = {}
        self._told: dict[str, bytes] | None = None
        self._started_s, self._start_time_s = clock_s(), time.time()
        self._due_s = self._again_s = 0.0

    def low(self) -> dict[str, str]:
        """Why devices lose work soon, by their id; from any thread."""
        return {device: low.why for device, low in self._low.items() if low.why}

    def routes(self) -> list[Route]:
        """For the page: /metrics."""
        return [Route("/metrics", self._scrape)]

    def turn(self) -> None:
        """Look at everything, if it is time."""
        now_s = self._clock_s()
        if now_s >= self._due_s:
            snapshot = self._status.snapshot()
            self._watch_budgets(snapshot, self._now_ms())
            if self._publish is not None:
                self._tell_home_assistant(self._publish, snapshot, now_s)
            self._due_s = now_s + max(LOOK_S, SHARE * (self._clock_s() - now_s))

    def _scrape(self, _: Request) -> Response:
        facts = {
            **self._facts(),
            "disk_free_bytes": shutil.disk_usage(self._folder).free,
            "offline_budget_low_devices": len(self.low()),
            "start_time_seconds": self._start_time_s,
        }
        if self._hook:
            facts |= {f"alerts_{name}_total": self._hook.counts[name] for name in ("sent", "lost")}
        text = metrics.render(metrics.of_site(self._status.snapshot(), facts, self._now_ms()))
        return PlainTextResponse(text, headers={"Content-Type": metrics.CONTENT_TYPE})

    def _watch_budgets(self, snapshot: Mapping[str, Any], now_ms: int) -> None:
        before, self._low = (
            self._low,
            alerts.judge(self._low, self._heard(snapshot, now_ms), now_ms, self._budget_hours),
        )
        for name, low in alerts.news(before, self._low):
            event, text = "offline_budget_low" if low.why else "offline_budget_ok", alerts.sentence(name, low)
            fields = {"device": name, "left_hours": low.left_hours, "dropped": low.dropped}
            self._notice(text, event=event, **fields)
            if self._hook:
                self._hook.post({"event": event, "text": text, "at_ms": now_ms, "site": str(self._folder), **fields})

    def _heard(self, snapshot: Mapping[str, Any], now_ms: int) -> dict[str, Heard]:
        """Of the devices that are bound and were ever heard."""
        is_new = self._clock_s() - self._started_s < GRACE_S
        return {
            row["id"]: Heard(
                row["offline"]["budget_hours"],
                now_ms if is_new else row["last_heartbeat_ms"],
                row["offline"]["dropped"],
            )
            for row in snapshot["devices"]
            if row["deed"] is not None and row["last_heartbeat_ms"] is not None
        }

    def _tell_home_assistant(self, publish: Publish, snapshot: Mapping[str, Any], now_s: float) -> None:
        """What changed, and all of it each AGAIN_S; devices that are no longer bound are taken back."""
        wanted = home_assistant.messages(snapshot, self._updating(), self._now_ms(), VERSION)
        is_again = now_s >= self._again_s
        if is_again:
            self._again_s = now_s + home_assistant.AGAIN_S
        told = _topics(snapshot) if self._told is None else self._told
        for topic in told.keys() - wanted.keys():
            publish(topic, b"", True)
        for topic, payload in wanted.items():
            if is_again or told.get(topic) != payload:
                publish(topic, payload, True)
        self._told = wanted


def _topics(snapshot: Mapping[str, Any]) -> dict[str, bytes]:
    """Those that an earlier start may have left at the broker, of devices that are no longer bound, too."""
    return {topic: b"" for row in snapshot["devices"] for topic in home_assistant.topics(row["id"])}

"""The pages of a site, a route each: what one shows is decided by its view, which is pure; decides nothing itself.

An address that names nothing is 404 and says so. Query parameters are the page's filters, so that an address can be
kept, sent and reloaded; what is unknown or out of range in them counts as not given.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.web import render
from gateway.web.feed import Feed
from gateway.web.views import device, earnings, epochs, fleet, overview, rollouts, rounds, settings, storage
from gateway.web.views.common import common

View = Callable[[Mapping[str, Any], Mapping[str, str], int], dict[str, Any]]
Detailed = Callable[[Mapping[str, Any], Mapping[str, Any], int], dict[str, Any]]
ADDRESS = re.compile("0x[0-9a-fA-F]{40}")
NAME = re.compile("[A-Za-z0-9._-]{1,64}")
PLAIN: Mapping[str, tuple[str, View]] = {
    "/": ("overview.html", overview.view),
    "/fleet": ("fleet.html", fleet.view),
    "/earnings": ("deeds.html", earnings.view),
    "/epochs": ("epochs.html", epochs.view),
    "/rollouts": ("rollouts.html", rollouts.view),
    "/rounds": ("rounds.html", rounds.view),
}
DETAILED: Mapping[str, tuple[str, str, Detailed]] = {
    "/fleet/{device}": ("device", "device.html", device.view),
    "/rollouts/{job}": ("job", "rollout.html", rollouts.one),
    "/storage": ("storage", "storage.html", storage.view),
    "/settings": ("settings", "settings.html", settings.view),
}


class Details(Protocol):
    """The part of app.Source that the pages ask beyond the feed's snapshot."""

    def detail(self, what: str, name: str = "") -> Mapping[str, Any] | None: ...


def routes(source: Details, feed: Feed) -> list[Route]:
    """The routes of all pages over a source and its feed."""
    environment = render.templates()

    def plain(path: str, template: str, view: View) -> Route:
        def build(request: Request) -> Response:
            number, snapshot, now_ms = feed.number, feed.snapshot(), _now_ms()
            shown = common(snapshot, now_ms) | view(snapshot, request.query_params, now_ms)
            return render.page(request, environment, template, number=number, **shown)

        return _route(path, build)

    def detailed(path: str, what: str, template: str, view: Detailed) -> Route:
        def build(request: Request) -> Response:
            number, snapshot, now_ms = feed.number, feed.snapshot(), _now_ms()
            name = next(iter(request.path_params.values()), "")
            is_name = not name or (ADDRESS if what == "device" else NAME).fullmatch(name)
            found = source.detail(what, name) if is_name else None
            shown = common(snapshot, now_ms)
            if found is None:
                return render.page(request, environment, "missing.html", 404, number=number, what=what, **shown)
            shown |= view(snapshot, found, now_ms)
            return render.page(request, environment, template, number=number, **shown)

        return _route(path, build)

    found = [plain(path, *rest) for path, rest in PLAIN.items()]
    return found + [detailed(path, *rest) for path, rest in DETAILED.items()]


def _route(path: str, build: Callable[[Request], Response]) -> Route:
    async def endpoint(request: Request) -> Response:
        return await to_thread.run_sync(build, request)

    return Route(path, endpoint, methods=["GET"])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

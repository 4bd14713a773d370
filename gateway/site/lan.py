"""What a running site shows the local network: TLS on its broker, and where it is by mDNS; imports neither unused.

A certificate that cannot be renewed and a network that cannot be told are notices; at the start, settings of TLS that
cannot serve are an error, for devices would stay away without anybody knowing why.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.configuration.settings import split_listen
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.lan.tls import Wanted, Watch
    from gateway.site.announcing import Announcing
    from gateway.web.serve import Server

LOOPBACKS = ("127.", "::1")
LISTENS = {"mqtt": "broker.listen", "mqtts": "tls.listen", "page_tls": "page.tls_listen"}  # by mdns.Gateway's names


class Lan:
    """
    Args:
        folder: SITE. settings: every setting's value, by its name. reload: has the broker read its certificate again.

    Attributes:
        tls: (address, port, file of certificates and key) where the site's own broker listens by TLS; None: nowhere.
        page_tls: (address, port, context) where the page does; None: nowhere.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], reload: Callable[[], None]) -> None:
        self._folder, self._settings = folder, settings
        self.tls: tuple[str, int, Path] | None = None
        self.page_tls: tuple[str, int, ssl.SSLContext] | None = None
        self._page: Server | None = None
        self._reload_broker = reload
        self._said: list[str] = []
        self._watch: Watch | None = None
        self._announcing: Announcing | None = None
        if settings["tls.listen"] or settings["page.tls_listen"]:
            self._start_tls()

    def _start_tls(self) -> None:
        from gateway.lan import tls

        broker, page = (self._settings[name] for name in ("tls.listen", "page.tls_listen"))
        if broker and self._settings["broker.url"]:
            what = "that broker has certificates of its own; leave tls.listen out"
            raise CommandError(f"tls.listen: got one with broker.url; {what}", Exit.USAGE)
        served = tls.prepare(self._folder, self._wanted(), datetime.now(UTC))
        self.tls = (*split_listen(broker), served.pem) if broker else None
        self.page_tls = (*split_listen(page), tls.server_context(served.pem)) if page else None
        self._pem = served.pem
        self._watch = tls.Watch(self._folder, self._wanted, served, self._reload)
        self._said += served.notes

    def announce(self, gateway: str, page: "Server", ends: ExitStack) -> None:
        """Tell the network of what others can reach, until `ends`; nothing where that is nothing.

        Args:
            gateway: its address, 0x and 40 hex digits.
        """
        self._page = page
        listens = self._listens(page.port)
        if not listens or not self._settings["mdns.announce"]:
            return
        from gateway.site.announcing import Announcing

        self._announcing = Announcing(self._folder, self._settings, gateway, listens)
        ends.callback(self._announcing.stop)
        self._said += self._announcing.turn(time.monotonic())

    def turn(self, now_s: float | None = None) -> list[str]:
        """Go on; what is new in words. now_s: by a monotonic clock, for tests."""
        now_s = time.monotonic() if now_s is None else now_s
        said, self._said = self._said, []
        if self._watch is not None:
            said += self._watch.turn(now_s, datetime.now(UTC))
        if self._announcing is not None:
            said += self._announcing.turn(now_s)
        return said

    def _reload(self) -> None:
        self._reload_broker()
        if self._page and self.page_tls:
            context = self.page_tls[2]
            self._page.call(lambda: context.load_cert_chain(self._pem))

    def _listens(self, page_port: int) -> dict[str, tuple[str, int]]:
        """(address, port) of what others than this computer reach, by mdns.Gateway's names of the ports."""
        settings = self._settings
        found = {name: split_listen(settings[listen]) for name, listen in LISTENS.items() if settings[listen]}
        if not (page := settings["page.listen"]).startswith(LOOPBACKS):
            found["page"] = (page, page_port)
        return found

    def _wanted(self) -> "Wanted":
        from gateway.lan import tls

        return tls.wanted_by(self._settings)

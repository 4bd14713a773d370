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
    from gateway.lan.mdns import Announcement, Gateway
    from gateway.lan.tls import Wanted, Watch
    from gateway.web.serve import Server

LOOPBACKS = ("127.", "::1")
ANY = ("0.0.0.0", "::")


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
        self._announced: Announcement | None = None
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
        places = self._places(page.port)
        if not places or not self._settings["mdns.announce"]:
            return
        from gateway.lan import mdns

        addresses = {address for address, _ in places.values()}
        address = addresses.pop() if len(addresses) == 1 else ANY[0]
        ports = {name: port for name, (_, port) in places.items()}
        try:
            self._announced = mdns.announce(self._described(gateway, address, ports), address)
        except OSError as error:
            self._said.append(f"the local network is not told where this gateway is: {error}")
            return
        ends.callback(self._announced.stop)

    def turn(self) -> list[str]:
        """Go on; what is new in words."""
        said, self._said = self._said, []
        if self._watch is not None:
            said += self._watch.turn(time.monotonic(), datetime.now(UTC))
        if self._announced is not None and (failure := self._announced.failure()):
            said.append(f"the local network is not told of all services: {failure}")
        return said

    def _reload(self) -> None:
        self._reload_broker()
        if self._page and self.page_tls:
            context = self.page_tls[2]
            self._page.call(lambda: context.load_cert_chain(self._pem))

    def _places(self, page_port: int) -> dict[str, tuple[str, int]]:
        """(address, port) of what others than this computer reach, by mdns.Gateway's names of the ports."""
        listens = {
            "mqtt": self._settings["broker.listen"],
            "mqtts": self._settings["tls.listen"],
            "page_tls": self._settings["page.tls_listen"],
        }
        places = {name: split_listen(text) for name, text in listens.items() if text}
        if not (page := self._settings["page.listen"]).startswith(LOOPBACKS):
            places["page"] = (page, page_port)
        return places

    def _described(self, gateway: str, address: str, ports: Mapping[str, int]) -> "Gateway":
        from gateway.lan import tls
        from gateway.lan.certificates import is_address
        from gateway.lan.mdns import Gateway

        names = tls.this_computer()
        own = [name for name in names if is_address(name) and not name.startswith(LOOPBACKS)]
        host = next((name for name in names if name.endswith(".local")), "gateway.local")
        site = self._folder.absolute().name
        is_own = self._watch and not self._settings["tls.cert_file"]
        return Gateway(
            name=f"{host.removesuffix('.local')} {site}",
            host=host,
            addresses=tuple(own) if address in ANY else (address,),
            site=site,
            gateway=gateway,
            page=ports.get("page", 0),
            page_tls=ports.get("page_tls", 0),
            mqtt=ports.get("mqtt", 0),
            mqtts=ports.get("mqtts", 0),
            ca=tls.describe(self._folder).get("ca_sha256", "") if is_own else "",
        )

    def _wanted(self) -> "Wanted":
        from gateway.lan import tls

        return tls.wanted_by(self._settings)

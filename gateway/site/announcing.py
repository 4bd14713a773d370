"""Where a running site's network finds it: told anew when this computer's addresses change; decides no setting.

A network that cannot be told is a notice, and is tried again with each look.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.errors import CommandError
from gateway.lan import mdns, tls
from gateway.lan.addresses import own_addresses

LOOPBACKS = ("127.", "::1")
LOOK_S = 60.0


class Announcing:
    """
    Args:
        folder: SITE. settings: every setting's value, by its name. gateway: its address, 0x and 40 hex digits.
        listens: (address, port) of what
        others than this computer reach, by mdns.Gateway's names of the ports.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], gateway: str, listens: Mapping[str, tuple[str, int]]
    ) -> None:
        self._folder, self._settings, self._gateway = folder, settings, gateway
        self._ports = {name: port for name, (_, port) in listens.items()}
        self._where = {address for address, _ in listens.values()}
        self._announced: mdns.Announcement | None = None
        self._told: mdns.Gateway | None = None
        self._next_s, self._failure = 0.0, ""

    def turn(self, now_s: float) -> list[str]:
        """Look once a minute whether what was told still holds; what is new in words. now_s: by a monotonic clock."""
        said = []
        if now_s >= self._next_s:
            self._next_s = now_s + LOOK_S
            said += self._look()
        if self._announced is not None and (failure := self._announced.failure()):
            said.append(f"the local network is not told of all services: {failure}")
        return said

    def stop(self) -> None:
        """Say goodbye."""
        if self._announced is not None:
            self._announced.stop()
        self._announced = self._told = None

    def _look(self) -> list[str]:
        described = self._describe()
        if described == self._told:
            return []
        moved = self._told is not None and self._told.addresses != described.addresses
        self.stop()
        (network, *others) = self._where
        try:
            self._announced = mdns.announce(described, mdns.ANY[0] if others else network)
        except OSError as error:
            failure = f"the local network is not told where this gateway is: {error}"
            is_new, self._failure = failure != self._failure, failure
            return [failure] if is_new else []
        self._told, self._failure = described, ""
        return [f"the local network is told of new addresses: {', '.join(described.addresses)}"] if moved else []

    def _describe(self) -> mdns.Gateway:
        host = next((name for name in tls.this_computer() if name.endswith(".local")), "gateway.local")
        site = self._folder.absolute().name
        return mdns.Gateway(
            name=f"{host.removesuffix('.local')} {site}",
            host=host,
            addresses=reached(self._where),
            site=site,
            gateway=self._gateway,
            **self._ports,
            ca=self._authority(),
        )

    def _authority(self) -> str:
        """SHA-256 of what devices have to trust; "" where that is not the site's own, or it is damaged."""
        if not {"mqtts", "page_tls"} & set(self._ports) or self._settings["tls.cert_file"]:
            return ""
        try:
            return str(tls.describe(self._folder).get("ca_sha256", ""))
        except CommandError:  # gateway/lan/tls.py tells it where it serves
            return ""


def reached(where: set[str]) -> tuple[str, ...]:
    """The addresses at which others reach what listens at `where`: 0.0.0.0 takes all of IPv4, :: all of IPv6."""
    own = [address for address in own_addresses() if not address.startswith(LOOPBACKS)]
    every = [address for address in own if mdns.ANY[":" in address] in where]
    return (*every, *sorted(where.difference(mdns.ANY, every)))

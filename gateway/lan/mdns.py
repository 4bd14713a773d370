"""Tells the local network where a gateway is, and finds those that tell; says where one is, never whom to trust.

    _tinyren._tcp       each gateway: whose it is, and the ports of its page and broker
    _mqtt._tcp          its broker in the clear, for programs that look for any broker
    _secure-mqtt._tcp   the same by TLS

Anybody on the network can tell anything: what is heard is cut, and shown with the fingerprint that a certificate
authority must have. Source: RFC 6762, RFC 6763, the service names' registry.
"""

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from zeroconf import BadTypeInNameException, IPVersion, ServiceBrowser, ServiceInfo, Zeroconf
from zeroconf import Error as ZeroconfError

from gateway.lan.addresses import has_ipv6
from gateway.text import one_line

KIND, MQTT, MQTTS = "_tinyren._tcp.local.", "_mqtt._tcp.local.", "_secure-mqtt._tcp.local."
LABEL_MAX_BYTES = 63
HEARD_MAX_CHARACTERS = 80
HEARD_MAX = 256
PORTS = ("page", "page_tls", "mqtt", "mqtts")  # of Gateway, and the names of its TXT record
ANSWER_MS = 1_500
ANY = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Gateway:
    """What a gateway tells. Ports are 0 where it does not listen beyond its own computer.

    Attributes:
        site: the name of its folder. gateway: its address, 0x and 40 hex digits.
        ca: SHA-256 of the authority that devices trust, "" without one.
    """

    name: str
    host: str
    addresses: tuple[str, ...]
    site: str
    gateway: str
    page: int = 0
    page_tls: int = 0
    mqtt: int = 0
    mqtts: int = 0
    ca: str = ""


@dataclass
class Announcement:
    """A gateway's services on the network, until `stop`."""

    _zeroconf: Zeroconf
    _waiting: list["Future[Any]"] = field(default_factory=list)

    def failure(self) -> str:
        """Why a service could not be told, once; "" while all is well."""
        for future in [item for item in self._waiting if item.done()]:
            self._waiting.remove(future)
            if error := future.exception():
                return f"{type(error).__name__}: {error}"
        return ""

    def stop(self) -> None:
        """Say goodbye, so that nobody looks for what is gone."""
        self._zeroconf.close()


def announce(gateway: Gateway, address: str) -> Announcement:
    """Tell of a gateway on the network of an address, of all that are there now for 0.0.0.0; returns early.

    Raises:
        OSError: this computer has no network to tell.
    """
    zeroconf = _open(address)
    told = Announcement(zeroconf)
    assert zeroconf.loop is not None
    for info in services(gateway):
        call = zeroconf.async_register_service(info, allow_name_change=True)
        told._waiting.append(asyncio.run_coroutine_threadsafe(call, zeroconf.loop))
    return told


def services(gateway: Gateway) -> Iterator[ServiceInfo]:
    """The records of a gateway; only of ports where it listens."""
    texts = {"site": gateway.site, "gateway": gateway.gateway, "ca": gateway.ca}
    ports = {name: str(port) for name in PORTS if (port := getattr(gateway, name))}
    main = gateway.page_tls or gateway.page or gateway.mqtts or gateway.mqtt
    for kind, port, properties in (
        (KIND, main, {name: text for name, text in texts.items() if text} | ports),
        (MQTT, gateway.mqtt, {}),
        (MQTTS, gateway.mqtts, {}),
    ):
        if port:
            addresses = [ipaddress.ip_address(item).packed for item in gateway.addresses]
            name = f"{_label(gateway.name)}.{kind}"
            yield ServiceInfo(kind, name, port, 0, 0, properties, f"{gateway.host}.", addresses=addresses)


def find(seconds: float, address: str = ANY[0]) -> list[Gateway]:
    """The gateways that answer within some seconds, by name.

    Raises:
        OSError: this computer has no network to ask.
    """
    zeroconf = _open(address)
    names: dict[str, None] = {}

    def heard(zeroconf: Zeroconf, service_type: str, name: str, state_change: Any) -> None:
        if len(names) < HEARD_MAX:
            names[name] = None

    with contextlib.closing(zeroconf):
        browser = ServiceBrowser(zeroconf, KIND, handlers=[heard])
        time.sleep(seconds)
        browser.cancel()
        found = [info for name in list(names) if (info := _ask(zeroconf, name))]
    return sorted((read(info) for info in found), key=lambda gateway: gateway.name)


def read(info: ServiceInfo) -> Gateway:
    """What was told, cut to what can be shown."""
    said = {_text(name): _text(value) for name, value in info.properties.items()}
    return Gateway(
        name=_text((info.name or "").removesuffix("." + KIND)),
        host=_text(info.server).rstrip("."),
        addresses=tuple(info.parsed_addresses()),
        site=said.get("site", ""),
        gateway=said.get("gateway", ""),
        **{name: _port(said.get(name, "")) for name in PORTS},
        ca=said.get("ca", ""),
    )


def _open(address: str) -> Zeroconf:
    try:
        everywhere = IPVersion.All if has_ipv6() else IPVersion.V4Only
        return Zeroconf(ip_version=everywhere) if address in ANY else Zeroconf(interfaces=[address])
    except RuntimeError as error:  # it knows no adapter of this address
        raise OSError(str(error)) from error


def _ask(zeroconf: Zeroconf, name: str) -> ServiceInfo | None:
    with contextlib.suppress(BadTypeInNameException, ZeroconfError):
        return zeroconf.get_service_info(KIND, name, ANSWER_MS)
    return None


def _label(name: str) -> str:
    """A name as one label of a service: dots would be read as its end."""
    return name.replace(".", " ").encode()[:LABEL_MAX_BYTES].decode(errors="ignore")


def _text(value: bytes | str | None) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value or ""
    return one_line(text, HEARD_MAX_CHARACTERS)


def _port(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return value if value <= 65535 else 0

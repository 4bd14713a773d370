"""The processes of a site: the broker, the oracles, the emulated boards; started here and watched, ended by `ends`.

Linux ends each with the thread that started it, so one thread calls everything here.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from boards.board import load_board
from boards.build import Firmware
from boards.signals import HostSignals, Replay
from device.agent import wire
from gateway.broker import broker_url
from gateway.broker.broker import Broker
from gateway.broker.broker_url import Account, Remote
from gateway.broker.bus import Bus
from gateway.broker.relay import Relay
from gateway.site.admissions import Admissions
from gateway.site.chain import ORACLES
from gateway.site.children import Child
from gateway.site.fleet import Fleet
from gateway.site.joining import account_of
from gateway.site.site_file import Site

SOURCE_BYTES = 48


class Processes:
    """What runs beside this process.

    Args:
        folder: SITE; site: its configuration.
        publish: (topic, payload) to the broker, not kept while it is away.

    Attributes:
        broker: where it is, in words. link: (host, port) where boards without a network are joined to it.
    """

    def __init__(self, folder: Path, site: Site, publish: Callable[[str, bytes], object], ends: ExitStack) -> None:
        self._folder, self._site, self._publish, self._ends = folder, site, publish, ends
        self.broker = ""
        self._broker: Broker | None = None
        self._is_connected = True
        self._oracles: list[Child] = []
        self._admissions = Admissions(folder, site, self._let_in)
        self.fleet: Fleet | None = None

    def start_broker(
        self,
        remote: Remote | None,
        listen: tuple[str, int] | None = None,
        devices: Callable[[], Mapping[str, str]] | None = None,
        tls: tuple[str, int, Path] | None = None,
    ) -> tuple[int | Remote, Account]:
        """The site's own broker, answering, or a way to another for boards; where it is, and the gateway's account.

        Args:
            listen: (address, port) where the own one listens besides loopback.
            devices: gives the devices' passwords by user, for the own one.
            tls: (address, port, file of certificates and key) where the own one listens by TLS.
        """
        broker_url.keep(self._folder, self._site, remote)
        if remote is not None:
            relay = Relay(remote)
            self._ends.callback(relay.stop)
            self.link, self.broker = ("127.0.0.1", relay.port), remote.url
            return remote, remote.account
        accounts = [f"oracle-{number}" for number in range(1, ORACLES + 1)] + list(map(account_of, self._site.gateways))
        self._broker = Broker(self._folder / "broker", accounts, tls=tls, listen=listen, devices=devices)
        self._ends.callback(self._broker.stop)
        self._broker.start()
        self._site.broker_port = self._broker.port
        self.link, self.broker = ("127.0.0.1", self._broker.port), f"127.0.0.1:{self._broker.port}"
        if listen:
            self.broker += f" and {listen[0]}:{listen[1]}"
        if tls:
            self.broker += f" and mqtts://{tls[0]}:{tls[1]}"
        return self._broker.port, self._broker.account()

    def reload_broker(self) -> None:
        """Have the own broker read its certificate again."""
        if self._broker is not None:
            self._broker.reload()

    def start_oracles(self) -> None:
        """The oracles; site.toml has to tell them of chain and broker by now."""
        for number in range(1, ORACLES + 1):
            service = ["-m", "gateway.oracle.service", "--site", str(self._folder), "--index", str(number)]
            log = self._folder / "logs" / f"oracle-{number}.log"
            child = Child(f"oracle {number}", [sys.executable, *service], log)
            self._ends.callback(child.stop)
            child.start()
            self._oracles.append(child)

    def start_fleet(self, firmwares: Sequence[Firmware], signals: HostSignals | Replay) -> None:
        """The boards, one a firmware, and what their sensors are told."""
        boards = [load_board(name) for name in self._site.boards]
        self.fleet = Fleet(boards, firmwares, self._folder / "boards", self.link, signals, self._send_samples)
        self._ends.callback(self.fleet.stop)
        self.fleet.start()

    def ids(self) -> list[bytes | None]:
        """Device id of each board; None where it has not said it yet."""
        return self.fleet.ids() if self.fleet else []

    def watch(self, bus: Bus) -> list[str]:
        """Start again what ended; what happened in words. Raises what the boards' sensors failed with."""
        said = self._watch_broker(bus.is_connected())
        said += [text for child in self._oracles if (text := child.watch())] + self._admissions.turn()
        if self.fleet:
            said += self.fleet.watch()
            if self.fleet.failure is not None:
                raise self.fleet.failure
        return said

    def _let_in(self, gateway: str) -> None:
        """Have the own broker and the oracles know a further gateway, by its address; site.toml has it by now."""
        if self._broker is not None:
            self._broker.let_in(account_of(gateway))
        for child in self._oracles:
            child.stop()
            child.start()

    def _watch_broker(self, is_connected: bool) -> list[str]:
        was_connected, self._is_connected = self._is_connected, is_connected
        if self._broker is None and was_connected != is_connected:
            news = "is back" if is_connected else "is away, and tried again; devices keep what they could not deliver"
            return [f"the broker on {self.broker} {news}"]
        if self._broker is None or self._broker.is_running():
            return []
        self._broker.start()
        return ["the broker ended and is started again"]

    def _send_samples(self, source: str, samples: bytes) -> None:
        """Give the boards without a sensor bus what the others measure; they announce it as recorded."""
        name = f"recorded over the link: {source}".encode()[:SOURCE_BYTES].decode(errors="ignore")
        frame = wire.encode_samples(name, samples)
        assert self.fleet is not None
        for emulator, device in zip(self.fleet.emulators, self.fleet.ids(), strict=True):
            if device is not None and not emulator.board.emulator["sensors"]:
                self._publish(wire.topic(device, "samples"), frame)

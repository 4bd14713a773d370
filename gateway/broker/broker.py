"""The site's MQTT broker: mosquitto a child process on loopback; refuses to run one that everybody may read and write.

Who may do what is in broker_accounts.py. Gateway and oracles have an account each with a random password, kept in the
folder, mode 0600. Devices have accounts where `devices` says which; without one a device connects with its id as client
id. That is a claim: whoever takes another's can disturb its link, but not sign for it.

The port is kept across restarts while it is free, because boards come back to it. It lies below the range from which
the system takes ports for outgoing connections: a client that retries there could otherwise connect to itself.
"""

import contextlib
import glob
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from pathlib import Path

from gateway.broker import accounts as broker_accounts
from gateway.broker.accounts import GATEWAY, HOME_ASSISTANT
from gateway.site.children import end, end_with

FIRST_PORT, LAST_PORT = 20_000, 32_000
PORT_TRIES = 20
READY_S = 10.0
MAX_MESSAGE_BYTES = 2 << 20  # a megabyte of noise reaches the gateway, which counts it; more is the broker's to refuse
MAX_INFLIGHT = 1_024
MAX_INFLIGHT_BYTES = 8 << 20
MAX_QUEUED_BYTES = 32 << 20
MAX_MEMORY_BYTES = 256 << 20
SALT_BYTES = 12
PLUGIN = "mosquitto_dynamic_security.so"
PLUGIN_PLACES = ("/usr/lib/*", "/usr/lib", "/usr/local/lib")


class BrokerMissing(Exception):
    """There is no mosquitto on this machine."""


class BrokerFailed(Exception):
    """Mosquitto ended or did not answer; the message holds the last line it said."""


class Broker:
    """One mosquitto and its folder.

    Args:
        oracles: names of the accounts that may use tinyren/oracle/#, besides the gateway, which may use everything;
            further gateways have one too.
        devices: gives the passwords by user of the devices that are to have an account, at each start; who has none may
            then do little. None: the broker is open to every device.
        listen: (address, port) where it listens besides loopback.
        tls: the same by TLS, with a file of certificates and key.

    Attributes:
        port: where it listens on 127.0.0.1, once started.
    """

    def __init__(
        self,
        folder: Path,
        oracles: Sequence[str] = ("oracle-1", "oracle-2", "oracle-3"),
        tls: tuple[str, int, Path] | None = None,
        listen: tuple[str, int] | None = None,
        devices: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self.folder = folder
        self.port = 0
        self._tls, self._listen, self._devices = tls, listen, devices
        self._oracles = tuple(oracles)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it unless it runs; it answers when this returns. Called again, it starts one that died, on its port.

        Call it from a thread that lives as long as the site: Linux ends the child when the thread that made it ends.

        Raises:
            BrokerMissing: no mosquitto.
            BrokerFailed: it ended at once, whatever port it was given.
        """
        if self.is_running():
            return
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise BrokerMissing("mosquitto is missing; install it: apt-get install mosquitto")
        if self._tls and not _is_free(self._tls[1], self._tls[0]):
            taken = f"port {self._tls[1]} of {self._tls[0]} is taken"
            raise BrokerFailed(f"tls.listen: {taken}; end the program that has it, or set another port")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write_passwords()
        self._write_devices()
        for _ in range(PORT_TRIES):
            self.port = self._free_port()
            if self._launch(program):
                self._write("port", str(self.port))
                return
        raise BrokerFailed(f"mosquitto does not start: {self._last_words()}")

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def let_in(self, name: str) -> None:
        """Make another account that may use tinyren/oracle/#, now and at each start; connections that are open stay."""
        if name not in self._oracles:
            self._oracles += (name,)
            self._write_passwords()
            self._write_acl()
            self.reload()

    def reload(self) -> None:
        """Have it read its certificate, accounts and rights again; connections that are open stay."""
        if self._process is not None and self.is_running():
            self._process.send_signal(signal.SIGHUP)

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process else None

    def account(self, name: str = GATEWAY) -> tuple[str, str]:
        """(user, password) of the gateway, Home Assistant or an oracle."""
        return name, (self.folder / f"{name}.password").read_text()

    def stop(self) -> None:
        """End it: it saves its retained messages and sessions."""
        if self._process is not None:
            end(self._process)
        self._process = None

    def _launch(self, program: str) -> bool:
        """Start it on self.port; False: it ended, for instance because the port was taken meanwhile."""
        self._write_acl()
        self._write("mosquitto.conf", self._configuration())
        parent = os.getpid()
        with open(self.folder / "mosquitto.log", "wb") as log:
            self._process = subprocess.Popen(
                [program, "-c", str(self.folder / "mosquitto.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the gateway's: it still has to say goodbye to the broker
                preexec_fn=lambda: _confine(parent),
            )
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if not self.is_running():
                return False
            with contextlib.suppress(OSError):
                if _answers(self.port, self.account()):
                    return self.is_running()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
        self.stop()
        return False

    def _free_port(self) -> int:
        """The last port if it is free, or any that is."""
        with contextlib.suppress(OSError, ValueError):
            last = self.port or int((self.folder / "port").read_text())
            if _is_free(last):
                return last
        for _ in range(1_000):
            port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)
            if _is_free(port):
                return port
        raise BrokerFailed(f"no free port on 127.0.0.1 in {FIRST_PORT}..{LAST_PORT}")

    def _write_acl(self) -> None:
        self._write("acl", broker_accounts.acl_file(self._oracles, is_open=self._devices is None))

    def _write_passwords(self) -> None:
        """A random password for who has none yet, and mosquitto's file of their hashes."""
        lines = []
        for name in (GATEWAY, HOME_ASSISTANT, *self._oracles):
            path = self.folder / f"{name}.password"
            if not path.exists():
                self._write(path.name, secrets.token_urlsafe(24))
            lines.append(broker_accounts.password_line(name, path.read_text(), secrets.token_bytes(SALT_BYTES)))
        self._write("passwords", "".join(lines))

    def _write_devices(self) -> None:
        """The plugin's file, which is its own while it runs."""
        if self._devices is not None:
            salts = (secrets.token_bytes(size) for size in repeat(SALT_BYTES))
            self._write("devices.json", broker_accounts.plugin_file(self._devices(), salts))

    def _configuration(self) -> str:
        return "\n".join(
            [
                f"listener {self.port} 127.0.0.1",
                "allow_anonymous true",
                f"password_file {self.folder / 'passwords'}",
                f"acl_file {self.folder / 'acl'}",
                *self._plugin(),
                "user root" if os.geteuid() == 0 else "",  # else it drops to a user who may not write the folder
                "persistence true",
                f"persistence_location {self.folder}/",
                "autosave_interval 30",
                f"message_size_limit {MAX_MESSAGE_BYTES}",
                f"max_packet_size {MAX_MESSAGE_BYTES + 1024}",
                f"max_inflight_messages {MAX_INFLIGHT}",
                f"max_inflight_bytes {MAX_INFLIGHT_BYTES}",
                "max_queued_messages 16384",
                f"max_queued_bytes {MAX_QUEUED_BYTES}",
                "persistent_client_expiration 1d",
                "set_tcp_nodelay true",
                "log_dest stderr",
                "log_type error",
                "log_type warning",
                "log_type notice",
                "connection_messages false",
                *self._lan_listener(),
                *self._tls_listener(),
                "",
            ]
        )

    def _lan_listener(self) -> list[str]:
        return [f"listener {self._listen[1]} {self._listen[0]}"] if self._listen else []

    def _tls_listener(self) -> list[str]:
        """Last: what follows a listener is its own."""
        if self._tls is None:
            return []
        address, port, pem = self._tls
        return [f"listener {port} {address}", f"certfile {pem}", f"keyfile {pem}", "tls_version tlsv1.2"]

    def _plugin(self) -> list[str]:
        """It asks before the ACL file does, and leaves to that what it does not decide."""
        if self._devices is None:
            return []
        found = next((path for place in PLUGIN_PLACES for path in glob.glob(f"{place}/{PLUGIN}")), None)
        if found is None:
            raise BrokerMissing(f"{PLUGIN} is missing; install mosquitto 2.0 or newer: apt-get install mosquitto")
        return [f"plugin {found}", f"plugin_opt_config_file {self.folder / 'devices.json'}"]

    def _write(self, name: str, text: str) -> None:
        part = self.folder / f"{name}.part"
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        os.replace(part, self.folder / name)

    def _last_words(self) -> str:
        words = (self.folder / "mosquitto.log").read_text(errors="replace").strip().splitlines()
        return words[-1] if words else "it said nothing"


def _confine(parent: int) -> None:
    """In the new child. Not mosquitto's memory_limit: the plugin's frees make its count of bytes wrap below zero."""
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    end_with(parent)


def _is_free(port: int, address: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def _answers(port: int, account: tuple[str, str]) -> bool:
    """Whether an MQTT broker accepts this account there: CONNECT, and a CONNACK that says so. Raises OSError."""
    strings = [b"MQTT", b"tinyren-probe", *(text.encode() for text in account)]
    protocol, *rest = (len(text).to_bytes(2, "big") + text for text in strings)
    body = protocol + b"\x04\xc2\x00\x05" + b"".join(rest)  # level 4; user, password, clean session; keepalive 5 s
    with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
        link.sendall(b"\x10" + bytes([len(body)]) + body)
        return link.recv(4) == b"\x20\x02\x00\x00"

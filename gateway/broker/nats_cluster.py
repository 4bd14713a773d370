"""Three nats-servers on loopback, for tests and measurements; it is no way to run a site: one machine is one failure.

Each node is a child process that ends with this one. A node can be killed, halted (to the others that is a partition)
and started again on its own folder.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gateway.site.children import end, end_with

NODES = 3
FIRST_PORT, LAST_PORT = 20_000, 32_000  # below the range that outgoing connections take their ports from
SYNC_ALWAYS_SINCE = (2, 10)


class NatsMissing(Exception):
    """There is no nats-server on this machine."""


def server_version() -> tuple[int, int, int]:
    """Version of the nats-server that is installed. Raises NatsMissing."""
    program = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise NatsMissing("nats-server is missing; install it: apt-get install nats-server")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", said)
    if found is None:
        raise NatsMissing(f"nats-server --version: got {said.strip()!r}, wanted a version")
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch)


class NatsCluster:
    """The nodes n0, n1 and n2; `more` is further configuration, the same for each (accounts, TLS).

    Attributes:
        ports: of the nodes' clients.
    """

    def __init__(self, folder: Path, more: str = "", nodes: int = NODES) -> None:
        """Write the nodes' configuration. Raises NatsMissing."""
        self._version = server_version()
        self._folder = folder
        ports = _free_ports(2 * nodes)
        self.ports, routes = ports[:nodes], ports[nodes:]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * nodes
        for node in range(nodes):
            place = folder / f"n{node}"
            place.mkdir(parents=True)
            (place / "nats.conf").write_text(self._configuration(node, routes, more))

    @property
    def url(self) -> str:
        return "nats://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def start(self, *nodes: int) -> None:
        """Start these nodes, or all of them. Whether they answer is the client's to wait for."""
        parent = os.getpid()
        for node in nodes or range(len(self.ports)):
            place = self._folder / f"n{node}"
            with open(place / "log", "ab") as log:
                self._processes[node] = subprocess.Popen(
                    ["nats-server", "-c", str(place / "nats.conf")],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"},
                    start_new_session=True,
                    preexec_fn=lambda: end_with(parent),
                )

    def signal(self, node: int, number: signal.Signals) -> None:
        """SIGKILL ends a node, SIGSTOP parts it from the others, SIGCONT brings it back."""
        process = self._processes[node]
        assert process is not None
        process.send_signal(number)
        if number == signal.SIGKILL:
            process.wait()

    def stop(self) -> None:
        for process in self._processes:
            if process is not None:
                process.send_signal(signal.SIGCONT)
                end(process)

    def _configuration(self, node: int, routes: Sequence[int], more: str) -> str:
        lines = [
            f"server_name: n{node}",
            f'listen: "127.0.0.1:{self.ports[node]}"',
            "jetstream {",
            f'  store_dir: "{self._folder / f"n{node}" / "data"}"',
            "  max_mem: 64MB",
            "  max_file: 2GB",
            "  sync_interval: always" if self._version >= SYNC_ALWAYS_SINCE else "",
            "}",
            more,
        ]
        if len(routes) > 1:
            others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
            cluster = f'name: site, listen: "127.0.0.1:{routes[node]}", routes: [{others}], no_advertise: true'
            lines.append(f"cluster {{ {cluster} }}")  # no_advertise: a client knows the servers that it was told
        return "\n".join(lines) + "\n"


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found

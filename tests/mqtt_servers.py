"""MQTT brokers that are not the site's own, for tests: mosquitto with any configuration, NATS with MQTT ports."""

import os
import subprocess
import time
from pathlib import Path

from gateway.broker import broker_url
from gateway.broker.nats_cluster import NatsCluster, _free_ports
from gateway.site.children import end, end_with

ENVIRONMENT = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"}
READY_S = 30


def wait_for_broker(port, context=None):
    """Wait until something on a port answers a CONNECT as a broker does."""
    deadline_s = time.monotonic() + READY_S
    while True:
        try:
            return broker_url.ask(("127.0.0.1", port), context, ("", ""))
        except OSError:
            assert time.monotonic() < deadline_s, f"no broker on {port}"
            time.sleep(0.05)


class Mosquitto:
    """One mosquitto on a port of its own; `lines` are further configuration."""

    def __init__(self, folder: Path, *lines, context=None):
        self.port, self._context, self._process = _free_ports(1)[0], context, None
        folder.mkdir()
        self._file = folder / "mosquitto.conf"
        mine = [f"listener {self.port} 127.0.0.1", "persistence false", "user root" if os.geteuid() == 0 else ""]
        self._file.write_text("\n".join([*mine, *lines, ""]))

    def start(self):
        parent = os.getpid()
        self._process = subprocess.Popen(
            ["mosquitto", "-c", self._file],
            env=ENVIRONMENT,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: end_with(parent),
        )
        wait_for_broker(self.port, self._context)
        return self

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self):
        end(self._process)


def mqtt_cluster(folder, more="", nodes=3):
    """A NATS cluster whose nodes also speak MQTT, and the ports of that."""
    cluster, ports = NatsCluster(folder, more, nodes), _free_ports(nodes)
    for node, port in enumerate(ports):
        with (folder / f"n{node}" / "nats.conf").open("a") as file:
            file.write(f'mqtt {{ listen: "127.0.0.1:{port}" }}\n')
    return cluster, ports

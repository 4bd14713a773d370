"""The options of `tinyren up`; what they come to is up.py's."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.commands.arguments import port, positive, readable
from gateway.configuration.settings import MAX_WORKERS
from gateway.monitoring.logs import FORMATS


def add_up(commands: Any, run: Callable[[Namespace], int]) -> None:
    """The command `up`."""
    up: ArgumentParser = commands.add_parser("up", help="run a site: broker, chain, oracles, page and emulated boards")
    up.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="where it is kept (default: site)")
    up.add_argument(
        "--epochs", type=positive, metavar="N", help="stop after N settled epochs (default: run until Ctrl-C)"
    )
    up.add_argument("--devices", type=positive, metavar="N", help="how many devices (default: one per board)")
    up.add_argument(
        "--boards", metavar="A,B", help="which boards (default: qemu_mps2_an385, qemu_mps2_an500, qemu_virt_rv32)"
    )
    up.add_argument("--epoch-seconds", type=positive, metavar="S", help="length of an epoch (default: 60)")
    up.add_argument("--window-seconds", type=positive, metavar="S", help="length of a window (default: 5)")
    up.add_argument(
        "--replay", type=readable, metavar="FILE.csv", help="sensor values from a recording, not from this host"
    )
    up.add_argument("--rpc", metavar="URL", help="settle on this chain (JSON-RPC), not on the embedded one")
    up.add_argument(
        "--key", type=readable, metavar="FILE", help="with --rpc: 64 hex digits, the funded key that pays for gas"
    )
    up.add_argument("--mqtt", metavar="URL", help="this broker, mqtt://USER@HOST:PORT,... or mqtts://, not its own")
    up.add_argument("--mqtt-password", type=readable, metavar="FILE", help="with --mqtt: the user's password")
    up.add_argument("--mqtt-ca", type=readable, metavar="FILE", help="with mqtts://: who signed the certificates, PEM")
    up.add_argument(
        "--workers", type=workers, metavar="N", help="processes that check heartbeats (default: 0, this one)"
    )
    _add_stores(up)
    up.add_argument("--port", type=port, metavar="P", help="the page's port (default: 8420, or a free one)")
    up.add_argument("--serial", metavar="A,B", help="serial ports of boards without a network; auto: all of them")
    up.add_argument("--log-format", choices=FORMATS, help="a sentence a line, or a JSON object a line (default: text)")
    up.add_argument("--json", action="store_true", help="print one JSON object at the end")
    up.set_defaults(run=run)


def workers(text: str) -> int:
    """An argument that must be a number of workers."""
    count = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= count <= MAX_WORKERS:
        raise ArgumentTypeError(f"got {text!r}, wanted a whole number from 0 to {MAX_WORKERS}")
    return count


def _add_stores(up: ArgumentParser) -> None:
    up.add_argument("--cstore", metavar="URL", help="keys on a cluster, nats://HOST:PORT,.../NAME, not in the site")
    up.add_argument("--cstore-owner", metavar="ADDRESS", help="whose store that must be (default: this gateway's)")
    for name, help_ in (
        ("credentials", "user and password, a line each; .creds"),
        ("ca", "with tls://: who signs the servers' certificates"),
        ("cert", "with tls://: this gateway's certificate"),
        ("cert-key", "with tls://: the certificate's key"),
    ):
        up.add_argument(f"--cstore-{name}", type=readable, metavar="FILE", help=help_)
    up.add_argument(
        "--peer", action="append", default=[], metavar="URL", help="heal R1FS from this gateway; may be repeated"
    )

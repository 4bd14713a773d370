"""`tinyren gateway find`: the gateways of the local network, for who sets up devices or opens a page."""

import sys
from argparse import ArgumentTypeError, Namespace
from typing import Any

from gateway.commands.arguments import print_json
from gateway.errors import CommandError, Exit

MAX_SECONDS = 60


def add_find(verbs: Any) -> None:
    """The verb `find` of `tinyren gateway`."""
    text = "gateways of the local network that tell of themselves (mDNS)"
    find = verbs.add_parser("find", help=text, description=text)
    find.add_argument("--seconds", type=_seconds, default=3.0, metavar="S", help="how long to listen (default: 3)")
    find.add_argument("--address", default="0.0.0.0", metavar="A", help="this computer's, of the network to ask "
                      "(default: all)")  # fmt: skip
    find.add_argument("--json", action="store_true", help="print one JSON list")
    find.set_defaults(run=run_find)


def run_find(arguments: Namespace) -> int:
    """Print what answers; exit code 5 if nothing does."""
    from gateway.lan.mdns import find

    try:
        found = find(arguments.seconds, arguments.address)
    except OSError as error:
        what = "wanted an address of a network that this computer is in"
        raise CommandError(f"--address: got {arguments.address}: {error}; {what}", Exit.USAGE) from error
    if arguments.json:
        print_json([vars(gateway) for gateway in found])
    elif not found:
        what = "wanted one that runs on this network with broker.listen, tls.listen or page.tls_listen set"
        print(f"no gateway tells of itself; {what}; firewalls must let UDP port 5353 through", file=sys.stderr)
    for gateway in [] if arguments.json else found:
        host = gateway.addresses[0] if gateway.addresses else gateway.host
        print(f"{gateway.name}  {host}  {gateway.gateway}")
        pages = ("https", gateway.page_tls), ("http", gateway.page)
        for scheme, port in (*pages, ("mqtts", gateway.mqtts), ("mqtt", gateway.mqtt)):
            if port:
                print(f"  {scheme}://{gateway.host}:{port}")
        if gateway.ca:
            print(f"  its authority must have SHA-256 {gateway.ca}")
    return Exit.OK if found else Exit.NOTHING_TO_DO


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MAX_SECONDS:
        raise ArgumentTypeError(f"got {text!r}, wanted seconds above 0 and up to {MAX_SECONDS}")
    return value

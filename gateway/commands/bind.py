"""`tinyren bind`: binds the device of a label to a deed by a key file, as the phone's page does by a wallet.

The key stays in this process: the running site is told a signature over one Binding, and nothing else of it.
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from gateway.commands.arguments import positive, print_json, readable
from gateway.errors import CommandError, Exit


def add_bind(commands: Any) -> None:
    """The command `bind`."""
    bind = commands.add_parser("bind", help="bind the device of a label to a deed, without a wallet")
    bind.add_argument("--label", required=True, metavar="TEXT", help="the QR code's text or manual code; - for stdin")
    bind.add_argument("--deed", required=True, type=positive, metavar="N", help="number of the deed")
    bind.add_argument("--key", required=True, type=readable, metavar="FILE", help="64 hex digits, the owner's key")
    bind.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the running site (default: site)")
    bind.add_argument("--json", action="store_true", help="print one JSON object")
    bind.set_defaults(run=run_bind)


def run_bind(arguments: Namespace) -> int:
    from gateway import keys
    from gateway.binding import client
    from gateway.binding.pending import Refused
    from gateway.site import site_file
    from gateway.text import one_line

    site = site_file.read(arguments.site)
    if site is None or "devices" not in site.contracts:
        what = "wanted the folder of a site that runs: `tinyren up`"
        raise CommandError(f"--site: got {arguments.site}, {what}", Exit.USAGE)
    label = (sys.stdin.readline() if arguments.label == "-" else arguments.label).strip()
    contract = bytes.fromhex(site.contracts["devices"][2:])
    try:
        url = f"http://127.0.0.1:{site.page_port}"
        done = client.bind(url, label, arguments.deed, keys.load(arguments.key), contract)
    except Refused as error:
        raise CommandError(str(error), client.CODES.get(error.reason, Exit.REFUSED)) from error
    except client.GatewayAway as error:
        raise CommandError(str(error), Exit.TIMEOUT) from error
    if arguments.json:
        print_json(done)
    else:
        said = f"{done.get('device')} is bound to deed {done.get('deed')}, transaction {done.get('tx')}"
        print(one_line(said))
    return Exit.OK

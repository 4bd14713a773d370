"""`tinyren further`: makes a further gateway of a site and runs it; the site itself is `tinyren up`'s."""

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from gateway.commands.arguments import port, print_json, readable
from gateway.commands.audit import address
from gateway.errors import CommandError, Exit

PORT = 8421


def add_further(commands: Any) -> None:
    """The command `further` and its verbs."""
    verbs = commands.add_parser("further", help="further gateways of a site: devices may roam").add_subparsers(
        metavar="VERB", required=True
    )
    init = verbs.add_parser("init", help="make a further gateway's key; prints its address, for the site to admit")
    init.add_argument("folder", type=Path, metavar="DIR", help="the further gateway's own folder")
    init.add_argument("--json", action="store_true", help="print one JSON object")
    init.set_defaults(run=run_init)
    admit = verbs.add_parser("admit", help="make it one of a site, which must not run; writes an invitation")
    admit.add_argument("address", type=address, metavar="0x...", help="what `further init` printed")
    admit.add_argument("url", metavar="URL", help="where the site can reach it, http://HOST:PORT")
    admit.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    admit.add_argument("-o", "--out", type=Path, default=Path("invitation.json"), metavar="FILE",
                       help="the invitation, for the further gateway alone (default: %(default)s)")  # fmt: skip
    admit.add_argument("--json", action="store_true", help="print one JSON object")
    admit.set_defaults(run=run_admit)
    run = verbs.add_parser("run", help="run a further gateway until Ctrl-C")
    run.add_argument("folder", type=Path, metavar="DIR", help="the further gateway's own folder")
    run.add_argument("--invitation", type=readable, metavar="FILE", help="what `further admit` wrote; the first time")
    run.add_argument("--port", type=port, default=PORT, metavar="P",
                     help="with --invitation: the port of its URL (default: %(default)s)")  # fmt: skip
    run.set_defaults(run=run_run)


def run_init(arguments: Namespace) -> int:
    from gateway.site.joining import prepare

    found = prepare(arguments.folder)
    if arguments.json:
        print_json({"address": found})
    else:
        print(f"{found}\nNow, where the site is: tinyren further admit {found} http://THIS-HOST:{PORT} --site SITE")
    return Exit.OK


def run_admit(arguments: Namespace) -> int:
    from gateway.site.joining import admit

    invitation = admit(arguments.site, arguments.address, arguments.url)
    with open(os.open(arguments.out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(invitation, file, indent=1)
    if arguments.json:
        print_json({"invitation": str(arguments.out), "address": arguments.address})
    else:
        print(f"{arguments.out} is for the further gateway alone: it holds a password. Start the site again; then,")
        print(f"where the further gateway is: tinyren further run DIR --invitation {arguments.out.name}")
    return Exit.OK


def run_run(arguments: Namespace) -> int:
    from gateway.site.further import serve
    from gateway.site.joining import accept

    if arguments.invitation:
        try:
            invitation = json.loads(arguments.invitation.read_text())
        except (ValueError, RecursionError) as error:
            raise CommandError(f"{arguments.invitation}: {error}; wanted an invitation", Exit.USAGE) from error
        if not isinstance(invitation, dict):
            raise CommandError(f"{arguments.invitation}: wanted an invitation", Exit.USAGE)
        accept(arguments.folder, invitation, arguments.port)
    serve(arguments.folder)
    return Exit.OK

"""`tinyren gateway join` and `admit`: make a gateway a further one of a site, which `gateway up` runs as any other."""

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from gateway.commands.arguments import port, print_json, readable
from gateway.commands.audit import address
from gateway.errors import CommandError, Exit

PORT = 8421


def add_join(verbs: Any) -> None:
    """The verbs `join` and `admit` of `tinyren gateway`."""
    join = verbs.add_parser("join", help="make a further gateway of a site: devices may roam")
    join.add_argument("folder", type=Path, metavar="DIR", help="the further gateway's own folder")
    join.add_argument("--invitation", type=readable, metavar="FILE",
                      help="what `gateway admit` wrote; without it: make a key, say its address")  # fmt: skip
    join.add_argument("--port", type=port, default=PORT, metavar="P",
                      help="the port of its URL, where it lends its evidence (default: %(default)s)")  # fmt: skip
    join.add_argument("--json", action="store_true", help="print one JSON object")
    join.set_defaults(run=run_join)
    admit = verbs.add_parser("admit", help="take a further gateway into a site, which may run")
    admit.add_argument("address", type=address, metavar="0x...", help="what `gateway join` printed")
    admit.add_argument("url", metavar="URL", help="where the site can reach it, http://HOST:PORT")
    admit.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    admit.add_argument("-o", "--out", type=Path, default=Path("invitation.json"), metavar="FILE",
                       help="the invitation, for the further gateway alone (default: %(default)s)")  # fmt: skip
    admit.add_argument("--json", action="store_true", help="print one JSON object")
    admit.set_defaults(run=run_admit)


def run_join(arguments: Namespace) -> int:
    from gateway.site.joining import accept, prepare

    folder: Path = arguments.folder
    if arguments.invitation:
        accept(folder, _invitation(arguments.invitation), arguments.port)
        done, told = {"folder": str(folder)}, f"it has joined; run it: tinyren gateway up {folder}"
    else:
        found = prepare(folder)
        done = {"folder": str(folder), "address": found}
        url = f"http://THIS-HOST:{arguments.port}"
        told = f"{found}\nNow, where the site is: tinyren gateway admit {found} {url} --site SITE"
    if arguments.json:
        print_json(done)
    else:
        print(told)
    return Exit.OK


def run_admit(arguments: Namespace) -> int:
    from gateway.site.joining import admit

    invitation = admit(arguments.site, arguments.address, arguments.url)
    with open(os.open(arguments.out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(invitation, file, indent=1)
    if arguments.json:
        print_json({"invitation": str(arguments.out), "address": arguments.address})
    else:
        print(f"{arguments.out} is for the further gateway alone: it holds a password. Bring it there; then, there:")
        print(f"tinyren gateway join DIR --invitation {arguments.out.name}")
    return Exit.OK


def _invitation(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path}: {error}; wanted an invitation", Exit.USAGE) from error
    if not isinstance(found, dict):
        raise CommandError(f"{path}: wanted an invitation", Exit.USAGE)
    return found

"""`tinyren gateway`: a gateway as its operator installs it, runs it, looks after it, saves and restores it."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from gateway.commands.arguments import new_progress, print_json, readable
from gateway.commands.backup import add_backup
from gateway.commands.join import add_join
from gateway.commands.mdns import add_find
from gateway.commands.tls import add_tls
from gateway.configuration.configuration import default_site, made_site
from gateway.configuration.settings import SETTINGS
from gateway.errors import CommandError, Exit


def add_gateway(commands: Any) -> None:
    """The command `gateway` and its verbs."""
    parser = commands.add_parser("gateway", help="make, run, check, save and restore a gateway")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    init = _verb(verbs, "init", "make a gateway: keys, configuration, admin code", run_init)
    init.add_argument("--rpc", metavar="URL", help="settle on this chain (JSON-RPC), not on the embedded one")
    init.add_argument("--key", type=readable, metavar="FILE", help="with --rpc: who pays for gas (default: a new key)")
    init.add_argument(
        "--lan", action="store_true", help="page and broker for the local network, not this computer alone"
    )
    init.add_argument("--boards", default="", metavar="A,B", help="emulated boards, to try it out (default: none)")
    init.add_argument("--dry-run", action="store_true", help="print the configuration, write nothing")
    up = _verb(verbs, "up", "run a gateway until it is told to stop", run_gateway)
    up.add_argument("--set", action="append", default=[], metavar="S.K=V",
                    help="a setting for this start, for instance page.port=9000; may be repeated")  # fmt: skip
    _verb(verbs, "status", "how a gateway is, running or stopped", run_status)
    _verb(verbs, "doctor", "check everything; exit code 12: warnings, 1: something fails", run_doctor)
    add_backup(verbs)
    code = _verb(verbs, "admin-code", "a new admin code; the one before is void", run_admin_code)
    code.add_argument("--end-sessions", action="store_true", help="also sign out everybody")
    add_join(verbs)
    add_tls(verbs)
    add_find(verbs)


def _verb(verbs: Any, name: str, help_: str, run: Callable[[Namespace], int]) -> ArgumentParser:
    verb: ArgumentParser = verbs.add_parser(name, help=help_)
    verb.add_argument("site", nargs="?", type=Path, metavar="DIR", help="the gateway's folder (default: site)")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=run)
    return verb


def run_init(arguments: Namespace) -> int:
    from gateway.configuration.settings import template
    from gateway.edge import init

    folder: Path = arguments.site or default_site()
    boards = [name.strip() for name in arguments.boards.split(",") if name.strip()]
    if boards:
        from gateway.commands.up import load_boards

        load_boards(boards)
    if arguments.key and not arguments.rpc:
        raise CommandError("--key: got one without --rpc; the embedded chain needs none", Exit.USAGE)
    if sys.stdin.isatty() and not (arguments.rpc or arguments.lan or arguments.json or arguments.dry_run):
        arguments.rpc = input("Chain: Enter for an embedded one, or the http(s) address of another: ").strip()
        arguments.lan = input("Are devices on the local network to reach it? [y/N] ").strip().lower() in ("y", "yes")
    chosen = init.choose(folder, arguments.rpc or "", arguments.key, boards, arguments.lan)
    if arguments.dry_run:
        print(template(chosen), end="")
        return Exit.OK
    made = init.make(folder, chosen)
    if arguments.json:
        print_json({**made._asdict(), "folder": str(folder), "config": str(made.config)})
        return Exit.OK
    for path in made.made:
        print(f"made {path}")
    print(f"gateway {made.gateway}")
    if arguments.rpc and not arguments.key:
        print(f"pays for gas: {made.payer}; send it some of the chain's coin first")
    if made.code:
        print(f"admin code, shown once: {made.code}")
    print(f"next: tinyren gateway up {folder}")
    return Exit.OK


def run_gateway(arguments: Namespace) -> int:
    from gateway.commands.up import summary, up
    from gateway.edge.ownership import refuse_foreign
    from gateway.site import site_file
    from gateway.site.further import serve

    folder = made_site(arguments.site)
    refuse_foreign(folder)
    if (site := site_file.read(folder)) is not None and site.home:
        serve(folder)
        return Exit.OK
    unset = dict.fromkeys(one.option for one in SETTINGS if one.option)
    progress = new_progress()
    given = Namespace(**unset | {"site": folder, "set": arguments.set, "epochs": None, "devices": None})
    result = up(given, progress)
    result["timings_s"]["total"] = round(progress.elapsed_s(), 2)
    if arguments.json:
        print_json(result)
    else:
        print(summary(result))
    return Exit.OK


def run_status(arguments: Namespace) -> int:
    from gateway.edge import status

    try:
        found = status.gather(made_site(arguments.site))
    except OSError as error:
        raise CommandError(f"{error}; see: tinyren gateway doctor", Exit.TIMEOUT) from error
    if arguments.json:
        print_json(found)
    else:
        print("\n".join(status.lines(found)))
    return Exit.OK


def run_doctor(arguments: Namespace) -> int:
    from gateway.edge import doctor

    rows = doctor.examine(made_site(arguments.site))
    if arguments.json:
        print_json(doctor.as_json(rows))
    else:
        print("\n".join(doctor.lines(rows)))
    return doctor.verdict(rows)


def run_admin_code(arguments: Namespace) -> int:
    from gateway.database import open_or_say
    from gateway.edge.admin import LOST, Admin

    with closing(open_or_say(Admin, made_site(arguments.site), LOST)) as admin:
        code = admin.new_code(arguments.end_sessions)
    if arguments.json:
        print_json({"code": code})
    else:
        print(f"admin code, good for one sign-in: {code}")
    return Exit.OK

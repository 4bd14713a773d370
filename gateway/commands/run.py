"""`tinyren run`: from a board to a bound device that was paid, and how long each stage took."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from gateway.commands.arguments import need, new_progress, positive, print_json, readable
from gateway.commands.settings import add_set, read_changes
from gateway.errors import CommandError, Exit


def add_run(commands: Any) -> None:
    """The command `run`."""
    text = "flash or boot one board, label it, bind it, and wait until it was paid"
    run = commands.add_parser("run", help=text, description=text)
    run.add_argument("--board", required=True, metavar="B", help="of `tinyren boards`, for instance qemu_mps2_an385")
    run.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    run.add_argument("--port", default="", metavar="P", help="of a board of silicon, as `tinyren flash` takes it")
    run.add_argument("--firmware", type=readable, metavar="FILE", help="write this to a board of silicon first")
    run.add_argument("--files", type=Path, metavar="DIR", help="these files for a board of silicon, not the agent")
    add_set(run, "on a board of silicon: gateways, ssid, password (-: asks), sensors, name")
    run.add_argument("--ca", type=readable, metavar="FILE", help="TLS: the gateway's SITE/tls/ca.pem")
    run.add_argument("--deed", type=positive, default=1, metavar="N", help="the deed to bind it to (default: 1)")
    run.add_argument(
        "--key", type=readable, metavar="FILE", help="64 hex digits, the deed's owner (default: the site's)"
    )
    run.add_argument("--json", action="store_true", help="print one JSON object, with each stage's seconds")
    run.set_defaults(run=run_run)


def run_run(arguments: Namespace) -> int:
    from boards.board import agent_board_names, board_names
    from boards.hardware import agent_hardware_names, hardware_names
    from gateway.commands.first_run import FirstRun, Request

    emulated, silicon, brought = agent_board_names(), hardware_names(), agent_hardware_names()
    if arguments.board not in (*emulated, *silicon):
        wanted = f"wanted one of {', '.join(emulated)}, or of `tinyren boards`"
        raise CommandError(f"--board: got {arguments.board!r}, {wanted}", Exit.USAGE)
    for name in ("port", "firmware", "files", "set", "ca"):
        if getattr(arguments, name) and arguments.board in board_names():
            raise CommandError(f"--{name}: got one, but {arguments.board} is emulated: leave it out", Exit.USAGE)
    if arguments.port or arguments.firmware or arguments.files:
        need("mpremote", "serial")
    if (arguments.set or arguments.ca) and not (arguments.port and arguments.board in brought):
        wanted = f"wanted --port and one of {', '.join(brought)}"
        raise CommandError(f"--set, --ca: they are brought to a board at a port; {wanted}", Exit.USAGE)
    names = ("board", "site", "port", "firmware", "files", "deed", "key")
    given = {name: getattr(arguments, name) for name in names}
    settings = read_changes(arguments.set)
    result = FirstRun(Request(**given, settings=settings, authority=arguments.ca), new_progress()).run()
    if arguments.json:
        print_json(vars(result))
    said = f"RESULT: OK board={result.board} id={result.id} deed={result.deed} total={result.total_s}s"
    print(said, file=sys.stderr)
    return Exit.OK

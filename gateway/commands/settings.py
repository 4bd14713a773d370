"""`tinyren settings`: what is set on the board at a port, changed there, and whose device it is; shows no password."""

import getpass
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import need, new_progress, print_json
from gateway.errors import CommandError, Exit
from gateway.text import printable

if TYPE_CHECKING:
    from boards.console import Identity
    from boards.repl import Repl


def add_settings(commands: Any) -> None:
    """The command `settings`."""
    text = "what is set on the board at a port, and change it"
    command = commands.add_parser("settings", help=text, description=text)
    command.add_argument("port", metavar="PORT", help="of `tinyren devices`, or the pty of `tinyren emulate`")
    add_set(command, "gateways, ssid, password (-: asks), sensors, name")
    command.add_argument("--forget-owner", action="store_true", help="you hold the device: free it for another owner")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run_settings)


def add_set(command: ArgumentParser, text: str) -> None:
    """The option that sets what a board keeps; `read_changes` reads it."""
    command.add_argument("--set", action="append", default=[], type=_pair, metavar="K=V", help=text)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ArgumentTypeError("got no '=', wanted K=V, for instance ssid=workshop")
    return name, value


def run_settings(arguments: Namespace) -> int:
    need("mpremote", "serial")
    from boards.console import ConsoleError, identify, open_console
    from gateway.flashing.tools import check_port

    changes = read_changes(arguments.set)
    check_port(arguments.port)
    try:
        told = None if arguments.forget_owner else _join(arguments.port, changes)
        if told is None:
            with open_console(arguments.port) as repl:
                told = _talk(arguments, repl, identify(repl), changes)
    except ConsoleError as error:
        raise CommandError(str(error), Exit.TIMEOUT if "timeout" in str(error) else Exit.FAILED) from error
    if arguments.json:
        print_json(told)
    else:
        for name, value in told.items():
            print(f"{name:<10} {printable(_shown(value))}")
    return Exit.OK


def read_changes(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """What --set names, checked; a password of "-" is asked for. Raises CommandError."""
    from boards.settings import SECRET, check

    changes: dict[str, str] = {}
    for name, value in pairs:
        if name in changes:
            raise CommandError(f"--set: got {name} twice, wanted it once; nothing was changed", Exit.USAGE)
        if name in SECRET and value == "-":
            value = getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        try:
            check(name, value)
        except ValueError as error:
            raise CommandError(f"--set: {error}; nothing was changed", Exit.USAGE) from None
        changes[name] = value
    return changes


def _join(port: str, changes: dict[str, str]) -> dict[str, Any] | None:
    """A network alone is asked for by Improv, for then the board says whether it joined; None: it knows no Improv."""
    from boards.improv_port import join

    if changes.keys() != {"ssid", "password"}:
        return None
    new_progress().say(f"asking the board at {port} to join {changes['ssid']}")
    found = join(port, changes["ssid"], changes["password"])
    if found is None:
        return None
    about, page = found
    told = {"board": about.name, "firmware": f"{about.firmware} {about.version}"}
    kept = {"ssid": changes["ssid"], "password": "set" if changes["password"] else ""}
    return told | {"settings": kept, "joined": True, **({"page": page} if page else {})}


def _talk(arguments: Namespace, repl: "Repl", who: "Identity", changes: dict[str, str]) -> dict[str, Any]:
    from boards import settings

    progress = new_progress()
    told: dict[str, Any] = {"board": who.board or who.machine, "firmware": f"{who.firmware} {who.version}"}
    kept = settings.read_settings(repl)
    if changes and changes.items() - kept.items():
        kept |= changes
        settings.write_settings(repl, kept, progress.step)
    told["settings"] = {name: value and "set" if name in settings.SECRET else value for name, value in kept.items()}
    if who.firmware == "tinyren":
        act = settings.forget_owner if arguments.forget_owner else settings.read_owner
        owner = act(repl, who)
        told["forgot" if arguments.forget_owner else "owner"] = f"0x{owner.hex()}" if owner else None
    elif arguments.forget_owner:
        settings.forget_owner(repl, who)
    settings.restart(repl)
    return told


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={text}" for name, text in value.items()) or "nothing is set"
    return "nobody" if value is None else "yes" if value is True else str(value)

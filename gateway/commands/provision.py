"""`tinyren provision`: many boards through the factory, and whether a manifest is what the factory signed."""

import os
import sys
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import need, new_progress, positive, print_json, readable
from gateway.commands.settings import add_set, read_changes
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.progress import Progress
    from gateway.provisioning.at_port import Wanted
    from gateway.provisioning.batch import Refused, Row
    from gateway.provisioning.factory import Outcome
    from gateway.provisioning.station import Station

MOST_JOBS = 4  # a board that boots takes half a second of a core
FACTORY_KEY = Path("keys", "factory.key")


def add_provision(commands: Any) -> None:
    """The command `provision`."""
    text = "test and label many boards, and sign which left the factory"
    command = commands.add_parser("provision", help=text, description=text)
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--batch", type=_batch, metavar="N|FILE.csv", help="so many emulated boards, or those of a list")
    what.add_argument("--verify", type=readable, metavar="FILE", help="check a manifest, and provision nothing")
    command.add_argument("--board", default="qemu_mps2_an385", metavar="B", help="with N: which (default: %(default)s)")
    command.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="knows the labels then")
    command.add_argument("--out", type=Path, default=Path("provision"), metavar="DIR", help="(default: %(default)s)")
    command.add_argument("--jobs", type=positive, metavar="N", help="boards at once (default: as cores, at most 4)")
    command.add_argument("--firmware", type=readable, metavar="FILE", help="write this to boards at a port")
    command.add_argument("--files", type=Path, metavar="DIR", help="these files, in place of the agent")
    add_set(command, "on each board at a port: gateways, ssid, password (-: asks), sensors")
    command.add_argument("--ca", type=readable, metavar="FILE", help="TLS: the gateway's SITE/tls/ca.pem")
    command.add_argument("--factory", metavar="ADDRESS", help="with --verify: whose signature it must be")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run_provision)


def run_provision(arguments: Namespace) -> int:
    return _verify(arguments) if arguments.verify else _provision(arguments)


def _batch(text: str) -> int | Path:
    if text.isascii() and text.isdigit():
        return positive(text)
    if not Path(text).is_file():
        raise ArgumentTypeError(f"got {text!r}, wanted a number of boards or a list that is there")
    return Path(text)


def _provision(arguments: Namespace) -> int:
    need("mpremote", "serial")
    from gateway import curve, keys
    from gateway.commands.label import page_of
    from gateway.labels.codes import Codes, CodesFull
    from gateway.provisioning.factory import Factory
    from gateway.provisioning.journal import Journal
    from gateway.provisioning.naming import keep_names

    rows, page, changes = _rows(arguments), page_of(arguments.site), read_changes(arguments.set)
    for name in ("firmware", "files", "set", "ca"):
        if getattr(arguments, name) and not any(row.port for row in rows):
            raise CommandError(f"--{name}: got one, but no board of the list is at a port", Exit.USAGE)
    progress, journal = new_progress(), Journal(arguments.out)
    to_do, before, refused = _plan(rows, journal.done())
    key = keys.load_or_make(arguments.site / FACTORY_KEY)
    codes = Codes(arguments.site)
    factory = Factory(journal, _station(arguments, to_do, changes, progress), codes, key, progress)
    try:
        outcome = factory.run(to_do, before, refused, arguments.jobs or min(MOST_JOBS, os.cpu_count() or 1))
        factory.write(arguments.out, page)
        if why := keep_names(arguments.site, factory.records()):
            progress.say(why)
    except CodesFull as error:
        raise CommandError(str(error)) from error
    finally:
        codes.close()
        journal.close()
    total_s = round(progress.elapsed_s(), 1)
    if arguments.json:
        paths = {"out": str(arguments.out), "factory": "0x" + curve.address_of(key.secret).hex()}
        print_json({**vars(outcome), **paths, "total_s": total_s})
    return _end(outcome, arguments.out, total_s)


def _rows(arguments: Namespace) -> "list[Row]":
    from gateway.provisioning.batch import ListError, numbered, read_list

    if isinstance(arguments.batch, int):
        return numbered(arguments.batch, arguments.board)
    try:
        return read_list(arguments.batch.read_text())
    except (ListError, UnicodeDecodeError) as error:
        raise CommandError(f"{arguments.batch}: {error}; nothing was done", Exit.USAGE) from error


def _plan(rows: "list[Row]", done: "dict[str, Row]") -> "tuple[list[Row], list[Row], list[Refused]]":
    from boards.board import agent_board_names
    from boards.hardware import agent_hardware_names
    from gateway.provisioning.batch import plan

    places = {row.port: os.path.realpath(row.port) for row in rows if row.port}
    return plan(rows, agent_board_names(), agent_hardware_names(), done, places)


def _station(arguments: Namespace, rows: "list[Row]", changes: dict[str, str], progress: "Progress") -> "Station":
    """The station, with all that it needs built before it touches a board."""
    from boards.board import agent_board_names
    from gateway.commands.up import set_up
    from gateway.provisioning.station import Station

    names = sorted({row.board for row in rows if not row.port})
    firmwares = dict(zip(names, set_up(progress, names), strict=True)) if names else {}
    silicon = sorted({row.board for row in rows} - set(agent_board_names()))
    wanted = _wanted(arguments, silicon, changes, progress)
    return Station(arguments.out / "boards", firmwares, progress, arguments.firmware, wanted)


def _wanted(
    arguments: Namespace, boards: list[str], changes: dict[str, str], progress: "Progress"
) -> "dict[str, Wanted]":
    """What boards of silicon are brought, by board."""
    from gateway.provisioning.at_port import find_wanted
    from gateway.system import ensure_packages

    if boards and not arguments.files:
        ensure_packages(progress.say)
    found = {}
    for name in boards:
        found[name] = find_wanted(name, arguments.files, arguments.ca, changes, progress)
        progress.say(f"{name}: {len(found[name].files)} files are ready to be brought")
    return found


def _end(outcome: "Outcome", out: Path, total_s: float) -> Exit:
    is_good = outcome.done or outcome.before
    is_bad = outcome.failed or outcome.refused
    code = (Exit.PARTLY if is_good else Exit.FAILED) if is_bad else Exit.OK if outcome.done else Exit.NOTHING_TO_DO
    counts = " ".join(f"{name}={len(rows)}" for name, rows in vars(outcome).items())
    if is_bad:
        print(f"mend what is said above and run the same command: it goes on with the rest; see {out}", file=sys.stderr)
    print(f"RESULT: {'OK' if code in (Exit.OK, Exit.NOTHING_TO_DO) else code.name} {counts} out={out} total={total_s}s",
          file=sys.stderr)  # fmt: skip
    return code


def _verify(arguments: Namespace) -> int:
    from gateway.provisioning.manifest import MAX_BYTES, ManifestError, verify

    with arguments.verify.open("rb") as file:
        frame = file.read(MAX_BYTES + 1)
    try:
        factory, entries = verify(frame)
    except ManifestError as error:
        raise CommandError(f"{arguments.verify}: {error}; get it from the factory again", Exit.TRUST) from error
    signer = "0x" + factory.hex()
    if arguments.factory and arguments.factory.lower() != signer:
        wanted = f"wanted {arguments.factory}: it is another factory's"
        raise CommandError(f"{arguments.verify}: signed by {signer}, {wanted}", Exit.TRUST)
    if arguments.json:
        rows = [{name: part.hex() if isinstance(part, bytes) else part for name, part in vars(entry).items()}
                for entry in entries]  # fmt: skip
        print_json({"factory": signer, "entries": rows})
    else:
        for entry in entries:
            device = f"0x{entry.device.hex()}" if entry.device else "-"
            print(f"{entry.serial:<16} {device:<42} {entry.result}")
        print(f"{len(entries)} boards, signed by {signer}", file=sys.stderr)
    return Exit.OK

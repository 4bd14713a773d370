"""`tinyren boards`, `devices`, `flash`, `logs` and `shell`: boards of silicon from the command line."""

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from codecs import getincrementaldecoder
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.commands.arguments import need, new_progress, print_json, readable
from gateway.errors import CommandError, Exit
from gateway.text import printable

COLOUR = re.compile("\x1b\\[[0-9;]*m")


def add_flash(commands: Any) -> None:
    """The commands of boards of silicon."""
    boards_ = _command(commands, "boards", "what boards there are, and what was tried where", boards)
    boards_.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown")
    boards_.add_argument("--json", action="store_true", help="print one JSON list")
    devices_ = _command(commands, "devices", "what is plugged in, and who holds it", devices)
    devices_.add_argument("--json", action="store_true", help="print one JSON list")

    flash_ = _command(commands, "flash", "write firmware, files or both to a board", flash)
    flash_.add_argument("target", metavar="BOARD|PORT", help="a name of `tinyren boards`, or where it is plugged in")
    flash_.add_argument("--port", default="", metavar="P", help="a port, a drive, a probe's serial number or USER@HOST")
    flash_.add_argument("--firmware", type=readable, metavar="FILE", help="the release's file for this board")
    flash_.add_argument("--files", type=_folder, metavar="DIR", help="these files, in place of the agent")
    flash_.add_argument("--tool", default="", metavar="T", help="another way than the board's first")
    flash_.add_argument("--erase", action="store_true", help="lose files, settings and so its identity too")
    flash_.add_argument("--broker", default="", metavar="HOST:PORT", help="a computer's: the gateway's broker")
    flash_.add_argument("--ca", type=readable, metavar="FILE", help="TLS: the gateway's SITE/tls/ca.pem")
    flash_.add_argument("--source", default="", metavar="KIND", help="a computer's: where samples come from: thermal, "
                        "load, iio:DEVICE, ... (default: load)")  # fmt: skip
    flash_.add_argument("--dry-run", action="store_true", help="check everything, show the commands, write nothing")
    flash_.add_argument("--json", action="store_true", help="print one JSON object")

    for name, text, run in (
        ("logs", "what a board prints, until Ctrl-C", logs),
        ("shell", "a board's REPL, until Ctrl-]", shell),
    ):
        _command(commands, name, text, run).add_argument("port", metavar="PORT", help="of `tinyren devices`")


def _command(commands: Any, name: str, text: str, run: Any) -> ArgumentParser:
    command: ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise ArgumentTypeError(f"got {text!r}, wanted a folder that is there")
    return Path(text)


def boards(arguments: Namespace) -> int:
    """Print or write the table of boards."""
    from boards.table import board_rows, write_table

    if arguments.write:
        write_table(arguments.write)
    rows = board_rows()
    if arguments.json:
        print_json(rows)
    elif not arguments.write:
        _print_rows(rows, ("board", "kind", "core", "flash", "hardware"))
    return Exit.OK


def devices(arguments: Namespace) -> int:
    """Print what is plugged in; exit code 5 if nothing is."""
    need("serial")
    from boards.ports import find_plugged

    rows = [vars(item) for item in find_plugged()]
    if arguments.json:
        print_json(rows)
    elif rows:
        cells = [{name: _cell(value) for name, value in row.items()} for row in rows]
        _print_rows(cells, ("place", "kind", "usb", "runs", "boards", "held_by"))
    else:
        print("nothing is plugged in; an emulated board: tinyren emulate --board qemu_virt_rv32", file=sys.stderr)
    return Exit.OK if rows else Exit.NOTHING_TO_DO


def flash(arguments: Namespace) -> int:
    """Write a board; the last line on stderr is for programs."""
    need("mpremote", "serial")
    from gateway.flashing.flash import Request, flash

    progress = new_progress()
    names = ("target", "port", "firmware", "files", "tool", "erase", "dry_run", "broker", "ca", "source")
    result = flash(Request(**{name: getattr(arguments, name) for name in names}), progress)
    if arguments.json:
        print_json(vars(result))
    end = "dry run, nothing written" if arguments.dry_run else f"files={len(result.files_sent)}"
    print(f"RESULT: OK board={result.board or 'unknown'} {end} total={result.total_s}s", file=sys.stderr)
    return Exit.OK


def logs(arguments: Namespace) -> int:
    """Copy what a board prints to stdout: to a terminal as text without colours and commands, elsewhere byte for byte.

    Exit code 6 when it is unplugged.
    """
    need("mpremote", "serial")
    from boards.console import ConsoleError, read_port
    from gateway.flashing.tools import check_port

    check_port(arguments.port)
    show = _text() if sys.stdout.isatty() else bytes
    try:
        for printed in read_port(arguments.port):
            sys.stdout.buffer.write(show(printed))
            sys.stdout.buffer.flush()
    except ConsoleError as error:
        raise CommandError(str(error), Exit.PORT) from error
    except KeyboardInterrupt:
        pass
    return Exit.OK


def _text() -> Callable[[bytes], bytes]:
    """What makes a board's octets, as they come, text that a terminal only shows."""
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    return lambda octets: printable(COLOUR.sub("", decoder.decode(octets)).replace("\r", "")).encode()


def shell(arguments: Namespace) -> int:
    """Become mpremote, connected to the board."""
    need("mpremote", "serial")
    from gateway.flashing.tools import check_port

    check_port(arguments.port)
    os.execv(sys.executable, [sys.executable, "-m", "mpremote", "connect", arguments.port, "repl"])


def _cell(value: Any) -> str:
    return printable(", ".join(value) if isinstance(value, tuple) else str(value))


def _print_rows(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    widths = [max(len(name), *(len(str(row[name])) for row in rows)) for name in columns]
    for cells in [list(columns), *([str(row[name]) for name in columns] for row in rows)]:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())

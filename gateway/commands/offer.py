"""`tinyren offer`: puts firmware files and their boards' agents into a site, whose page `/flash` offers them.

All is built and checked here, so that the page only reads and a gateway needs no compiler.
"""

import json
import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.commands.arguments import need, new_progress, print_json, readable
from gateway.errors import CommandError, Exit
from gateway.progress import Progress

SETTINGS = "settings.json"


def add_offer(commands: Any) -> None:
    """The command `offer`."""
    text = "let a site's page flash boards from a browser"
    command = commands.add_parser("offer", help=text, description=text)
    command.add_argument(
        "inputs", type=readable, nargs="+", metavar="FILE", help="a release's file, under its own name"
    )
    command.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    command.add_argument(
        "--gateways", default="", metavar="HOST:PORT", help="where new boards find their gateway; up to 4, with commas"
    )
    command.add_argument("--ca", type=readable, metavar="FILE", help="then by TLS: SITE/tls/ca.pem")
    command.add_argument("--files", type=Path, metavar="DIR", help="files for new boards instead of the agent")
    command.add_argument("--json", action="store_true", help="print one JSON list")
    command.set_defaults(run=run_offer)


def run_offer(arguments: Namespace) -> int:
    """Check everything, then write; exit code 3 for a file that is no board's."""
    need("littlefs", "mpremote", "serial")
    from gateway.flashing.files import read_image
    from gateway.flashing.offers import FOLDER, offer_all

    if not arguments.site.is_dir():
        what = "wanted the folder of a site; `tinyren up` makes one"
        raise CommandError(f"--site: got {arguments.site}, {what}", Exit.USAGE)
    files = {path.name: read_image(path) for path in arguments.inputs}
    if len(files) < len(arguments.inputs):
        raise CommandError("FILE: got two of one name, wanted each release once; nothing was written", Exit.USAGE)
    found = offer_all(files, lambda _: {})
    progress = new_progress()
    packages = {} if found.troubles else {
        offer.board.name: _package(offer.board.name, arguments, progress) for offer in found.offers
    }  # fmt: skip
    offers = offer_all(files, lambda board: packages.get(board.name, {}))
    if offers.troubles:
        raise CommandError("; ".join(offers.troubles) + "; nothing was written", Exit.REFUSED)
    folder = arguments.site / FOLDER
    for name, content in files.items():
        _write(folder / name, content)
    for board, package in packages.items():
        _replace(folder / board, package)
    rows = [{"board": offer.board.name, "file": offer.file, "files": len(packages[offer.board.name])}
            for offer in offers.offers]  # fmt: skip
    if arguments.json:
        print_json(rows)
    else:
        for row in rows:
            print(f"{row['board']:<18} {row['file']}  and {row['files']} files")
    for newer in newer_files(folder, files):
        print(f"the page offers {newer} still, which is newer; to offer what you named: rm {folder / newer}",
              file=sys.stderr)  # fmt: skip
    if not arguments.gateways:
        print("new boards are not told where their gateway is; --gateways HOST:PORT does", file=sys.stderr)
    print(f"RESULT: OK boards={len(rows)} page=/flash", file=sys.stderr)
    return Exit.OK


def newer_files(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Which files of a folder the page offers in place of these."""
    from gateway.flashing.offers import offer_all
    from gateway.web.flash_http import read_folder

    here, given = (offer_all(found, lambda _: {}).offers for found in (read_folder(folder), files))
    boards = {offer.board.name: offer.file for offer in given}
    return [offer.file for offer in here if boards.get(offer.board.name, offer.file) != offer.file]


def _package(board: str, arguments: Namespace, progress: Progress) -> dict[str, bytes]:
    """What a new board is to have; nothing but firmware where there is no agent for it, which is told."""
    from boards.settings import check
    from gateway.flashing.agent import agent_files, authority_file, warn_of_tls
    from gateway.flashing.files import read_files

    try:
        settings = {"gateways": arguments.gateways} if arguments.gateways else {}
        for name, value in settings.items():
            check(name, value)
    except ValueError as error:
        raise CommandError(f"--gateways: {error}; nothing was written", Exit.USAGE) from None
    try:
        files = read_files(arguments.files) or agent_files(board, progress)
    except CommandError as error:
        if arguments.files:
            raise
        progress.say(f"{board}: firmware alone: {error}")
        return {}
    kept = {SETTINGS: json.dumps(settings).encode()} if settings else {}
    files |= kept | authority_file(arguments.ca)
    if not arguments.files:
        warn_of_tls(board, files, progress)
    return files


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """The folder holds these files and no others; a crash leaves the old ones or none, never a mixture."""
    part, old = (folder.with_name(folder.name + end) for end in (".part", ".old"))
    for left in (part, old):
        shutil.rmtree(left, ignore_errors=True)
    for path, content in files.items():
        _write(part / path, content)
    if folder.exists():
        folder.rename(old)
    if files:
        part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)

"""`tinyren uf2`: looks into UF2 files, and makes one for several boards, with their files behind the firmware."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from boards import uf2
from boards.board import BoardError
from boards.files_image import files_region, make_image
from boards.hardware import Hardware, hardware_names, load_hardware
from gateway.commands.arguments import print_json, readable
from gateway.errors import CommandError, Exit

TWO_CORES = "a board with RP2350 takes {}; copied by hand, it runs the first in the file"


def add_uf2(commands: Any) -> None:
    """The command `uf2` and its verbs."""
    text = "UF2 files: what is in one, and one for several boards"
    verbs = commands.add_parser("uf2", help=text, description=text).add_subparsers(metavar="VERB", required=True)
    show = verbs.add_parser("show", help="for which boards a file is", description="for which boards a file is")
    show.add_argument("file", type=readable, metavar="FILE", help="a UF2 file")
    show.set_defaults(run=run_show)

    text = "one file for the boards of several"
    join = verbs.add_parser("join", help=text, description=f"{text}: each board takes its own part of it")
    join.add_argument("inputs", type=readable, nargs="+", metavar="FILE", help="a board's firmware as a UF2 file")
    join.add_argument("--files", type=Path, metavar="DIR", help="files that each board then has; it loses its own")
    join.add_argument("--out", type=Path, required=True, metavar="OUT", help="where to write it")
    join.set_defaults(run=run_join)
    for verb in (show, join):
        verb.add_argument("--json", action="store_true", help="print one JSON list")


def run_show(arguments: Namespace) -> int:
    """Print a row an image."""
    from gateway.flashing.files import read_image

    _print(_read(arguments.file, read_image(arguments.file)), arguments.json)
    return Exit.OK


def run_join(arguments: Namespace) -> int:
    """Write the file whole or not at all, and print its rows."""
    from gateway.flashing.files import read_files, read_image

    files = read_files(arguments.files)
    parts = []
    for path in arguments.inputs:
        content = read_image(path)
        parts += [_with_files(path, content, image, files) for image in _read(path, content)]
    try:
        joined = uf2.join(*parts)
    except uf2.Uf2Error as error:
        raise CommandError(f"{error}; name each board's file once", Exit.REFUSED) from error
    part = arguments.out.with_name(arguments.out.name + ".part")
    try:
        part.write_bytes(joined)
        part.replace(arguments.out)
    finally:
        part.unlink(missing_ok=True)
    _print(uf2.read(joined), arguments.json)
    return Exit.OK


def boards_of_family(family: int | None) -> list[Hardware]:
    """The boards that take blocks of a family by their first way."""
    boards = [load_hardware(name) for name in hardware_names()]
    return [board for board in boards if family is not None and uf2.FAMILIES.get(board.flash[0].family) == family]


def _read(path: Path, file: bytes) -> list[uf2.Image]:
    try:
        return uf2.read(file)
    except uf2.Uf2Error as error:
        raise CommandError(f"{path}: {error}; download it again", Exit.REFUSED) from error


def _with_files(path: Path, file: bytes, image: uf2.Image, files: dict[str, bytes]) -> bytes:
    """The blocks of one image of a file, with a board's files behind them if there are any."""
    if image.family is None:
        raise CommandError(f"{path}: got blocks without a family, wanted them of one board: take another file",
                           Exit.REFUSED)  # fmt: skip
    if not files:
        return uf2.select(file, image.family)
    boards = boards_of_family(image.family)
    if len(boards) != 1:
        got = ", ".join(board.name for board in boards) or f"no board for family {image.family:#x}"
        raise CommandError(f"{path}: got {got}, wanted one, to know where its files are; join it without --files",
                           Exit.REFUSED)  # fmt: skip
    try:
        region = files_region(boards[0])
        return uf2.add(file, image.family, region.address, make_image(files, region))
    except (BoardError, uf2.Uf2Error) as error:
        raise CommandError(f"{path}: {error}", Exit.REFUSED) from error


def _print(images: list[uf2.Image], as_json: bool) -> None:
    rows = [_row(image) for image in images]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        boards = ", ".join(row["boards"]) or "no board that is known"
        print(f"{row['family']:<14} {boards:<20} {row['bytes']:>9} bytes at {row['address']}  {row['sha256'][:16]}")
    both = [row["family"] for row in rows if row["family"].startswith("rp2350")]
    if len(both) > 1:
        print(TWO_CORES.format(" and ".join(both)), file=sys.stderr)


def _row(image: uf2.Image) -> dict[str, Any]:
    return {
        "family": next((name for name, number in uf2.FAMILIES.items() if number == image.family), _number(image)),
        "boards": [board.name for board in boards_of_family(image.family)],
        "address": f"{image.start:#x}",
        "bytes": image.written,
        "sha256": uf2.digest(image).hex(),
    }


def _number(image: uf2.Image) -> str:
    return "none" if image.family is None else f"{image.family:#x}"

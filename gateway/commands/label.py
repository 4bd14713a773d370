"""`tinyren label`: a new set-up code for each device, drawn as its label; shows a code once and never again.

With --url, or page.public_url in the site's configuration, a phone's own camera opens the gateway's page by the label.
The drawings are made first, then the codes' hashes are kept, then the file takes its name: a crash in between leaves no
file that looks like a label but is none.
"""

import os
import re
import sqlite3
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.labels.codes import Codes
    from gateway.labels.layout import Layout
    from gateway.labels.payload import Label

FORMATS = ("svg", "png", "pdf", "zpl", "text")
OF_ONE = ("svg", "png")
_DEVICE = re.compile(r"(0x)?([0-9a-fA-F]{40})")


def add_label(commands: Any) -> None:
    """The command `label`."""
    label = commands.add_parser("label", help="draw a device's label, with a new set-up code")
    label.add_argument("devices", nargs="+", metavar="DEVICE", help="device id, 0x and 40 hex digits")
    label.add_argument("--format", choices=FORMATS, default="text", help="how it is drawn (default: text)")
    label.add_argument("--sheet", action="store_true", help="with pdf: A4 sheets of 3 x 8 labels, 70 x 37 mm each")
    label.add_argument("--out", type=Path, metavar="FILE", help="where to (default: label.FORMAT; text: stdout)")
    label.add_argument("--board", metavar="B", help="board of devices that this site has not heard yet")
    label.add_argument(
        "--url",
        metavar="URL",
        help="the page that phones open by the label, https://HOST:PORT (default: page.public_url)",
    )
    label.add_argument("--replace", action="store_true", help="void the labels that these devices have")
    label.add_argument("--site", type=Path, default=Path("site"), metavar="DIR", help="the site (default: site)")
    label.set_defaults(run=run_label)


def run_label(arguments: Namespace) -> int:
    from gateway.labels.codes import Codes, CodesFull

    devices = _devices(arguments)
    path = arguments.out or (None if arguments.format == "text" else Path(f"label.{arguments.format}"))
    if path and path.is_dir():
        raise CommandError(f"--out: got the folder {path}, wanted the name of a file in it", Exit.USAGE)
    boards = [_board(arguments, device) for device in devices]
    page, known = page_of(arguments.site, arguments.url), page_of(arguments.site)
    if page not in ("", known):
        wanted = (
            f"page.public_url, which is {known or 'not set'}: the page answers only to names that its settings have"
        )
        print(f"tinyren: these labels lead to {page}, wanted {wanted}", file=sys.stderr)
    codes = Codes(arguments.site)
    try:
        _refuse_second(codes, devices, arguments.replace)
        labels = [label_for(device, board) for device, board in zip(devices, boards, strict=True)]
        drawn = draw(layouts_of(labels, boards, page), arguments.format, arguments.sheet)
        part = _write_part(path, drawn) if path else None
        try:
            codes.keep_all([(label.device, board, label.code) for label, board in zip(labels, boards, strict=True)])
        except CodesFull as error:
            if part:
                part.unlink()
            raise CommandError(str(error)) from error
    finally:
        codes.close()
    if path and part:
        os.replace(part, path)
        print(f"{len(labels)} of {len(labels)} labels are in {path}; keep it as you keep a key", file=sys.stderr)
    else:
        print(drawn.decode(), end="")
    return Exit.OK


def draw(layouts: "list[Layout]", kind: str, on_sheets: bool) -> bytes:
    """The bytes of a file of one of FORMATS.

    Raises:
        CommandError: the package that draws it is not installed.
    """
    from gateway.labels import drawing

    if kind in ("png", "pdf"):
        try:
            from gateway.labels import printing
        except ImportError as error:
            raise _missing(error) from error
        return printing.png(layouts[0]) if kind == "png" else printing.pdf(layouts, on_sheets)
    texts = {"svg": lambda: drawing.svg(layouts[0]), "zpl": lambda: drawing.zpl(layouts)}
    return texts.get(kind, lambda: drawing.text(layouts))().encode()


def page_of(site: Path, given: str | None = None) -> str:
    """The page that a site's labels open, "" for none: what is given, else page.public_url.

    Raises:
        CommandError: what is given is no address that a label can say.
    """
    from gateway.configuration import configuration
    from gateway.labels.payload import LabelError, check_page

    url = str(configuration.load(site).values["page.public_url"]) if given is None else given
    try:
        return check_page(url) if url else ""
    except LabelError as error:
        raise CommandError(f"--{error}", Exit.USAGE) from error


def layouts_of(labels: "list[Label]", boards: list[str], page: str = "") -> "list[Layout]":
    """How each label is laid out, with `page` as `page_of` gives it. CommandError: what does it is not installed."""
    try:
        from gateway.labels.layout import lay_out
    except ImportError as error:
        raise _missing(error) from error
    return [lay_out(label, board, page) for label, board in zip(labels, boards, strict=True)]


def _missing(error: ImportError) -> CommandError:
    return CommandError(f"{error.name} is missing; install it: pip install 'tinyren[labels]'", Exit.USAGE)


def _devices(arguments: Namespace) -> list[bytes]:
    if not arguments.site.is_dir():
        what = "wanted the folder of a site; `tinyren up` makes one"
        raise CommandError(f"--site: got {arguments.site}, {what}", Exit.USAGE)
    devices = []
    for text in arguments.devices:
        match = _DEVICE.fullmatch(text)
        if match is None:
            raise CommandError(f"DEVICE: got {text!r}, wanted a device id, 0x and 40 hex digits", Exit.USAGE)
        devices.append(bytes.fromhex(match[2]))
    if len(set(devices)) < len(devices):
        raise CommandError("DEVICE: got one device twice, wanted each once: a device has one label", Exit.USAGE)
    if arguments.format in OF_ONE and len(devices) > 1:
        wanted = f"wanted one for {arguments.format}; take --format pdf or zpl for many"
        raise CommandError(f"DEVICE: got {len(devices)} devices, {wanted}", Exit.USAGE)
    if arguments.sheet and arguments.format != "pdf":
        raise CommandError(f"--sheet: got --format {arguments.format}, wanted --format pdf", Exit.USAGE)
    return devices


def _board(arguments: Namespace, device: bytes) -> str:
    """The board that the device announced, or --board's where the site has not heard it."""
    from device.agent.eip712 import board_word
    from device.agent.errors import LocalError

    announced, given = _announced(arguments.site, device), arguments.board
    if announced and given not in (None, announced):
        what = f"but 0x{device.hex()} announced {announced!r}; leave it out"
        raise CommandError(f"--board: got {given!r}, {what}", Exit.REFUSED)
    if not announced and given is None:
        what = "wanted one that the site has heard, or its board by --board"
        raise CommandError(f"DEVICE: got 0x{device.hex()}, which never announced itself here; {what}", Exit.USAGE)
    try:
        board_word(announced or given)
    except LocalError as error:
        raise CommandError(f"--{error}", Exit.USAGE) from error
    return str(announced or given)


def _announced(site: Path, device: bytes) -> str | None:
    path = site / "state.sqlite"
    if not path.exists():
        return None
    database = sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True, timeout=10)
    try:
        row = database.execute("SELECT board FROM device WHERE id = ?", (device,)).fetchone()
    except sqlite3.DatabaseError as error:
        raise CommandError(f"{path}: {error}") from error
    finally:
        database.close()
    return row and str(row[0])


def _refuse_second(codes: "Codes", devices: list[bytes], may_replace: bool) -> None:
    have = [device for device in devices if codes.find(device)]
    if have and not may_replace:
        what = "its set-up code is kept as a hash and cannot be drawn again; --replace makes a new label, voiding that"
        raise CommandError(f"DEVICE: 0x{have[0].hex()} has a label already; {what}", Exit.REFUSED)


def label_for(device: bytes, board: str) -> "Label":
    """A label with a new set-up code, of which nothing is kept yet."""
    from gateway.labels.codes import new_code
    from gateway.labels.payload import Label, board_digest

    return Label(device, board_digest(board), new_code())


def _write_part(path: Path, content: bytes) -> Path:
    """Write beside `path`, for its user's eyes only; the name of what was written."""
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return part

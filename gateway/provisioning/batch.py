"""Which boards a batch is of, pure: rows of a list, duplicates refused by row, what was done before. It starts nothing.

The list is CSV with the columns of COLUMNS; all but NEEDED may lack. Rows count from 2, as a spreadsheet shows them
below the heading. A row that is refused stops no other. A list is kept and passed on, so it takes no password.
"""

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from boards import settings

ON_BOARD = ("gateways", "ssid", "sensors")
COLUMNS = ("serial", "board", "port", "name", *ON_BOARD, "device")
NEEDED = COLUMNS[:2]
MOST_ROWS = 10_000
FIRST_ROW = 2
OK = "ok"
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_PORT = re.compile(r"[!-~]{0,128}")
_NAME = re.compile(r"(?:\w[\w .-]{0,31})?")
_DEVICE = re.compile(r"(?:0x[0-9a-fA-F]{40})?")


class ListError(ValueError):
    """A list is none; the message names the row, what was got and what was wanted."""


@dataclass(frozen=True)
class Row:
    """One board: number of its row, serial number, board's name, port ("" if emulated), a person's name for it; what is
    set on it, as boards/settings.py has it; the id that its label says, if it has one already. "": none.
    """

    number: int
    serial: str
    board: str
    port: str = ""
    name: str = ""
    gateways: str = ""
    ssid: str = ""
    sensors: str = ""
    device: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """What the row sets on the board, by name."""
        return {name: value for name in ON_BOARD if (value := getattr(self, name))}


@dataclass(frozen=True)
class Refused:
    """A row that is not provisioned, and why."""

    row: Row
    reason: str


def numbered(count: int, board: str) -> list[Row]:
    """So many emulated boards, serials from 0001 on."""
    return [Row(number + FIRST_ROW, f"{number + 1:04}", board) for number in range(count)]


def read_list(text: str) -> list[Row]:
    """The rows of a list.

    Raises:
        ListError: a column lacks or is unknown, there are none or too many rows, or a field is not as it must be.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        heading, *lines = [[cell.strip() for cell in line] for line in reader if any(map(str.strip, line))] or [[]]
    except csv.Error as error:
        raise ListError(f"the list is no CSV: {error}") from error
    if set(heading) & set(settings.SECRET):
        raise ListError("row 1: got a column for a password, wanted none in a list; give it by --set password=-")
    if set(heading) - set(COLUMNS) or not set(NEEDED) <= set(heading) or len(set(heading)) < len(heading):
        raise ListError(f"row 1: got the columns {', '.join(heading)[:80]}, wanted {', '.join(COLUMNS)}")
    if not 0 < len(lines) <= MOST_ROWS:
        raise ListError(f"got {len(lines)} boards, wanted 1 to {MOST_ROWS}")
    return [_row(number, heading, line) for number, line in enumerate(lines, FIRST_ROW)]


def _row(number: int, heading: Sequence[str], line: Sequence[str]) -> Row:
    if len(line) != len(heading):
        raise ListError(f"row {number}: got {len(line)} fields, wanted {len(heading)}")
    row = Row(number, **dict(zip(heading, line, strict=True)))
    for field, pattern, wanted in (
        ("serial", _SERIAL, "1 to 32 of A-Z a-z 0-9 . _ -, the first a letter or a digit"),
        ("board", _SERIAL, "a name of `tinyren boards`"),
        ("port", _PORT, "a port of `tinyren devices`"),
        ("name", _NAME, "up to 32 letters, digits, spaces . _ -"),
        ("device", _DEVICE, "a device's id, 0x and 40 hexadecimal digits"),
    ):
        if not pattern.fullmatch(getattr(row, field)):
            raise ListError(f"row {number}: {field}: got {getattr(row, field)[:40]!r}, wanted {wanted}")
    for name, value in row.settings.items():
        try:
            settings.check(name, value)
        except ValueError as error:
            raise ListError(f"row {number}: {error}") from error
    return row


def plan(
    rows: Sequence[Row],
    emulated: Collection[str],
    silicon: Collection[str],
    done: Mapping[str, Row],
    places: Mapping[str, str],
) -> tuple[list[Row], list[Row], list[Refused]]:
    """What is to be done.

    Args:
        emulated, silicon: names of the boards there are. done: rows that earlier runs finished, by serial.
        places: what a port's name leads to, where it is a link: two names may be one port.
    Returns:
        (rows to do, rows that were done before, rows that are refused), each in the list's order.
    """
    to_do: list[Row] = []
    before: list[Row] = []
    refused: list[Refused] = []
    serials: dict[str, int] = {}
    ports: dict[str, int] = {}
    for row in rows:
        place = places.get(row.port, row.port)
        reason = _why_not(row, done.get(row.serial), serials.get(row.serial), ports.get(place))
        reason = reason or _unknown(row, emulated, silicon)
        serials.setdefault(row.serial, row.number)
        if place:
            ports.setdefault(place, row.number)
        if reason:
            refused.append(Refused(row, reason))
        else:
            (before if row.serial in done else to_do).append(row)
    return to_do, before, refused


def _why_not(row: Row, done: Row | None, same_serial: int | None, same_port: int | None) -> str:
    """done: the row of that serial which was finished; same_serial, same_port: numbers of the rows that have them."""
    if same_serial is not None:
        return f"serial {row.serial} is that of row {same_serial} too: give each board its own"
    if same_port is not None:
        return f"port {row.port} is that of row {same_port} too: one board is at one port"
    if done and replace(done, number=row.number) != row:
        return f"serial {row.serial} was provisioned before, as another row: give this board another serial"
    return ""


def _unknown(row: Row, emulated: Collection[str], silicon: Collection[str]) -> str:
    if row.board not in (*emulated, *silicon):
        return f"board {row.board}: there is none that is brought the agent at a port; see `tinyren boards`"
    if row.board in emulated and row.settings:
        return f"{', '.join(row.settings)}: got one, but the {row.board} is emulated and takes no settings"
    if not row.port and row.board not in emulated:
        return f"port: got none, wanted where the {row.board} is plugged in; see `tinyren devices`"
    return ""

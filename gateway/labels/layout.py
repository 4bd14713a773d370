"""Where what a label shows lies on it, in millimetres, the same in every format; pure, it draws and writes nothing.

A label is 50 x 25 mm, a size that thermal printers have: the QR code of 22 mm with its quiet zone on the left; beside
it the board, the device id by its two ends, and the manual code. Lines are in a monospaced face whose characters are
0.6 of its size wide (Courier), so that each format fits them in the same way.
"""

from dataclasses import dataclass

import segno

from gateway.labels import payload
from gateway.labels.payload import Label
from gateway.text import one_line

WIDTH_MM, HEIGHT_MM = 50.0, 25.0
QR_MM = 22.0
QR_LEFT_MM, QR_TOP_MM = 1.0, 1.5
QUIET = 4
_TEXT_LEFT_MM, _TEXT_WIDTH_MM = 24.0, 25.0
_ADVANCE = 0.6
_LARGEST_MM = 3.0


@dataclass(frozen=True)
class Line:
    """A line of text: where it starts, its baseline and the size of its face, mm."""

    text: str
    left_mm: float
    baseline_mm: float
    size_mm: float

    @property
    def width_mm(self) -> float:
        return len(self.text) * self.size_mm * _ADVANCE


@dataclass(frozen=True)
class Layout:
    """`text` is what the QR code says, `modules` its rows, True for dark, without the quiet zone."""

    text: str
    modules: tuple[tuple[bool, ...], ...]
    lines: tuple[Line, ...]

    @property
    def module_mm(self) -> float:
        return QR_MM / (len(self.modules) + 2 * QUIET)

    def runs(self) -> list[tuple[int, int, int]]:
        """Dark modules as (row, first column, how many), the fewest rectangles of one module's height."""
        found = []
        for number, row in enumerate(self.modules):
            start = 0
            for column in range(len(row) + 1):
                if column == len(row) or not row[column]:
                    if column > start:
                        found.append((number, start, column - start))
                    start = column + 1
        return found


def lay_out(label: Label, board: str, page: str = "") -> Layout:
    """The layout of a label.

    Args:
        board: the name that `label.board` is the digest of, for people; a device may have said it, so it is made text.
        page: where phones find the gateway's page (payload.check_page), if its QR code is to open it.
    """
    text = payload.encode_url(label, page) if page else payload.encode(label)
    code = segno.make(text, error="m", mode="alphanumeric", boost_error=False, micro=False)
    device = "0x" + label.device.hex()
    words = (one_line(board), f"{device[:8]}..{device[-6:]}", payload.manual_code(label))
    lines = tuple(_line(word, 7.0 + 6.0 * place) for place, word in enumerate(words))
    return Layout(text, tuple(tuple(module == 1 for module in row) for row in code.matrix), lines)


def _line(text: str, baseline_mm: float) -> Line:
    return Line(text, _TEXT_LEFT_MM, baseline_mm, min(_LARGEST_MM, _TEXT_WIDTH_MM / (_ADVANCE * len(text))))

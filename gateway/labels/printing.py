"""A label as PNG, and labels as PDF, one a page or on sheets; the only file that knows Pillow and fpdf2.

A sheet is A4 with 3 x 8 labels of 70 x 37 mm, as they are sold for laser printers; ours lie in the middle of them.
"""

import io
from collections.abc import Sequence

from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont

from gateway.labels.layout import HEIGHT_MM, QR_LEFT_MM, QR_MM, QR_TOP_MM, QUIET, WIDTH_MM, Layout

PIXELS_PER_MM = 12  # 305 dpi
COLUMNS, ROWS = 3, 8
CELL_MM = (70.0, 37.0)
SHEET_TOP_MM = 0.5
POINTS_PER_MM = 72 / 25.4


def png(layout: Layout) -> bytes:
    """One picture of 305 dpi."""
    image = Image.new("1", (int(WIDTH_MM * PIXELS_PER_MM), int(HEIGHT_MM * PIXELS_PER_MM)), 1)
    draw = ImageDraw.Draw(image)
    step = int(layout.module_mm * PIXELS_PER_MM)  # whole pixels, so the code is a little smaller than QR_MM
    inset = (QR_MM * PIXELS_PER_MM - step * len(layout.modules)) // 2
    left, top = (int(place * PIXELS_PER_MM + inset) for place in (QR_LEFT_MM, QR_TOP_MM))
    for row, column, count in layout.runs():
        corner = (left + column * step, top + row * step)
        draw.rectangle((corner, (corner[0] + count * step - 1, corner[1] + step - 1)), fill=0)
    for line in layout.lines:
        size = line.size_mm * PIXELS_PER_MM
        wide = ImageFont.load_default(size).getlength(line.text)
        font = ImageFont.load_default(min(size, size * line.width_mm * PIXELS_PER_MM / wide))
        draw.text((line.left_mm * PIXELS_PER_MM, line.baseline_mm * PIXELS_PER_MM), line.text, 0, font, anchor="ls")
    out = io.BytesIO()
    image.save(out, "PNG", dpi=(PIXELS_PER_MM * 25.4, PIXELS_PER_MM * 25.4))
    return out.getvalue()


def pdf(layouts: Sequence[Layout], on_sheets: bool) -> bytes:
    """One document; a page a label, or sheets."""
    page = (210.0, 297.0) if on_sheets else (WIDTH_MM, HEIGHT_MM)
    document = FPDF(unit="mm", format=page)
    document.set_auto_page_break(False)
    document.set_title("tinyren labels")
    for number, layout in enumerate(layouts):
        place = number % (COLUMNS * ROWS) if on_sheets else 0
        if place == 0:
            document.add_page()
        _draw(document, layout, _corner(place) if on_sheets else (0.0, 0.0))
    return bytes(document.output())


def _corner(place: int) -> tuple[float, float]:
    """Where the label in a sheet's place (from 0, row by row) has its upper left corner, mm."""
    row, column = divmod(place, COLUMNS)
    wide, high = CELL_MM
    return column * wide + (wide - WIDTH_MM) / 2, SHEET_TOP_MM + row * high + (high - HEIGHT_MM) / 2


def _draw(document: FPDF, layout: Layout, corner: tuple[float, float]) -> None:
    step = layout.module_mm
    left, top = corner[0] + QR_LEFT_MM + QUIET * step, corner[1] + QR_TOP_MM + QUIET * step
    for row, column, count in layout.runs():
        document.rect(left + column * step, top + row * step, count * step, step, style="F")
    for line in layout.lines:
        document.set_font("Courier", size=line.size_mm * POINTS_PER_MM)
        document.text(corner[0] + line.left_mm, corner[1] + line.baseline_mm, line.text)

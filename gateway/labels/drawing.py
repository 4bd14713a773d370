"""A label as SVG, as ZPL II for label printers, and as text for a terminal; refuses to lay anything out (layout does).

ZPL leaves the QR code to the printer: ^BQN,2,N draws it with modules of N dots, and ^FDMM,A says error correction M,
manual mode, alphanumeric. Source: Zebra, "ZPL II Programming Guide", ^BQ and ^FH.
"""

from collections.abc import Sequence
from html import escape

from gateway.labels.layout import HEIGHT_MM, QR_LEFT_MM, QR_TOP_MM, QUIET, WIDTH_MM, Layout

DOTS_PER_MM = 8  # of a printer of 203 dpi
_HALVES = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}  # by dark upper, lower half


def svg(layout: Layout) -> str:
    """One SVG document in mm."""
    step = layout.module_mm
    left, top = QR_LEFT_MM + QUIET * step, QR_TOP_MM + QUIET * step
    path = "".join(f"M{column} {row}h{count}v1h-{count}z" for row, column, count in layout.runs())
    texts = [
        f'<text x="{line.left_mm:g}" y="{line.baseline_mm:g}" font-size="{line.size_mm:.3f}" '
        f'textLength="{line.width_mm:.3f}" lengthAdjust="spacingAndGlyphs">{escape(line.text)}</text>'
        for line in layout.lines
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM:g}mm" height="{HEIGHT_MM:g}mm" '
            f'viewBox="0 0 {WIDTH_MM:g} {HEIGHT_MM:g}" font-family="Courier, monospace">',
            f'<rect width="{WIDTH_MM:g}" height="{HEIGHT_MM:g}" fill="#fff"/>',
            f'<path transform="translate({left:.4f} {top:.4f}) scale({step:.4f})" shape-rendering="crispEdges" '
            f'd="{path}"/>',
            *texts,
            "</svg>\n",
        ]
    )


def zpl(layouts: Sequence[Layout]) -> str:
    """A format, ^XA to ^XZ, for each label, for a printer of 203 dpi."""
    return "".join(_zpl(layout) for layout in layouts)


def _zpl(layout: Layout) -> str:
    magnification = int(layout.module_mm * DOTS_PER_MM)
    inset = QUIET * magnification
    left, top = (int(place * DOTS_PER_MM) + inset for place in (QR_LEFT_MM, QR_TOP_MM))
    fields = [f"^FO{left},{top}^BQN,2,{magnification}^FDMM,A{layout.text}^FS"]
    for line in layout.lines:
        size = int(line.size_mm * DOTS_PER_MM)
        place = f"^FT{int(line.left_mm * DOTS_PER_MM)},{int(line.baseline_mm * DOTS_PER_MM)}"
        fields.append(f"{place}^A0N,{size},{int(size * 0.9)}^FH^FD{_zpl_text(line.text)}^FS")
    return "\n".join([f"^XA^PW{int(WIDTH_MM * DOTS_PER_MM)}^LL{int(HEIGHT_MM * DOTS_PER_MM)}", *fields, "^XZ\n"])


def _zpl_text(text: str) -> str:
    """Text in which no character is a command's: all but letters, digits, hyphen, full stop and space as _XX."""
    plain = {*"-. "}
    return "".join(char if char.isalnum() or char in plain else f"_{ord(char):02X}" for char in text)


def text(layouts: Sequence[Layout]) -> str:
    """QR codes of half blocks, for a terminal that writes light on dark, and the lines below each."""
    return "\n".join(_text(layout) for layout in layouts)


def _text(layout: Layout) -> str:
    size = len(layout.modules) + 2 * QUIET
    light = [False] * size
    rows = [light] * QUIET + [[False] * QUIET + list(row) + [False] * QUIET for row in layout.modules]
    rows += [light] * (QUIET + size % 2)
    blocks = ["".join(map(_half, *rows[at : at + 2])) for at in range(0, len(rows), 2)]
    return "\n".join([*blocks, *(line.text for line in layout.lines), ""])


def _half(upper: bool, lower: bool) -> str:
    return _HALVES[upper, lower]

"""Pictures of figures as SVG text, the same bytes each time: lines and a confusion matrix; nothing else."""

from html import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 560, 320, 60, 40, 20, 50
COLOURS = ("#1f6feb", "#d1652b", "#2da44e", "#8250df", "#bf3989", "#6e7781")
TICKS = 5
CELL, LABELS = 80, 110
STYLE = 'font-family="sans-serif" font-size="12"'


def line_chart(title: str, x_label: str, y_label: str, series: dict[str, list[tuple[float, float]]]) -> str:
    """SVG of a line a series through its points; both axes begin at 0."""
    right = max(x for points in series.values() for x, _ in points) or 1.0
    top = max(y for points in series.values() for _, y in points) or 1.0
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x, y):
        return f"{LEFT + x / right * across:.1f}", f"{TOP + (1 - y / top) * down:.1f}"

    parts = [
        _text(WIDTH / 2, 22, title),
        _text(LEFT + across / 2, HEIGHT - 10, x_label),
        _text(16, TOP + down / 2, y_label, turn=True),
    ]
    for tick in range(TICKS + 1):
        x, y = right * tick / TICKS, top * tick / TICKS
        (left, level), (column, floor) = place(0, y), place(x, 0)
        parts += [
            f'<path d="M{left} {level}h{across}" stroke="#ddd"/>',
            _text(LEFT - 6, float(level) + 4, f"{y:.2g}", "end"),
            _text(column, float(floor) + 16, f"{x:.4g}"),
        ]
    for index, (name, points) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        way = " ".join(",".join(place(x, y)) for x, y in points)
        parts += [
            f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>',
            _text(WIDTH - RIGHT - 8, TOP + down / 2 + 16 * index, name, "end", colour),
        ]
    return _picture(WIDTH, HEIGHT, title, parts)


def confusion_matrix(title: str, classes: tuple[str, ...], counts: list[list[int]]) -> str:
    """SVG of counts[true class][told class]; the darker a field, the larger its share of its row."""
    middle = CELL * len(classes) / 2
    parts = [
        _text(LABELS + middle, 22, title),
        _text(LABELS + middle, 46, "told"),
        _text(16, 68 + middle, "true", turn=True),
    ]
    for row, line in enumerate(counts):
        parts += [
            _text(LABELS + CELL * (row + 0.5), 62, classes[row]),
            _text(LABELS - 6, 70 + CELL * (row + 0.5), classes[row], "end"),
        ]
        for column, count in enumerate(line):
            share = count / max(1, sum(line))
            x, y = LABELS + CELL * column, 68 + CELL * row
            parts += [
                f'<rect x="{x}" y="{y}" width="{CELL - 2}" height="{CELL - 2}" fill="{COLOURS[0]}" '
                f'fill-opacity="{0.05 + 0.95 * share:.3f}"/>',
                _text(x + CELL / 2, y + CELL / 2 + 4, str(count), colour="#fff" if share > 0.5 else "#222"),
            ]
    return _picture(LABELS + CELL * len(classes) + 20, 68 + CELL * len(classes) + 20, title, parts)


def _text(x, y, words: str, anchor: str = "middle", colour: str = "#222", turn: bool = False) -> str:
    x, y = (f"{float(value):.1f}" for value in (x, y))
    turned = f' transform="rotate(-90 {x} {y})"' if turn else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}"{turned}>{escape(words)}</text>'


def _picture(width: int, height: int, title: str, parts: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" {STYLE}>'
    )
    return "\n".join(
        [
            head,
            f"<title>{escape(title)}</title>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )

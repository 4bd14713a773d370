"""Numbers as the coordinates of a drawing, pure; the SVG itself is in templates/plots.html.

A drawing is WIDTH x HEIGHT units, stretched to its place by CSS; its numbers are in the page as text too.
"""

from collections.abc import Sequence
from typing import Any

WIDTH, HEIGHT = 600, 100
GAP = 0.25
LEVELS = 9


def columns(values: Sequence[float], most: float) -> list[dict[str, Any]]:
    """A column for each value, `most` being the full height; `x`, `y`, `width`, `height`, and `is_full`."""
    step = WIDTH / max(1, len(values))
    return [
        {
            "x": round(step * (index + GAP / 2), 2),
            "y": round(HEIGHT - _part(value, most) * HEIGHT, 2),
            "width": round(step * (1 - GAP), 2),
            "height": round(_part(value, most) * HEIGHT, 2),
            "is_full": value >= most,
        }
        for index, value in enumerate(values)
    ]


def line(values: Sequence[float | None], least: float, most: float) -> list[str]:
    """The `points` of polylines through the values, one for each stretch without a gap (None)."""
    step = WIDTH / max(1, len(values) - 1)
    found: list[list[str]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            found.append([])
        else:
            height = HEIGHT - _part(value - least, most - least) * HEIGHT
            found[-1].append(f"{index * step:.1f},{height:.1f}")
    return [" ".join(points) for points in found if points]


def cells(vectors: Sequence[Sequence[int]], places: int) -> list[str]:
    """Vectors of int8 as a grid of `places` columns, newest right, first value at the top.

    Returns:
        str[LEVELS], the `d` of a path for the cells of each level: level 0 begins at -128, LEVELS - 1 ends at 127.
    """
    paths: list[list[str]] = [[] for _ in range(LEVELS)]
    width, height = WIDTH / max(1, places), HEIGHT / max(1, *map(len, vectors), 1)
    for place, vector in enumerate(vectors, places - len(vectors)):
        for row, value in enumerate(vector):
            cell = f"M{place * width:.1f} {row * height:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"
            paths[(value + 128) * LEVELS // 256].append(cell)
    return ["".join(path) for path in paths]


def _part(value: float, most: float) -> float:
    return min(1.0, max(0.0, value / most)) if most > 0 else 0.0

"""The committed figures as Markdown: what was measured, what was wanted, what it is compared with; it measures nothing.

`python -m gateway.benchmarks.figures` writes docs/figures.md from bench/results.json; a test compares.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.benchmarks.rows import BOARD_ROWS, BOARD_TARGETS, TARGETS, WORST, at, plain_rows
from gateway.benchmarks.table import shown, verdict

ROOT = Path(__file__).parents[2]
RESULTS, FIGURES = ROOT / "bench" / "results.json", ROOT / "docs" / "figures.md"
INTRO = """# Figures

`make bench` measures all of this ({machine}), prints it beside what was wanted, and writes
`bench/results.json`, of which `python -m gateway.benchmarks.figures` makes this page. Rates and seconds are that
machine's; where something is measured in turns with what it is compared with, only the two together mean something.

The boards are emulated: QEMU counts instructions and has no pipeline, cache or wait states. So these figures compare
code with code, not boards with boards."""


def markdown(result: dict[str, Any]) -> str:
    """The page of a result of bench.bench."""
    machine = "{cpu}, {cores} cores, Python {python}, QEMU {qemu}".format(**result["machine"])
    judged = {name: verdict(row) for name, row in result["targets"].items()}
    parts = [INTRO.format(machine=machine), *_boards(result, judged), *_models(result, judged)]
    parts += _natmod(result)
    lines: list[str] = []
    for label, value, path in plain_rows(result):
        if value is None and label[0].isupper():
            lines += ["", f"## {label}", "", *_head("", "measured", "wanted")]
        else:
            figure = f"**{label}**" if value is None else _cell(label)
            lines.append(
                _row(figure, "" if value is None else shown(value, path), judged.get(TARGETS.get(path, ""), ""))
            )
    return "\n".join([*parts, *lines]) + "\n"


def _boards(result: dict[str, Any], judged: dict[str, str]) -> Iterator[str]:
    boards = result["boards"].values()
    for label, path in BOARD_ROWS:
        if path:
            wanted = judged.get(BOARD_TARGETS.get(path, ""), "")
            yield _row(_cell(label), *(shown(at(board, path)) for board in boards), wanted)
        else:
            yield from ["", f"## On the device: {label.lower()}", ""]
            yield from _head("", *(board["core"] for board in boards), "wanted")


def _models(result: dict[str, Any], judged: dict[str, str]) -> Iterator[str]:
    """Instructions of a multiply-accumulate, beside a bare C program's and TensorFlow Lite Micro's."""
    yield from ["", "## Models: instructions of a multiply-accumulate, called from MicroPython", ""]
    yield from _head("model", "core", "measured", "wanted", "bare C", "TFLM", "of TFLM's")
    for name, model in result["models"].items():
        for row in model["boards"].values():
            cells = (row.get(key) for key in ("per_mac", "wanted", "bare_per_mac", "tflm_per_mac", "ratio"))
            yield _row(name, row["core"], *("" if value is None else f"{value:.2f}" for value in cells))
    yield from ["", *_head("", "measured", "wanted")]
    for name, words in WORST.items():
        if name in judged:
            yield _row(words, shown(at(result, ("targets", name, "got"))), judged[name])


def _natmod(result: dict[str, Any]) -> Iterator[str]:
    """Native modules on stock MicroPython, beside our firmware."""
    yield from ["", "## On stock MicroPython: bytes of native modules, instructions of a signature", ""]
    yield from _head("core", "curve", "kernels", "EDIL", "signature", "our firmware's")
    for name, found in result["natmod"].items():
        sizes, own = found["file_bytes"], result["boards"].get(name)
        counts = [*(sizes[f"tinyren_{module}"] for module in ("curve", "model", "edil")), found["instructions"]["sign"]]
        yield _row(found["core"], *map(shown, counts), shown(own["instructions"]["sign"]) if own else "")


def _head(*cells: str) -> list[str]:
    return [_row(*cells), _row("---", *("---:" for _ in cells[1:]))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(label: str) -> str:
    """A label; what is indented is part of the row above."""
    return "– " + label.strip() if label.startswith(" ") else label


if __name__ == "__main__":
    FIGURES.write_text(markdown(json.loads(RESULTS.read_text())))

"""The result of `tinyren bench` as a table of 80 columns, each figure beside its target; it measures nothing."""

import textwrap
from typing import Any

from gateway.benchmarks.rows import BOARD_ROWS, BOARD_TARGETS, TARGETS, WORST, Path, at, plain_rows

COLUMNS = 80
LABEL, CELL = 25, 11
MODEL_LABEL, MODEL_CELLS = 14, (14, 9, 8, 8, 8)
NATMOD_LABEL, NATMOD_CELLS = 22, (9, 9, 8, 12, 16)


def table(result: dict[str, Any]) -> str:
    """Text of the result of bench.bench."""
    found, boards = result["machine"], result["boards"].values()
    judged = {name: f"  {verdict(row)}" for name, row in result["targets"].items()}
    lines = [
        f"tinyren bench on {found['cpu']}, {found['cores']} cores, Python {found['python']}, QEMU {found['qemu']}",
        "The boards are emulated: QEMU counts instructions and has no pipeline, cache or",
        "wait states, so these figures compare code with code, not boards with boards.",
        "",
        "".join([" " * LABEL, *(f"{board['core']:>{CELL}}" for board in boards), "  target"]),
    ]
    for label, path in BOARD_ROWS:
        cells = [f"{shown(at(board, path)):>{CELL}}" for board in boards] if path else []
        lines.append("".join([f"{label:<{LABEL}}", *cells, judged.get(BOARD_TARGETS.get(path, ""), "")]).rstrip())
    lines += _models(result, judged)
    lines += _natmod(result)
    width = LABEL + CELL * (len(boards) - 1)
    for label, value, path in plain_rows(result):
        cell = "" if value is None else f"{shown(value, path):>{CELL}}"
        lines.append(f"{label:<{width}}{cell}{judged.get(TARGETS.get(path, ''), '')}".rstrip())
    return "\n".join(lines)


def verdict(target: dict[str, Any]) -> str:
    """What was wanted of a figure, and whether it holds."""
    return f"{target['wanted']} {'ok' if target['holds'] else 'MISSED'}"


def shown(value: float | str, path: Path = ()) -> str:
    """A figure in words; a share in per cent."""
    if isinstance(value, str):
        return value
    if path[-1:] == ("share",):
        return f"{100 * value:.1f} %"
    return f"{value:,}"


def _models(result: dict[str, Any], judged: dict[str, str]) -> list[str]:
    """A heading, then each model with a line a board: instructions of a run, and each way's for a MAC."""
    lines = [_model_cells("MODELS", ("instructions", "a MAC", "bare C", "TFLM", "ratio"))]
    for name, model in result["models"].items():
        tflm = f" (TFLM {model['tflm_arena_bytes']:,})" if model["tflm_arena_bytes"] else ""
        lines.append(f"{name}: {model['macs']:,} MAC; bytes of arena {model['arena_bytes']:,}{tflm},")
        lines.append(f"  of artifact {model['artifact_bytes']:,}, of .tflite {model['tflite_bytes']:,}")
        lines += [line for row in model["boards"].values() for line in _model_lines(row)]
    sizes = ", ".join(f"{name.removeprefix('qemu_')} {size:,}" for name, size in result["kernel_bytes"].items())
    lines += textwrap.wrap(f"all kernels, bytes: {sizes}", COLUMNS, subsequent_indent="  ")
    worst = [(label, name) for name, label in WORST.items() if name in judged]
    return lines + [
        f"{label:<{LABEL}}{shown(at(result, ('targets', name, 'got'))):>{CELL}}{judged[name]}" for label, name in worst
    ]


def _natmod(result: dict[str, Any]) -> list[str]:
    """A heading, then a line a core: a signature there and with our firmware."""
    heading = ("curve", "kernels", "EDIL", "signature", "our firmware's")
    rows: list[tuple[str, tuple[str, ...]]] = [("ON STOCK MICROPYTHON", heading)]
    for name, found in result["natmod"].items():
        sizes, own = found["file_bytes"], result["boards"].get(name)
        figures = *(sizes[f"tinyren_{module}"] for module in ("curve", "model", "edil")), found["instructions"]["sign"]
        cells = (*(f"{figure:,}" for figure in figures), f"{own['instructions']['sign']:,}" if own else "")
        rows.append((f"  {found['core']}", cells))
    lines = [label.ljust(NATMOD_LABEL) + "".join(map(str.rjust, cells, NATMOD_CELLS)) for label, cells in rows]
    return ["NATIVE MODULES, bytes; a signature, instructions", *(line.rstrip() for line in lines)]


def _model_lines(row: dict[str, Any]) -> list[str]:
    counts = (row.get(name) for name in ("per_mac", "bare_per_mac", "tflm_per_mac", "ratio"))
    whole = f"{row['instructions']:,}" if "instructions" in row else "skipped"
    cells = (whole, *("" if count is None else f"{count:.2f}" for count in counts))
    judged = row.get("per_mac", row["bare_per_mac"])
    verdict = ""
    if row["wanted"] is not None and judged is not None:
        verdict = f"  <= {row['wanted']:.1f} {'ok' if judged <= row['wanted'] else 'MISSED'}"
    lines = [(_model_cells(f"  {row['core']}", cells) + verdict).rstrip()]
    if "skipped" in row:
        lines.append("    " + textwrap.shorten(row["skipped"], COLUMNS - 4, placeholder="..."))
    return lines


def _model_cells(label: str, cells: tuple[str, ...]) -> str:
    return label.ljust(MODEL_LABEL) + "".join(
        f"{cell:>{width}}" for cell, width in zip(cells, MODEL_CELLS, strict=True)
    )

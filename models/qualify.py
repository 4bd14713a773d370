"""The matrix of models and boards, as the table in README.md; it runs nothing (models/check.py does).

A cell is the instructions per MAC of a board whose outputs are all identical; else it says by how much they differ, or
why the board was skipped: skipped is never shown as passed.
"""

import os
from pathlib import Path

from models.check import CheckFailed

FOLDER = Path(__file__).resolve().parent
FOLDERS = "TINYREN_MLPERF_TINY"
BEGIN, END = "<!-- qualify: written by `tinyren qualify --write-readme` -->", "<!-- /qualify -->"


def shipped_models():
    """Paths of the .tflite files that lie in models/, sorted."""
    return sorted(FOLDER.glob("*/*.tflite"))


def further_models(folder=None):
    """Paths of the .tflite files of a folder, sorted; without one, of those that TINYREN_MLPERF_TINY names (a:b)."""
    folders = [folder] if folder else [Path(text) for text in os.environ.get(FOLDERS, "").split(":") if text]
    return [path for folder in folders for path in sorted(folder.glob("*.tflite"))]


def model_name(path):
    """What the table calls a model: a shipped one by its folder, another by its file."""
    path = Path(path).resolve()
    return path.parent.name if FOLDER in path.parents else path.stem


def table(results):
    """Markdown of results, each a check's with a "name"; then a line for each reason why a board was skipped."""
    boards = list(dict.fromkeys(row["board"] for result in results for row in result["boards"]))
    heads = ["model", "MAC", "artifact / .tflite", "arena", "inputs", *boards]
    lines = [heads, ["---"] * len(heads)]
    for result in results:
        rows = {row["board"]: row for row in result["boards"]}
        lines.append([
            result["name"], f"{result['macs']:,}", f"{result['artifact_bytes']:,} / {result['tflite_bytes']:,}",
            f"{result['arena_bytes']:,}", f"{result['inputs']:,}", *(_cell(rows.get(board)) for board in boards),
        ])  # fmt: skip
    told = dict.fromkeys(
        f"* {result['name']} skipped {row['board']}: {row['skipped']}"
        for result in results for row in result["boards"] if "skipped" in row
    )  # fmt: skip
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ([""] if told else []) + list(told))


def write_table(path, results):
    """Put the table between the two markers of a Markdown file; raises CheckFailed if they are not there once each."""
    path = Path(path)
    text = path.read_text(errors="replace")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise CheckFailed(f"{path}: wanted one line {BEGIN} and after it one {END}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")
    os.replace(partial, path)


def _cell(row):
    if row is None:
        return ""
    if "skipped" in row:
        return "skipped"
    if not row["identical"]:
        return f"**differs by {row['max_abs_diff']}**"
    return "identical" if row["instructions_per_mac"] is None else f"{row['instructions_per_mac']:.2f}"

"""`tinyren qualify`: no release without every model identical on every board; the table tells what was skipped.

TINYREN_QUALIFY_INPUTS says how many inputs of each model (20 when it is not set); `make release-check` takes 1,000.
Models are the shipped ones and the .tflite files of the folders that TINYREN_MLPERF_TINY names.
"""

import json
import os

import pytest

from boards.board import board_names
from gateway.cli import main
from models import qualify
from models.check import CheckFailed

INPUTS = os.environ.get("TINYREN_QUALIFY_INPUTS", "20")


def row(board, **fields):
    return {"board": board, "core": "C", "identical": True, "max_abs_diff": 0, "instructions_per_mac": 2.5, **fields}


RESULT = {
    "name": "m", "macs": 12_000, "artifact_bytes": 900, "tflite_bytes": 1000, "arena_bytes": 64, "inputs": 20,
    "boards": [
        row("cpython", instructions_per_mac=None), row("a"), row("b", identical=False, max_abs_diff=3),
        {"board": "c", "skipped": "model needs 9 bytes of heap"},
    ],
}  # fmt: skip
TABLE = """\
| model | MAC | artifact / .tflite | arena | inputs | cpython | a | b | c |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| m | 12,000 | 900 / 1,000 | 64 | 20 | identical | 2.50 | **differs by 3** | skipped |

* m skipped c: model needs 9 bytes of heap"""


def test_a_cell_is_what_was_measured_and_a_skipped_board_is_named_with_the_reason():
    assert qualify.table([RESULT]) == TABLE


def test_the_table_goes_between_its_markers_and_nothing_else_changes(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{qualify.BEGIN}\nold\n{qualify.END}\nafter\n")

    qualify.write_table(path, [RESULT])
    qualify.write_table(path, [RESULT])

    assert path.read_text() == f"before\n{qualify.BEGIN}\n{TABLE}\n{qualify.END}\nafter\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", [
    "", qualify.BEGIN, qualify.END, f"{qualify.END}\n{qualify.BEGIN}", f"{qualify.BEGIN}{qualify.BEGIN}{qualify.END}",
])  # fmt: skip
def test_a_file_without_the_markers_is_refused_and_stays_as_it_was(text, tmp_path):
    path = tmp_path / "README.md"
    path.write_text(text)

    with pytest.raises(CheckFailed, match="README.md: wanted one line"):
        qualify.write_table(path, [RESULT])
    assert path.read_text() == text


def test_every_shipped_model_is_in_the_matrix_by_its_folders_name():
    assert "host" in [qualify.model_name(path) for path in qualify.shipped_models()]
    assert qualify.model_name("elsewhere/some.tflite") == "some"


def test_further_models_are_those_of_a_folder_or_of_what_the_environment_names(tmp_path, monkeypatch):
    for name in ("a/2.tflite", "a/1.tflite", "a/1.txt", "b/3.tflite"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    monkeypatch.setenv(qualify.FOLDERS, f"{tmp_path / 'b'}:{tmp_path / 'a'}")
    assert [path.name for path in qualify.further_models()] == ["3.tflite", "1.tflite", "2.tflite"]
    assert [path.name for path in qualify.further_models(tmp_path / "a")] == ["1.tflite", "2.tflite"]
    monkeypatch.delenv(qualify.FOLDERS)
    assert qualify.further_models() == []


def test_every_model_is_identical_on_every_board_that_can_hold_it(tmp_path, capsys):
    path = tmp_path / "README.md"
    path.write_text(f"{qualify.BEGIN}\n{qualify.END}\n")
    models = [*qualify.shipped_models(), *qualify.further_models()]
    further = map(str, qualify.further_models())

    assert main(["qualify", "--all", "--inputs", INPUTS, "--json", "--write-readme", str(path), *further]) == 0

    results = json.loads(capsys.readouterr().out)["models"]
    assert [result["name"] for result in results] == [qualify.model_name(model) for model in models]
    for result in results:
        assert [row["board"] for row in result["boards"]] == ["cpython", "unix_x64", "aarch64", *board_names()]
        ran = [row for row in result["boards"] if "skipped" not in row]
        assert len(ran) >= 4 and all(row["identical"] and row["max_abs_diff"] == 0 for row in ran), result
        reasons = [row["skipped"] for row in result["boards"] if "skipped" in row]
        assert all("is not installed" in reason or "model needs" in reason for reason in reasons), reasons
    with capsys.disabled():
        print("\n" + qualify.table(results))
    assert qualify.table(results) in path.read_text()

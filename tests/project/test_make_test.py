"""What `make test` does with a test that failed beside others."""

import pytest

from tests import run

STUMBLES = """
from pathlib import Path
def test_it():
    seen = Path("{name}.seen").exists()
    Path("{name}.seen").touch()
    assert seen
"""
FAILS = "def test_it():\n    assert False\n"


def write(folder, **files):
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text.format(name=name))


def test_what_fails_beside_others_and_passes_by_itself_is_named(tmp_path):
    write(tmp_path, good="def test_it():\n    pass\n", stumbles=STUMBLES)
    assert run.run_beside_others(tmp_path, 2, []) == (0, ["test_stumbles.py::test_it"])
    assert run.run_beside_others(tmp_path, 2, []) == (0, [])


@pytest.mark.parametrize("files", [{"fails": FAILS}, {"fails": FAILS, "stumbles": STUMBLES}])
def test_what_fails_by_itself_too_fails(files, tmp_path):
    write(tmp_path, **files)
    assert run.run_beside_others(tmp_path, 2, []) == (1, ["test_stumbles.py::test_it"] * (len(files) - 1))


def test_nothing_is_asked_twice_where_much_fails_or_arguments_chose_the_tests(tmp_path):
    write(tmp_path, stumbles=STUMBLES)
    assert run.run_beside_others(tmp_path, 2, ["-k", "it"]) == (1, [])
    write(tmp_path, **{f"stumbles_{index}": STUMBLES for index in range(run.AGAIN_FILES + 1)})
    assert run.run_beside_others(tmp_path, 2, []) == (1, [])


def test_a_file_that_cannot_be_read_fails(tmp_path):
    write(tmp_path, broken="import nothing_of_that_name\n")
    assert run.run_beside_others(tmp_path, 2, [])[0] != 0

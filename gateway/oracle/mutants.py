"""`python -m gateway.oracle.mutants`: breaks agreement and both scorers on purpose, one place each; tests must notice.

mutants.json: file -> {"tests", the quick ones first; "mutants": name -> [what stands there once, what stands instead]}.
Each mutant is a copy of the tree whose gateway/ has one place changed; the tests of its file run in it, in a fork that
forgot every module of ours and keeps others' libraries, whose import takes longer than most tests.
Tests that fail without a mutant notice nothing, so they have to pass first. Words behind the command take only the
mutants whose file or name has them all.
"""

import contextlib
import io
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ELSEWHERE = ("gateway", ".git", ".venv", ".cache")
OPTIONS = ["-q", "-x", "-p", "no:cacheprovider", "--no-header"]
EPOCHS = "80"
"""Random epochs for both scorers: one batch of each kind."""


@dataclass(frozen=True)
class Mutant:
    """A place of a file, `good` there and `bad` instead, and the tests that have to notice."""

    file: str
    name: str
    good: str
    bad: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{Path(self.file).relative_to('gateway')}: {self.name}"

    def broken(self) -> str:
        """The file with the place changed. Raises ValueError: the mutant does not fit the source any more."""
        text = (ROOT / self.file).read_text()
        if text.count(self.good) != 1:
            raise ValueError(f"{self}: the file has {text.count(self.good)} such places, wanted one")
        return text.replace(self.good, self.bad)


def mutants() -> Iterator[Mutant]:
    """All that are named."""
    for file, fields in json.loads(Path(__file__).with_suffix(".json").read_text()).items():
        tests = tuple(f"tests/{name}.py" for name in fields["tests"])
        for name, (good, bad) in fields["mutants"].items():
            yield Mutant(file, name, good, bad, tests)


def main() -> int:
    """Print what each mutant came to; 1 if one was not noticed, 2 if none was chosen."""
    chosen = [each for each in mutants() if all(word in str(each) for word in sys.argv[1:])]
    if not chosen:
        print(f"no mutant has {' and '.join(sys.argv[1:])} in its file or name; see mutants.json")
        return 2
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(["--collect-only", *OPTIONS, *tests])  # for what it imports
    if fails(None, tests):
        print("the tests fail without a mutant: mend that first, see make test")
        return 1
    survived = 0
    with ThreadPoolExecutor(2) as pool:
        for mutant, was_killed in zip(chosen, pool.map(lambda each: fails(each, each.tests), chosen), strict=True):
            survived += not was_killed
            print(f"{'killed' if was_killed else 'SURVIVED':<10}{mutant}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} killed")
    return 1 if survived else 0


def fails(mutant: Mutant | None, tests: Sequence[str]) -> bool:
    """Whether one of the tests fails on a mutant, or on the tree as it is.

    Raises:
        ValueError: the mutant does not fit the source any more, or the tests cannot run.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy, said = Path(folder, "tree"), Path(folder, "said")
        copy.mkdir()
        for path in ROOT.iterdir():
            if path.name not in ELSEWHERE:
                (copy / path.name).symlink_to(path)
        shutil.copytree(ROOT / "gateway", copy / "gateway")
        if mutant:
            (copy / mutant.file).write_text(mutant.broken())
        child = multiprocessing.get_context("fork").Process(target=_test, args=(copy, said, tests))
        child.start()
        child.join()
        if child.exitcode not in (0, 1):
            raise ValueError(f"{mutant or 'no mutant'}: pytest ended with {child.exitcode}\n{said.read_text()}")
        return child.exitcode == 1


def _test(copy: Path, said: Path, tests: Sequence[str]) -> None:
    """Become pytest in a copy of the tree; what it prints goes into the file `said`."""
    with said.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    for name, module in list(sys.modules.items()):
        if _is_ours(getattr(module, "__file__", None)):
            del sys.modules[name]
    os.chdir(copy)
    os.environ["TINYREN_EPOCHS"] = EPOCHS
    sys.path.insert(0, str(copy))
    os._exit(pytest.main([*OPTIONS, *tests]))


def _is_ours(file: str | None) -> bool:
    return file is not None and Path(file).is_relative_to(ROOT) and Path(file).relative_to(ROOT).parts[0] != ".venv"


if __name__ == "__main__":
    sys.exit(main())

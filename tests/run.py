"""`make test`: every test beside others, the files of those that failed once more by themselves, then what is marked
`alone`.

As CPython's regrtest does with --rerun: half of the tests wait for emulated boards, and a machine with two cores and
three workers has moments in which nothing comes in time. A test passes if it passes by itself; which ones had to be
asked twice is said at the end. Where more than AGAIN_FILES files fail it is no accident and nothing is asked twice, nor
where arguments for pytest chose the tests.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ".cache/tests"
FAILED = "v/cache/lastfailed"  # pytest's own file: {node id: true}
AGAIN_FILES = 4
PASSED, FAILURES, NO_TESTS = 0, 1, 5  # pytest.ExitCode


def run_pytest(root: Path, *arguments: str) -> int:
    """Run pytest in the folder `root` -> its exit code, 0 where nothing matched."""
    code = subprocess.run([sys.executable, "-m", "pytest", "-o", f"cache_dir={CACHE}", *arguments], cwd=root).returncode
    return PASSED if code == NO_TESTS else code


def failed(root: Path) -> list[str]:
    """Node ids of the tests that failed in the last run, sorted."""
    path = root / CACHE / FAILED
    return sorted(json.loads(path.read_text())) if path.exists() else []


def run_beside_others(root: Path, workers: int, arguments: list[str]) -> tuple[int, list[str]]:
    """Run what is not marked `alone` -> exit code, node ids of what failed at first and passed by itself."""
    beside = ("-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder", "--cache-clear")
    code = run_pytest(root, *beside, "-m", "not alone", *arguments)
    names = failed(root)
    files = sorted({name.partition("::")[0] for name in names})
    if code != FAILURES or arguments or not 1 <= len(files) <= AGAIN_FILES:
        return code, []
    print(f"\nfailed beside others, now by themselves: {', '.join(files)}", flush=True)
    code = run_pytest(root, "-m", "not alone", *files)
    return code, [name for name in names if name not in failed(root)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.run", description=__doc__, allow_abbrev=False)
    parser.add_argument("--workers", type=int, default=1, help="tests at once (default: %(default)s)")
    options, arguments = parser.parse_known_args()
    code, twice = run_beside_others(ROOT, options.workers, arguments)
    code = code or run_pytest(ROOT, "-m", "alone", *arguments)
    for name in twice:
        print(f"passed only by itself: {name}")
    return code


if __name__ == "__main__":
    sys.exit(main())

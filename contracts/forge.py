"""`python -m contracts.forge [ARGUMENTS]`: `forge test` on contracts/test, by npm's forge and npm's compiler.

forge wants one folder that holds sources and node_modules, so each run gets its own in the cache.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from contracts.compile import HERE, IMPORT, CompileError, install, node

Run = partial[subprocess.CompletedProcess[str]]


@contextmanager
def project(changed: Mapping[str, str] | None = None, tests: Sequence[str] = ()) -> Iterator[Run]:
    """A folder as forge wants it, as long as it is needed; what comes runs a program in it, npm's forge as `forge`.

    Args:
        changed: other texts of files, by their path below this folder.
        tests: files to lay out with what they import, instead of everything; the compiler takes most of a run's time.
    Raises:
        CompileError: as contracts.compile.install, or there is no forge for this machine.
    """
    modules = install()
    programs = modules / "@foundry-rs" / "forge-linux-amd64" / "bin"
    if not programs.is_dir():
        raise CompileError("npm has no forge for this machine; contracts/package.json names the one for Linux on amd64")
    path = os.pathsep.join([str(programs), str(Path(node()).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1", "NO_COLOR": "1"}
    with tempfile.TemporaryDirectory(prefix="forge-", dir=modules.parent) as name:
        folder = Path(name)
        for path in (imported(tests) if tests else everything()) | {"foundry.toml", "solc"}:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE / path, folder / path)
        for file, text in (changed or {}).items():
            (folder / file).write_text(text)
        (folder / "node_modules").symlink_to(modules)
        yield partial(subprocess.run, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def everything() -> set[str]:
    """All sources and tests, by their path below this folder."""
    return {path.relative_to(HERE).as_posix() for part in ("src", "test") for path in (HERE / part).rglob("*.sol")}


def imported(files: Sequence[str]) -> set[str]:
    """These files and all of ours that they import, directly or not."""
    found: set[str] = set()
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            names = [name for name in IMPORT.findall((HERE / path).read_text()) if name.startswith(".")]
            waiting += [os.path.normpath(os.path.join(os.path.dirname(path), name)) for name in names]
    return found


def forge(*arguments: str, changed: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `forge test` in a project; what it says is in stdout and stderr. Raises CompileError as project does."""
    with project(changed) as run:
        return run(["forge", "test", *arguments])


if __name__ == "__main__":
    try:
        done = forge(*sys.argv[1:])
    except CompileError as error:
        sys.exit(f"contracts.forge: {error}")
    print(done.stdout + done.stderr)
    sys.exit(done.returncode)

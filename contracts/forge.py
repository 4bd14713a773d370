"""`python -m contracts.forge [ARGUMENTS]`: `forge test` on contracts/test, by npm's forge and npm's compiler.

forge wants one folder that holds sources and node_modules, so each run gets its own in the cache.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.compile import HERE, CompileError, install, node

PARTS = ("foundry.toml", "solc", "src", "test")


def forge(*arguments: str, changed: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `forge test`; what it says is in stdout and stderr.

    Args:
        changed: other texts of files, by their path below this folder.
    Raises:
        CompileError: as contracts.compile.install, or there is no forge for this machine.
    """
    modules = install()
    program = modules / "@foundry-rs" / "forge-linux-amd64" / "bin" / "forge"
    if not program.is_file():
        raise CompileError("npm has no forge for this machine; contracts/package.json names the one for Linux on amd64")
    with tempfile.TemporaryDirectory(prefix="forge-", dir=modules.parent) as name:
        folder = Path(name)
        for part in PARTS:
            copy = shutil.copytree if (HERE / part).is_dir() else shutil.copy
            copy(HERE / part, folder / part)
        for path, text in (changed or {}).items():
            (folder / path).write_text(text)
        (folder / "node_modules").symlink_to(modules)
        return _run(program, folder, arguments)


def _run(program: Path, folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(node()).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1", "NO_COLOR": "1"}
    command = [str(program), "test", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    try:
        done = forge(*sys.argv[1:])
    except CompileError as error:
        sys.exit(f"contracts.forge: {error}")
    print(done.stdout + done.stderr)
    sys.exit(done.returncode)

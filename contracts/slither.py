"""`python -m contracts.slither`: static analysis of contracts/src, each finding beside its answer in slither.json.

slither wants another web3 than ours, so it has an environment of its own in the cache. An answer that stands for more
places than it names, or for none, is no answer.
"""

import json
import subprocess
import sys
import sysconfig
import venv
from collections import defaultdict
from pathlib import Path

from contracts.compile import HERE, CompileError, install
from contracts.forge import project

PACKAGE = "slither-analyzer==0.11.6"


def main() -> int:
    """Print what is not answered; 1 if there is something."""
    answers = json.loads((HERE / "slither.json").read_text())
    found = findings()
    open_ = {name: sorted(where - set(answers.get(name, {}).get("where", ()))) for name, where in found.items()}
    gone = {name: sorted(set(item["where"]) - found.get(name, set())) for name, item in answers.items()}
    for name in sorted(found):
        print(f"{name}: {len(found[name])} places; {answers.get(name, {}).get('answer', 'no answer')}")
    for text, items in (("not answered", open_), ("answered, but not found", gone)):
        for name, where in items.items():
            if where:
                print(f"{name}: {text}: {', '.join(where)}")
    return 1 if any(open_.values()) or any(gone.values()) else 0


def findings() -> dict[str, set[str]]:
    """Places (`Contract.name`) by detector.

    Raises:
        CompileError: slither or forge cannot be installed, or one of them failed.
    """
    program = _slither()
    with project() as run:
        built = run(["forge", "build", "--build-info", "--skip", "test"])
        if built.returncode:
            raise CompileError(built.stdout + built.stderr)
        done = run([str(program), ".", "--ignore-compile", "--filter-paths", "node_modules|test", "--json", "-"])
    try:
        results = json.loads(done.stdout)["results"].get("detectors", [])
    except (ValueError, KeyError) as error:
        raise CompileError(f"slither: {done.stderr.strip()[-1000:]}") from error
    found = defaultdict(set)
    for finding in results:
        element = finding["elements"][0]
        parent = element.get("type_specific_fields", {}).get("parent", {}).get("name", "")
        found[finding["check"]].add(f"{parent}.{element['name']}")
    return dict(found)


def _slither() -> Path:
    folder = install().parents[1] / PACKAGE.replace("==", "-")
    program = folder / Path(sysconfig.get_path("scripts")).name / "slither"
    if not program.exists():
        venv.create(folder, with_pip=True)
        pip = [str(program.with_name("pip")), "install", "--quiet", PACKAGE]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompileError(f"pip: {done.stderr.strip()[-1000:]}")
    return program


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CompileError as error:
        sys.exit(f"contracts.slither: {error}")

"""Runs, from source, what boards of silicon run, on MicroPython's unix port as it comes."""

import os
import subprocess
from pathlib import Path

from boards.unix import build_unix

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 60


def new_unix(folder, build=build_unix):
    """run(program, **modules) -> what it printed, in lines; modules: {name: source} of further ones. folder: empty.

    build: of boards.unix, which MicroPython.
    """
    micropython = build(lambda *_: None)
    (folder / "agent").symlink_to(ROOT / "device" / "agent")
    (folder / "stock").symlink_to(ROOT / "boards" / "stock")

    def run(program, **modules):
        for name, source in modules.items():
            (folder / f"{name}.py").write_text(source)
        environment = {**os.environ, "MICROPYPATH": f"{folder}:.frozen"}
        command = [micropython, "-X", "heapsize=500m", "-c", program]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout.splitlines()

    return run

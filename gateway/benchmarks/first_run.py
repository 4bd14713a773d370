"""Seconds from a bare emulated board to a paid claim, and of a batch of boards, by the commands that a person types.

Firmware is built before it is measured, as no board's owner builds one. A board's seconds are those of its last stage's
end; what epochs take is in them: of EPOCH_S seconds, the claim comes with the end of the first whole one.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boards.build import Firmware
from gateway.errors import CommandError

BATCH = 20


def measure(firmwares: Sequence[Firmware], folder: Path, batch: int = BATCH) -> dict[str, Any]:
    """{"boards": {name: {"total_s", stage: seconds, ...}}, "batch": {"boards", "seconds"}}.

    Raises:
        CommandError: a command failed; the message is its last line.
    """
    boards = {}
    for firmware in firmwares:
        told = _run("run", "--board", firmware.board, "--site", folder / firmware.board)
        boards[firmware.board] = {stage["stage"]: stage["seconds"] for stage in told["stages"]}
        boards[firmware.board]["total_s"] = told["total_s"]
    site, out = folder / "factory", folder / "batch"
    told = _run("provision", "--batch", batch, "--site", site, "--out", out)
    return {"boards": boards, "batch": {"boards": len(told["done"]), "seconds": told["total_s"]}}


def _run(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "gateway.cli", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CommandError(f"tinyren {' '.join(command[3:])}: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found

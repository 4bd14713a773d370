"""Seconds from a bare emulated board to a paid claim, and of a batch of boards, by the commands that a person types.

Firmware is built before it is measured, as no board's owner builds one. Of each board:
    flash            QEMU loads the firmware into the emulated flash, and the board tells at its console which it is
    provision        a batch of this board alone: booted, tested, labelled, in a signed manifest
    firmware..claim  the stages of `tinyren run`; first_heartbeat is from its exec until the one is verified and stored
What epochs take is in the total: of EPOCH_S seconds, the claim comes with the end of the first whole one.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from boards.board import load_board
from boards.build import Firmware
from boards.console import identify
from boards.emulator import Emulator, EmulatorError
from gateway.errors import CommandError

BATCH = 20
REPL_S = 60.0


def measure(firmwares: Sequence[Firmware], folder: Path, batch: int = BATCH) -> dict[str, Any]:
    """{"boards": {name: {what: seconds, ..., "total": seconds}}, "batch": {"boards", "seconds"}}.

    Raises:
        CommandError: a command failed; the message is its last line. EmulatorError: a board did not start.
    """
    boards = {firmware.board: _board(firmware, folder / firmware.board) for firmware in firmwares}
    told = _provision(folder / "factory", batch)
    return {"boards": boards, "batch": {"boards": len(told["done"]), "seconds": told["total_s"]}}


def _board(firmware: Firmware, folder: Path) -> dict[str, float]:
    folder.mkdir()
    flash_s = _flash(firmware)
    listed = folder / "list.csv"
    listed.write_text(f"serial,board\nA-1,{firmware.board}\n")
    provision_s = _provision(folder / "factory", listed)["total_s"]
    told = _run("run", "--board", firmware.board, "--site", folder / "site")
    stages = {stage["stage"]: stage["seconds"] for stage in told["stages"]}
    heard_s = round(told["total_s"] - stages["claim"], 2)
    before = {"flash": flash_s, "provision": provision_s}
    return {**before, **stages, "first_heartbeat": heard_s, "total": told["total_s"]}


def _flash(firmware: Firmware) -> float:
    """Raises EmulatorError: the board did not start, or is another than its firmware's."""
    with TemporaryDirectory() as folder:
        started_s = time.perf_counter()
        with Emulator(load_board(firmware.board), firmware.elf, folder) as emulator:
            with emulator.open_repl(REPL_S) as repl:
                name = identify(repl).board
        if name != firmware.board:
            raise EmulatorError(f"{firmware.board}: got a board that says it is {name!r}")
        return round(time.perf_counter() - started_s, 2)


def _provision(folder: Path, batch: object) -> dict[str, Any]:
    return _run("provision", "--batch", batch, "--site", folder / "site", "--out", folder / "out")


def _run(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "gateway.cli", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CommandError(f"tinyren {' '.join(command[3:])}: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found

"""What flashing does to this computer: looks at ports, runs tools. It decides nothing of a board."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from boards.console import ConsoleError, Identity, identify, open_console
from boards.flashing import INSTALL
from boards.ports import holders
from gateway.errors import CommandError, Exit
from gateway.progress import Progress

TOOL_S = 300


def check_port(port: str) -> None:
    """Raises CommandError (exit code 6) unless a port is there, is this user's, and nobody else holds it."""
    if not os.path.exists(port):
        raise CommandError(f"{port}: got no such port; run: tinyren devices", Exit.PORT)
    if not os.access(port, os.R_OK | os.W_OK):
        group = Path(port).group()
        raise CommandError(f"{port}: no permission; run: sudo usermod -aG {group} $USER, log in again", Exit.PORT)
    if held := holders(port):
        raise CommandError(f"{port}: in use by {', '.join(held)}; end it and run the same command again", Exit.PORT)


def ask_board(port: str) -> Identity:
    """Who answers at a port; raises CommandError (exit codes 6 and 7)."""
    check_port(port)
    try:
        with open_console(port) as repl:
            return identify(repl)
    except ConsoleError as error:
        raise CommandError(str(error), Exit.TIMEOUT) from error


def run_commands(commands: list[list[str]], dry_run: bool, progress: Progress) -> None:
    """Run them in their order, each as a stage; a dry run only shows them. Raises CommandError: missing, or failed."""
    for command in commands:
        progress.say(("would run: " if dry_run else "run: ") + shlex.join(command))
        if dry_run:
            continue
        tool = command[0]
        done = _run([find_tool(tool), *command[1:]])
        if done.returncode:
            said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            raise CommandError(f"{tool} ended with {done.returncode}: {said[-1] if said else 'nothing said'}; "
                               "mend that and run the same command again")  # fmt: skip


def find_tool(tool: str) -> str:
    """The program's path: this Python's own first. Raises CommandError: it is not installed."""
    found = shutil.which(tool, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}")
    if not found:
        raise CommandError(f"{tool} is not installed; run: {INSTALL[tool]}", Exit.USAGE)
    return found


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=TOOL_S
        )
    except subprocess.TimeoutExpired as error:
        what = f"did not end within {TOOL_S} s; plug the board in again and run the same command again"
        raise CommandError(f"{Path(command[0]).name} {what}", Exit.TIMEOUT) from error

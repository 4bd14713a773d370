"""Brings one board at a port what it is to run, has it show its key, and has it begin; it keeps nothing of it here.

    who answers ─▶ files ─▶ settings ─▶ self-test ─▶ self-test again ─▶ begin

A board that is another than was asked for gets nothing. The self-test runs without the agent, so nothing else takes the
memory; and twice, because a key that does not outlive a restart is nobody's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from boards.console import ConsoleError, copy_files, identify, open_console
from boards.repl import Repl
from boards.selftest import run_selftest
from boards.settings import read_settings, restart, write_settings
from gateway.errors import CommandError, Exit
from gateway.flashing.agent import agent_files, authority_file, warn_of_tls
from gateway.flashing.files import read_files
from gateway.flashing.tools import check_port
from gateway.progress import Progress
from gateway.provisioning.shown import Dead, Shown, verify, verify_sensors

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Wanted:
    """What a board at a port is to have: its name, files by path, settings that are changed; those are not shown."""

    board: str
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Brought:
    """What came of it. sent: paths of the files that it had not; has_settings: whether settings were changed;
    had_agent: whether there was an agent, of any version.
    """

    shown: Shown
    sent: list[str]
    has_settings: bool
    had_agent: bool


def find_wanted(
    board: str, folder: Path | None, authority: Path | None, settings: Mapping[str, str], progress: Progress
) -> Wanted:
    """What a board of silicon is brought: a folder's files or else its agent, which is built unless it is in the cache,
    and the certificate of the authority by which it knows its gateway. Raises CommandError.
    """
    files = {**(read_files(folder) or agent_files(board, progress)), **authority_file(authority)}
    if not folder:
        warn_of_tls(board, files, progress)
    return Wanted(board, files, settings)


def bring(port: str, wanted: Wanted, report: Report) -> Brought:
    """Do it.

    Args:
        report: called with a stage and how far it is, 0..1.
    Raises:
        CommandError: no such port, no permission, in use, no answer, or it vanished; another board (exit code 3).
        Dead: a part of it does not work.
    """
    check_port(port)
    try:
        with open_console(port) as repl:
            who = identify(repl)
            if who.board != wanted.board:
                got = who.board or who.machine
                raise CommandError(f"{port}: got {got}, wanted {wanted.board}; nothing was copied", Exit.REFUSED)
            sent = copy_files(repl, dict(wanted.files), report) if wanted.files else []
            is_set = _set(repl, wanted.settings, report) if wanted.settings else False
            shown = _show(repl, wanted.board, wanted.settings.get("sensors", ""))
            restart(repl)
    except ConsoleError as error:
        raise CommandError(str(error), Exit.TIMEOUT if "timeout" in str(error) else Exit.FAILED) from error
    except ValueError as error:
        raise CommandError(f"--files: {error}", Exit.USAGE) from error
    return Brought(shown, sent, is_set, who.firmware == "tinyren")


def _set(repl: Repl, changes: Mapping[str, str], report: Report) -> bool:
    """Add changes to what is set on the board; whether there were any."""
    kept = read_settings(repl)
    if not changes.items() - kept.items():
        return False
    write_settings(repl, {**kept, **changes}, report)
    return True


def _show(repl: Repl, board: str, sensors: str) -> Shown:
    test = run_selftest(repl)
    shown = verify(test, board)
    verify_sensors(test, shown, sensors)
    again = verify(run_selftest(repl), board)
    if again.device != shown.device:
        raise Dead("key: got another one after a restart: its memory keeps nothing; do not use this board")
    return shown

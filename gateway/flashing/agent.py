"""Which files a board is brought, and what it does with them then: those that were named, or else its agent."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from boards import agent_files as built
from boards.board import BoardError
from boards.console import Identity
from boards.emulator import EmulatorError
from boards.hardware import hardware_names, load_hardware
from boards.repl import Repl
from gateway.errors import CommandError, Exit
from gateway.progress import Progress

BEGIN = """
import machine, sys
if "_tinyren" in sys.modules:
    sys.modules["_tinyren"].reset("asked")
with open("tinyren.end", "w") as _file:
    _file.write("asked\\n")
machine.reset()
"""  # without importing what was brought: after a copy the heap may have no place for it
AUTHORITY = "authority.der"  # boards/stock/core.py reads it
AUTHORITY_MOST_BYTES = 2048


def agent_files(name: str, progress: Progress) -> dict[str, bytes]:
    """The agent for a board of silicon, content by path; raises CommandError: there is none for it."""
    if name not in hardware_names():
        wanted = "name the board's files by --files, or flash a board of: tinyren boards"
        raise CommandError(f"board: got {name or 'one that is not known'}, for which there is no agent; {wanted}")
    try:
        return built.agent_files(load_hardware(name), progress.step)
    except BoardError as error:
        raise CommandError(str(error), Exit.USAGE) from error


def authority_file(pem: Path | None) -> dict[str, bytes]:
    """The certificate of a site's authority as a board reads it; raises CommandError: it is none."""
    if pem is None:
        return {}
    try:
        der = ssl.PEM_cert_to_DER_cert(pem.read_text().strip())
    except (ValueError, UnicodeError) as error:
        raise CommandError(f"--ca: got {error}, wanted one certificate: SITE/tls/ca.pem", Exit.USAGE) from error
    if len(der) > AUTHORITY_MOST_BYTES:
        raise CommandError(f"--ca: got {len(der)} bytes, wanted {AUTHORITY_MOST_BYTES} at most", Exit.USAGE)
    return {AUTHORITY: der}


def warn_of_tls(name: str, files: Mapping[str, bytes], progress: Progress) -> None:
    """Say beforehand that a board has no memory for TLS beside its agent, if it is brought an authority."""
    if AUTHORITY in files and not load_hardware(name).fits_tls:
        what = "TLS finds no memory beside its agent, which will say so and try again; for plain MQTT leave out --ca"
        progress.say(f"{name}: {what}, or take a board with more", level="warning", event="tls")


def begin(repl: Repl, who: Identity, progress: Progress) -> None:
    """Have the board begin with what it was brought; the conversation is over."""
    try:
        repl.start(BEGIN)
    except EmulatorError as error:
        raise CommandError(f"{error}; press the board's reset button") from error
    progress.say(f"{who.board} begins: the first it says is its device id; see: tinyren logs PORT")

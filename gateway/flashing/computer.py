"""Makes a computer a device by ssh: sends the agent, has it installed and begun there. It asks for no password.

Everything that can be refused is refused before the first octet is sent. What runs there is boards/on_computer.py,
which says what is where. Whose key the computer has, and who may log in, is ssh's to decide: a host that is not known
is an error with what to do, never a question.
"""

import hashlib
import json
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boards import computer
from boards.board import BoardError
from boards.hardware import Hardware, hardware_names, load_hardware
from device.agent.sources import KINDS
from gateway.errors import CommandError, Exit
from gateway.flashing.tools import find_tool
from gateway.progress import Progress

OPTIONS = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3")
SSH_S = 120
LEAST_FREE_BYTES = 32 << 20
SSH_FAILED, NOT_FOUND = 255, 127
# What the answer to a verb has; the computer is believed no further than these kinds.
ANSWERS = {
    "ask": {"python": str, "is_old": bool, "abi": str, "free_bytes": int, "has": bool, "part_bytes": int, "runs": str,
            "settings": dict},
    "begin": {"id": str, "boot": int, "service": str, "lingers": bool},
}  # fmt: skip
# What ssh says (OpenSSH's own words, by what is in them), and what is to be done.
REFUSALS = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "another computer answers there, or it was set up anew; if that is so: "
     "ssh-keygen -R {host}, then ssh {at}", Exit.TRUST),
    ("Host key verification failed", "its key is not known here; log in once and compare its fingerprint: ssh {at}",
     Exit.TRUST),
    ("Permission denied", "it takes none of your keys; give it one: ssh-copy-id {at}", Exit.REFUSED),
    ("Could not resolve hostname", "no computer has that name; look at its address on it: hostname -I", Exit.PORT),
    ("Connection refused", "it runs no ssh server; on it: sudo apt-get install openssh-server", Exit.PORT),
    ("Connection timed out", "nothing answers there; is it switched on, and in this network?", Exit.TIMEOUT),
    ("No route to host", "nothing answers there; is it switched on, and in this network?", Exit.TIMEOUT),
)  # fmt: skip
LOST = "the connection ended; run the same command again, it goes on where it was"


@dataclass(frozen=True)
class Place:
    """Where the computer is and what its agent is told. Empty: what it was told before."""

    host: str
    broker: str = ""
    ca: Path | None = None
    source: str = ""


def install(board: Hardware, place: Place, erase: bool, dry_run: bool, progress: Progress) -> dict[str, Any]:
    """Do it -> what the computer says of the agent that runs: id, ren, boot, service, lingers; {} for a dry run.

    Raises:
        CommandError: with the exit code of gateway.errors, and what to do next.
    """
    refuse_unfit(board, place)
    abi = board.flash[0].abi
    try:
        content = computer.pack_agent(abi, progress.step)
    except BoardError as error:
        raise CommandError(str(error), Exit.USAGE) from error
    digest = hashlib.sha256(content).hexdigest()
    there = ask(place.host, "ask", digest)
    refuse_another(board, place, there, erase)
    progress.say(f"{place.host}: {there['abi']}, Python {there['python']}, runs {there['runs'] or 'no agent yet'}")
    if dry_run:
        progress.say(f"would send agent-{digest[:16]}, {len(content):,} bytes, and begin it")
        return {}
    if erase:
        ask(place.host, "erase")
        there |= {"has": False, "part_bytes": 0}
    if not there["has"]:
        offset = min(int(there["part_bytes"]), len(content))
        if offset:
            progress.say(f"{offset:,} of {len(content):,} bytes are there already")
        ask(place.host, "receive", digest, str(len(content)), str(offset), payload=content[offset:])
    progress.say(f"agent-{digest[:16]} is there, {len(content):,} bytes; it begins")
    hello = ask(place.host, "begin", digest, json.dumps(settings_of(board, place, there["settings"], erase)))
    progress.say(f"device {hello['id']} runs, boot {hello['boot']}")
    if note := _note(place.host, hello):
        progress.say(note)
    progress.say(f"next, when the gateway has heard it: tinyren label {hello['id']}")
    return hello


def refuse_unfit(board: Hardware, place: Place) -> None:
    """Raises CommandError: an option that no computer could take."""
    host = place.host
    if not host or host.startswith("-") or any(character.isspace() for character in host):
        raise CommandError(f"{board.name}: got --port {host!r}, wanted USER@HOST or USER@HOST:PORT", Exit.USAGE)
    name, _, port = place.broker.rpartition(":")
    if place.broker and not (name and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise CommandError(f"--broker: got {place.broker!r}, wanted HOST:PORT", Exit.USAGE)
    kinds = [kind.partition(":")[0] for kind in KINDS.split(", ")]
    if place.source and place.source.partition(":")[0] not in kinds:
        raise CommandError(f"--source: got {place.source!r}, wanted one of {KINDS}", Exit.USAGE)
    if place.ca and "BEGIN CERTIFICATE" not in place.ca.read_text(errors="replace"):
        raise CommandError(f"--ca: {place.ca}: got no certificate, wanted SITE/tls/ca.pem of the gateway", Exit.USAGE)


def refuse_another(board: Hardware, place: Place, there: dict[str, Any], erase: bool) -> None:
    """Raises CommandError: what answered is another computer than the board says, or cannot have an agent."""
    host, abi = place.host, board.flash[0].abi
    if there["abi"] != abi:
        fits = [name for name, way in _computers() if way == there["abi"]]
        what = f"run: tinyren flash {fits[0]} --port {host}" if fits else "there is no agent for it"
        got = f"got programs for {there['abi'] or 'an unknown machine'}, wanted {abi} ({board.name})"
        raise CommandError(f"{host}: {got}; {what}", Exit.REFUSED)
    if there["is_old"]:
        what = "have its system updated, or a newer python3 first on its PATH"
        raise CommandError(f"{host}: got Python {there['python']}, wanted 3.10 or newer; {what}", Exit.REFUSED)
    if there["free_bytes"] < LEAST_FREE_BYTES:
        free = f"got {there['free_bytes'] >> 20} MB free in its home, wanted {LEAST_FREE_BYTES >> 20}"
        raise CommandError(f"{host}: {free}; make room there, then run the same command again", Exit.REFUSED)
    if not place.broker and (erase or "broker" not in there["settings"]):
        what = "name the gateway's broker, and --ca SITE/tls/ca.pem where it has TLS"
        raise CommandError(f"--broker: got none, and {host} was told none before; {what}", Exit.USAGE)


def settings_of(board: Hardware, place: Place, before: dict[str, str], erase: bool) -> dict[str, str]:
    """What the agent is told anew; what is left out stays as it was there."""
    found = {"board": board.name, "broker": place.broker, "source": place.source}
    found["ca"] = place.ca.read_text() if place.ca else ""
    if not found["source"] and (erase or "source" not in before):
        found["source"] = "load"
    return {name: value for name, value in found.items() if value}


def ask(host: str, verb: str, *arguments: str, payload: bytes = b"") -> dict[str, Any]:
    """What boards/on_computer.py answers there. Raises CommandError: it did not, and why."""
    program = Path(computer.__file__).with_name(computer.PROGRAM).read_text()
    command = shlex.join(["python3", "-c", program, verb, *arguments])
    options = [word for option in OPTIONS for word in ("-o", option)]
    done = _run([find_tool("ssh"), *options, "--", address_of(host), command], payload)
    if done.returncode == 0:
        return read_answer(host, verb, done.stdout)
    said = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    last = said[-1] if said else "it said nothing"
    if done.returncode == NOT_FOUND:
        raise CommandError(f"{host}: {last}; on it: sudo apt-get install python3", Exit.REFUSED)
    if done.returncode != SSH_FAILED:
        code = Exit.ROLLED_BACK if done.returncode == Exit.ROLLED_BACK else Exit.FAILED
        raise CommandError(f"{host}: {last}", code)
    for words, what, code in REFUSALS:
        if words in " ".join(said):
            raise CommandError(f"{host}: {what.format(at=address_of(host), host=_name(host))}", code)
    raise CommandError(f"{host}: {last}; {LOST}", Exit.TIMEOUT)


def read_answer(host: str, verb: str, printed: bytes) -> dict[str, Any]:
    """The object in the last line of what a computer printed. Raises CommandError: there is none for that verb."""
    try:
        found = json.loads((printed.splitlines() or [b""])[-1])
    except (ValueError, RecursionError):
        found = None
    wanted = ANSWERS.get(verb, {})
    if type(found) is not dict or any(type(found.get(name)) is not kind for name, kind in wanted.items()):
        what = f"does its login print something? Look by: ssh {address_of(host)} true"
        raise CommandError(f"{host}: got an answer that is none; {what}", Exit.TRUST)
    return found


def address_of(host: str) -> str:
    """USER@HOST as ssh takes it; with a port, as a URL."""
    return f"ssh://{host}" if host.rpartition("@")[2].count(":") == 1 else host


def _note(host: str, hello: dict[str, Any]) -> str:
    if hello["service"] == "process":
        return "this user has no systemd there, so nobody starts it again after a power cut"
    user = host.partition("@")[0]
    return "" if hello["lingers"] else f"so that it runs without a login, on it: sudo loginctl enable-linger {user}"


def _name(host: str) -> str:
    name, _, port = host.rpartition("@")[2].partition(":")
    return f"'[{name}]:{port}'" if port else name


def _computers() -> list[tuple[str, str]]:
    boards = [load_hardware(name) for name in hardware_names()]
    return [(board.name, board.flash[0].abi) for board in boards if board.kind == "computer"]


def _run(command: list[str], payload: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, input=payload, capture_output=True, timeout=SSH_S)
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{command[-2]}: no answer within {SSH_S} s; {LOST}", Exit.TIMEOUT) from error

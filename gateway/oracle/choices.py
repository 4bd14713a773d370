"""An oracle's choice on disk: what it may never contradict; refuses to go on with a file that is damaged.

Written to another name, synced and renamed, and the folders synced: a crash leaves the old choice or the new one. Every
statement in it is a message as it was signed, so a file that somebody edited is damaged.
"""

import json
import os
from pathlib import Path
from typing import Any

from gateway.errors import CommandError, Exit
from gateway.oracle import messages
from gateway.oracle.agreement import Memory
from gateway.oracle.effects import Choice
from gateway.oracle.messages import Site
from gateway.oracle.rules import Place
from gateway.oracle.statements import Said
from gateway.ratio1 import MessageRefused

NAME = "choice.json"


def save(folder: Path, choice: Choice) -> None:
    """Replace the choice; it is on the disk when this returns."""
    memory = choice.memory
    fields = {
        "epoch": choice.epoch,
        "place": memory.place._asdict() | {name: getattr(memory.place, name).hex() for name in ("locked", "valid")},
        "own": [said.payload.decode() for said in memory.own],
        "lock": _text(memory.lock),
        "decision": _text(memory.decision),
        "signature": _text(choice.signature),
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / (NAME + ".part")
    with part.open("w") as file:
        json.dump(fields, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / NAME)
    for place in (folder, *folder.parents[:3]):  # the folders may be as new as the file
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def load(folder: Path, site: Site) -> Choice | None:
    """The choice that was saved; None where there is no file.

    Raises:
        CommandError: the file is damaged, or is another chain's or contract's.
    """
    path = folder / NAME
    try:
        return _choice(json.loads(path.read_text()), site)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, KeyError, MessageRefused) as error:
        wanted = "this oracle's choice, or no file if it never voted or signed for this site"
        raise CommandError(f"{path}: {error}; wanted {wanted}", Exit.TRUST) from error


def _choice(fields: dict[str, Any], site: Site) -> Choice:
    def said(text: str | None) -> Said | None:
        return None if text is None else messages.open_sealed(text.encode(), site)

    raw = fields["place"]
    turn, step, locked_turn, valid_turn = (int(raw[name]) for name in ("turn", "step", "locked_turn", "valid_turn"))
    place = Place(turn, step, locked_turn, bytes.fromhex(raw["locked"]), valid_turn, bytes.fromhex(raw["valid"]))
    own = tuple(messages.open_sealed(text.encode(), site) for text in fields["own"])
    memory = Memory(place, own, said(fields["lock"]), said(fields["decision"]))
    return Choice(int(fields["epoch"]), memory, said(fields["signature"]))


def _text(said: Said | None) -> str | None:
    return None if said is None else said.payload.decode()

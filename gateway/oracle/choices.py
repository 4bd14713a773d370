"""An oracle's choices on disk: the tables that it may never contradict; refuses to go on with a file that is damaged.

Written to another name, synced and renamed, and the folders synced: a crash leaves the old choices or the new ones.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from gateway.errors import CommandError, Exit
from gateway.oracle import messages
from gateway.oracle.consensus import Table
from gateway.oracle.messages import Site
from gateway.ratio1 import MessageRefused

NAME = "choices.json"


def save(folder: Path, choices: Iterable[Table], site: Site) -> None:
    """Replace the choices; they are on the disk when this returns."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / (NAME + ".part")
    with part.open("w") as file:
        json.dump([messages.encode(table, site) for table in choices], file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / NAME)
    for place in (folder, folder.parent, folder.parent.parent):  # the folders may be as new as the file
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def load(folder: Path, site: Site) -> tuple[Table, ...]:
    """The choices that were saved; none where there is no file.

    Raises:
        CommandError: the file is damaged, or is another chain's or contract's.
    """
    path = folder / NAME
    try:
        tables = [messages.decode(fields, site) for fields in json.loads(path.read_text())]
    except FileNotFoundError:
        return ()
    except (ValueError, TypeError, AttributeError, MessageRefused) as error:
        wanted = "its tables, or no file if this oracle never signed for this site"
        raise CommandError(f"{path}: {error}; wanted {wanted}", Exit.TRUST) from error
    return tuple(table for table in tables if isinstance(table, Table))

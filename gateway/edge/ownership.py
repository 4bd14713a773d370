"""Root looks after a gateway that another user runs: what it makes there is given to that user, and it runs none there.

A service may not read what root left in its folder, and would not start again.
"""

import os
import pwd
from collections.abc import Iterable
from pathlib import Path

from gateway.errors import CommandError, Exit


def hand_over(paths: Iterable[Path], folder: Path) -> None:
    """Give paths, not what symbolic links among them name, to the user and group of `folder`, if root calls this."""
    if os.geteuid() == 0:
        owner = folder.stat()
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def refuse_foreign(folder: Path) -> None:
    """Raises CommandError: root calls this, and the folder is another user's."""
    owner = folder.stat().st_uid if folder.exists() else 0
    if os.geteuid() != 0 or owner == 0:
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    what = f"it is {name}'s, who could not go on with what root leaves there; run it as that user"
    raise CommandError(f"{folder}: {what}: sudo -u {name} tinyren gateway up {folder}", Exit.REFUSED)

"""Boards that show themselves as a drive to copy a UF2 file onto. It finds them, writes, and sees that they took it;
it refuses a file without the board's family, and writes to no drive that is not a UF2 bootloader's.

A bootloader writes its flash while the file comes and leaves when it has its family's blocks, so it is sent no others
and the drive vanishes in good order after the last. Where it stays, CURRENT.UF2 holds what is in flash now, and is
compared.

Source: Microsoft's UF2 file format (INFO_UF2.TXT, CURRENT.UF2).
"""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from boards import uf2

INFO, CURRENT, IMAGE = "INFO_UF2.TXT", "CURRENT.UF2", "TINYREN.UF2"
INFO_BYTES = 4096
STEP_BYTES = 64 * 1024
GONE_S = 10.0
LOOK_S = 0.05
ESCAPED = re.compile(r"\\([0-3][0-7]{2})")  # a blank or a backslash in /proc/self/mounts
AGAIN = "nothing is lost: bring the board to its bootloader and run the same command again"


class DriveError(Exception):
    """The drive or the file is not the one wanted, or the board did not take it; says what to do next."""


class WrongImage(DriveError):
    """The file is not for the board; nothing was written."""


@dataclass(frozen=True)
class Drive:
    """A mounted drive of a UF2 bootloader: where, its board-id and model as INFO_UF2.TXT has them."""

    path: Path
    board_id: str
    model: str


def read_drive(path: Path) -> Drive | None:
    """The UF2 drive that is mounted at path, or None if there is none."""
    try:
        with open(path / INFO, "rb") as file:
            text = file.read(INFO_BYTES).decode("ascii", "replace")
    except OSError:
        return None
    lines = [line.partition(":") for line in text.splitlines()]
    facts = {name.strip().lower(): value.strip() for name, colon, value in lines if colon}
    return Drive(path, facts["board-id"], facts.get("model", "")) if facts.get("board-id") else None


def find_drives(mounts: str | None = None) -> list[Drive]:
    """All that are mounted. mounts: text of /proc/self/mounts, or None to read it."""
    text = Path("/proc/self/mounts").read_text(errors="surrogateescape") if mounts is None else mounts
    rows = [line.split(" ") for line in text.splitlines()]
    paths = [row[1] for row in rows if len(row) > 2 and row[2] in ("vfat", "msdos", "exfat")]
    drives = [read_drive(Path(ESCAPED.sub(lambda found: chr(int(found[1], 8)), path))) for path in paths]
    return [drive for drive in drives if drive]


def choose_image(file: bytes, family: int) -> uf2.Image:
    """What a board of that family takes of a UF2 file.

    Raises:
        WrongImage: it is no UF2 file, not whole, or holds nothing for the family.
    """
    try:
        images = uf2.read(file)
    except uf2.Uf2Error as error:
        raise WrongImage(f"{error}; download it again") from error
    for image in images:
        if image.family == family:
            return image
    got = ", ".join("no family" if image.family is None else _family_name(image.family) for image in images)
    raise WrongImage(f"family: got {got}, wanted {_family_name(family)}; take the file of this board")


def write_drive(drive: Drive, file: bytes, family: int, report: Callable[[str, float], None]) -> None:
    """Copy a UF2 file onto a drive, and return when the board has taken it.

    Args:
        report: called with a stage and how far it is, 0..1.
    Raises:
        WrongImage: the file is not for the family; nothing was written.
        DriveError: the drive is another than it was, read-only or full, or vanished before it had all; or it stayed,
            and what it holds is not what was written.
    """
    wanted = choose_image(file, family)
    if read_drive(drive.path) != drive:
        raise DriveError(f"{drive.path}: got another drive than before, wanted {drive.board_id}; plug it in again")
    _copy(drive, uf2.select(file, family), report)
    report("verify", 0.0)
    deadline_s = time.monotonic() + GONE_S
    while read_drive(drive.path) == drive:
        if _holds(drive.path / CURRENT, wanted):
            break
        if time.monotonic() > deadline_s:
            raise DriveError(f"{drive.path}: got a drive that stays and holds another image; {AGAIN}")
        time.sleep(LOOK_S)
    report("verify", 1.0)


def _copy(drive: Drive, file: bytes, report: Callable[[str, float], None]) -> None:
    report("write", 0.0)
    sent = 0
    try:
        with open(drive.path / IMAGE, "wb", buffering=0) as target:
            while sent < len(file):
                sent += target.write(file[sent : sent + STEP_BYTES])
                if sent < len(file):
                    os.fsync(target.fileno())
                    report("write", sent / len(file))
                    os.stat(drive.path / INFO)
            _sync_last(target.fileno())
    except OSError as error:
        raise DriveError(f"{drive.path}: {error.strerror} after {sent} of {len(file)} bytes; {AGAIN}") from error
    report("write", 1.0)


def _sync_last(file: int) -> None:
    """A board leaves as soon as it has the last block, which may fail this call and harms nothing."""
    try:
        os.fsync(file)
    except OSError:
        pass


def _holds(current: Path, wanted: uf2.Image) -> bool:
    """Whether CURRENT.UF2 has the wanted octets at their addresses; it may have more."""
    try:
        with open(current, "rb") as file:
            images = uf2.read(file.read(uf2.BLOCKS_MAX * uf2.BLOCK_BYTES + 1))
    except (OSError, uf2.Uf2Error):
        return False
    for image in images:
        at = wanted.start - image.start
        if at >= 0 and image.content[at : at + len(wanted.content)] == wanted.content:
            return True
    return False


def _family_name(family: int) -> str:
    return next((name for name, number in uf2.FAMILIES.items() if number == family), f"{family:#x}")

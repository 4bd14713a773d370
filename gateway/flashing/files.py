"""Files that a person named, read whole: firmware, and a board's own. It refuses what is too large to be either."""

from pathlib import Path

from boards.images import FILE_BYTES
from gateway.errors import CommandError, Exit


def read_image(path: Path) -> bytes:
    """A firmware file; raises CommandError: it is larger than any."""
    return _read(path, FILE_BYTES, "a firmware file of")


def read_files(folder: Path | None) -> dict[str, bytes]:
    """The files below a folder, by their path with "/"; raises CommandError if it is none, empty or holds too much."""
    if folder is None:
        return {}
    found: dict[str, bytes] = {}
    left = FILE_BYTES
    for path in folder.rglob("*"):
        if path.is_file():
            content = found[path.relative_to(folder).as_posix()] = _read(path, left, f"{folder} to hold")
            left -= len(content)
    if not found:
        raise CommandError(f"--files: got {str(folder)!r}, wanted a folder with files", Exit.USAGE)
    return dict(sorted(found.items()))


def _read(path: Path, most_bytes: int, wanted: str) -> bytes:
    with open(path, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        wanted = f"wanted {wanted} {FILE_BYTES >> 20} MiB at most; name another"
        raise CommandError(f"{path}: got more than {most_bytes} bytes, {wanted}", Exit.REFUSED)
    return content

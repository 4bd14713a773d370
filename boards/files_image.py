"""The files of a board as an image of its file system, to be written behind its firmware; it writes to no board.

MicroPython mounts it as its own: littlefs 2 in blocks of 4096 bytes, as rp2.Flash and the partition "vfs" of an ESP32
have them. Blocks behind the last one in use are left out, for littlefs erases what it takes. The board's own files,
and so its settings and its identity, are not in it and are gone when it is written.

Sources: MicroPython 1.25, ports/rp2/rp2_flash.c, ports/esp32/modules/flashbdev.py; littlefs SPEC.md (version 2.1).
"""

from pathlib import PurePosixPath
from typing import Any

from boards.board import BoardError
from boards.hardware import Hardware, Region

BLOCK_BYTES = 4096
PAGE_BYTES = 256
SPARE_BLOCKS = 8
TOOLS = ("uf2", "esptool")  # boards that are written so keep their files in a littlefs


def files_region(board: Hardware) -> Region:
    """Where a board's files are. Raises BoardError: it has none, or another file system."""
    if board.flash[0].tool in TOOLS:
        for region in board.memory:
            if region.name == "files":
                return region
    raise BoardError(f"{board.name}: got a board without a littlefs for files; bring them by tinyren flash --files")


def make_image(files: dict[str, bytes], region: Region) -> bytes:
    """The image of a file system that fills the region and holds these files, content by path with "/" between folders.

    littlefs spreads what it writes, so it is made as small as the files allow and then told how large it is.

    Raises:
        BoardError: they do not fit, a path is none, or littlefs-python is not installed.
    """
    most = region.bytes // BLOCK_BYTES
    folders = {folder for path in files for folder in PurePosixPath(path).parents}
    count = SPARE_BLOCKS + 2 * len(folders) + sum(-(-len(content) // BLOCK_BYTES) for content in files.values())
    while not (disk := _fill(files, min(count, most))):
        if count >= most:
            size = sum(map(len, files.values()))
            raise BoardError(f"files: got {size} bytes in {len(files)} files, wanted what fits into a file system of "
                             f"{region.bytes} bytes; leave some out")  # fmt: skip
        count += count // 4
    disk.fs_grow(most)
    image = bytes(disk.context.buffer).rstrip(b"\xff")
    return image.ljust(-(-len(image) // BLOCK_BYTES) * BLOCK_BYTES, b"\xff")


def _fill(files: dict[str, bytes], blocks: int) -> Any:
    """A file system of that many blocks with the files, or None where they do not fit."""
    try:
        from littlefs import LittleFS, LittleFSError
    except ImportError as error:
        raise BoardError("littlefs-python: not installed; run: pip install 'tinyren[flash]'") from error
    disk = LittleFS(block_size=BLOCK_BYTES, block_count=blocks, read_size=PAGE_BYTES, prog_size=PAGE_BYTES,
                    cache_size=BLOCK_BYTES)  # fmt: skip
    for path, content in sorted(files.items()):
        try:
            disk.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
            with disk.open(path, "wb") as file:
                file.write(content)
        except LittleFSError as error:
            if error.code == LittleFSError.Error.LFS_ERR_NOSPC:
                return None
            raise BoardError(f"files: {path}: {error}, wanted a name that a board can keep; rename it") from error
    return disk

"""Memories in files of a board's own file system, for key, state and late records; decides nothing of what they hold.

Rules:
  1. What `write` got is in flash when it returns: on littlefs a file changes when it is closed, all of it or nothing.
     On FAT a power cut may damage more than was written: there the records' check sums are all there is.
  2. A memory begins as a file that is written whole under another name and then renamed. One of another size is
     refused: it may hold a key.
Source: MicroPython 1.25, docs/reference/filesystem.rst; littlefs, DESIGN.md.
"""

import os

from micropython import const

PAGE_BYTES = const(4096)
_FRESH = const(0xFF)


class FileMemory:
    """One file, which is open only while it is used. Raises OSError: none can be made, or it has another size."""

    erase_bytes = 0

    def __init__(self, path, size):
        self.size = size
        self._path = path
        if not _exists(path):
            _make(path, size)
        if os.stat(path)[6] != size:
            raise OSError(22, f"{path}: got {os.stat(path)[6]} bytes, wanted {size}; what it keeps is not touched")

    def read(self, address, buffer):
        with open(self._path, "rb") as file:
            file.seek(address)
            file.readinto(buffer)

    def write(self, address, data):
        _write(self._path, address, data)

    def erase(self, address):
        raise OSError(22, "a file needs no erasing")


class FilePages:
    """A folder with a file for each 4 KiB, made when it is first written: to change a byte of a file in littlefs is to
    write what follows it anew, so no file is larger. A write must not go beyond a page.
    """

    erase_bytes = 0

    def __init__(self, folder, pages):
        self.size = pages * PAGE_BYTES
        self._folder = folder
        if not _exists(folder):
            os.mkdir(folder)

    def read(self, address, buffer):
        path, at = self._place(address)
        try:
            with open(path, "rb") as file:
                file.seek(at)
                file.readinto(buffer)
        except OSError:  # it was never written
            buffer[:] = bytes((_FRESH,)) * len(buffer)

    def write(self, address, data):
        path, at = self._place(address)
        if not _exists(path):
            _make(path, PAGE_BYTES)
        _write(path, at, data)

    def erase(self, address):
        raise OSError(22, "a file needs no erasing")

    def _place(self, address):
        page, at = divmod(address, PAGE_BYTES)
        return f"{self._folder}/{page}", at


def replace(path, content):
    """Make content (bytes) that of a file, all of it or none of it. Raises OSError."""
    with open(path + ".new", "wb") as file:
        if file.write(content) != len(content):
            raise OSError(28, "the file system is full")
    try:
        os.rename(path + ".new", path)
    except OSError:  # FAT does not replace
        os.remove(path)
        os.rename(path + ".new", path)


def take(path, most):
    """At most so many bytes of a file, which is then removed; b"" where there is none."""
    content = read(path, most)
    if content:
        os.remove(path)
    return content


def read(path, most):
    """At most so many bytes of a file; b"" where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(most)
    except OSError:
        return b""


def _write(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        if file.write(data) != len(data):
            raise OSError(28, "the file system is full")


def _exists(path):
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def _make(path, size):
    piece = bytes((_FRESH,)) * 256
    with open(path + ".new", "wb") as file:
        for _ in range(size // len(piece)):
            if file.write(piece) != len(piece):
                raise OSError(28, "the file system is full")
    os.rename(path + ".new", path)

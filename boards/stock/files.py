"""Memories in files of a board's own file system, for key, state, late records and banks; decides nothing of what they
hold.

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
    write what follows it anew, so no file is larger.
    """

    def __init__(self, folder, pages, erase_bytes=0):
        """erase_bytes: PAGE_BYTES for who erases before he writes, as a bank: then what is not used takes no room."""
        self.size = pages * PAGE_BYTES
        self.erase_bytes = erase_bytes
        self._folder = folder

    def read(self, address, buffer):
        for path, at, part in self._parts(address, memoryview(buffer)):
            try:
                with open(path, "rb") as file:
                    file.seek(at)
                    file.readinto(part)
            except OSError:  # it was never written
                part[:] = bytes((_FRESH,)) * len(part)

    def write(self, address, data):
        for path, at, part in self._parts(address, memoryview(data)):
            if not _exists(path):
                if not _exists(self._folder):
                    os.mkdir(self._folder)
                _make(path, PAGE_BYTES)
            _write(path, at, part)

    def erase(self, address):
        ((path, _, _),) = self._parts(address, b"\0")
        if _exists(path):
            os.remove(path)

    def _parts(self, address, data):
        """[(file, place in it, part of data)]."""
        parts = []
        while len(data):
            page, at = divmod(address, PAGE_BYTES)
            part = data[: PAGE_BYTES - at]
            parts.append((f"{self._folder}/{page}", at, part))
            address, data = address + len(part), data[len(part) :]
        return parts


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

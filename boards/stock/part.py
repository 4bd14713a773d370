"""A package in a bank, of which MicroPython reads one module at a time; nothing of it is copied whole."""

import io

from micropython import const

_GET_BUFFER_SIZE = const(11)  # MP_STREAM_GET_BUFFER_SIZE of py/stream.h
_BUFFER_BYTES = const(240)


class Parts:
    """What package_files.PackageFiles takes: its slices are files. read: function (offset, buffer), a bank's."""

    def __init__(self, read):
        self._read = read

    def __getitem__(self, place):
        return Part(self._read, place.start, place.stop)


class Part(io.IOBase):
    """A file that is read from its first byte to its last: those from start to end of what read gives."""

    def __init__(self, read, start, end):
        self._read, self._at, self._end = read, start, end

    def readinto(self, buffer):
        part = memoryview(buffer)[: min(len(buffer), self._end - self._at)]
        self._read(self._at, part)
        self._at += len(part)
        return len(part)

    def ioctl(self, request, argument):
        return _BUFFER_BYTES if request == _GET_BUFFER_SIZE else 0

"""What the core has on CPython in place of a board's: banks in a file, watchdog and reset; it refuses to lose a reason.

A reset is exec of the same command; why it was made goes with it in the environment. The watchdog is a timer signal
that the core's loop puts off in each turn, whatever the link does: a loop that no longer turns is a reset, and told so.
"""

import mmap
import os
import signal
import sys

from .banks import HEADER_BYTES
from .journal import Journal
from .port import SECRET_MODE

RESET = "TINYREN_RESET"
WATCHDOG_S = 60.0
AREA_BYTES = 4096
MODEL_BYTES = HEADER_BYTES + (4 << 20)
AGENT_BYTES = HEADER_BYTES + (1 << 20)
RING_BYTES = 61_440
JOURNAL_BYTES = 512
ERASED = 0xFF


def take_reset() -> str:
    """Why this process began: "power", unless the one before it made itself this one."""
    return os.environ.pop(RESET, "power")


def restart(reason: str):
    """Begin this process anew, for this reason; it does not return."""
    signal.setitimer(signal.ITIMER_REAL, 0)  # a timer outlives exec, its handler does not
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[RESET] = reason
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def watch(seconds: float):
    """Start the watchdog -> function that puts it off."""
    signal.signal(signal.SIGALRM, lambda *_: restart("watchdog"))

    def feed():
        signal.setitimer(signal.ITIMER_REAL, seconds)

    feed()
    return feed


def open_banks(path):
    """Memories of a file of banks, as banks.Banks takes them: (area, two of models, two of agents)."""
    file, memories, start = SparseFile(path), [], 0
    for size in (AREA_BYTES, MODEL_BYTES, MODEL_BYTES, AGENT_BYTES, AGENT_BYTES):
        memories.append(Region(file, start, size))
        start += size
    memories[0].is_synced = True
    return memories[0], memories[1:3], memories[3:]


def open_ring(path):
    """Memory for late records, a day of them at one a minute; each write is on the disk when it returns."""
    ring = Region(SparseFile(path), 0, RING_BYTES)
    ring.is_synced = True
    return ring


def open_journal(path, reason: str) -> Journal:
    """The journal of a process that began for this reason; its lines outlive the process, though no power cut."""
    with open(path, "a+b") as file:
        file.truncate(JOURNAL_BYTES)
        return Journal(mmap.mmap(file.fileno(), JOURNAL_BYTES), reason)


class SparseFile:
    """A file that is made when it is first written; before that, and beyond its end, it reads as erased."""

    def __init__(self, path):
        self._path = path
        self._file = None

    def read(self, addr: int, size: int) -> bytes:
        if self._file is None:
            if not os.path.exists(self._path):
                return bytes([ERASED]) * size
            self._file = os.open(self._path, os.O_RDWR)
        data = os.pread(self._file, size, addr)
        return data + bytes([ERASED]) * (size - len(data))

    def write(self, addr: int, data):
        """Raises OSError: the disk is full, or cannot be written."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, SECRET_MODE)
            folder = os.open(os.path.dirname(os.path.abspath(self._path)), os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        if os.pwrite(self._file, data, addr) != len(data):
            raise OSError(28, "file: got less written than was given")

    def sync(self):
        os.fsync(self._file)


class Region:
    """Bytes start..start + size of a file, as a byte-writable memory. Only a synced one is on the disk when a write
    returns, and with it everything that was written to the file before.
    """

    erase_bytes = 0

    def __init__(self, file, start: int, size: int):
        self.size = size
        self.is_synced = False
        self._file = file
        self._start = start

    def read(self, addr: int, buffer):
        buffer[:] = self._file.read(self._start + addr, len(buffer))

    def write(self, addr: int, data):
        self._file.write(self._start + addr, data)
        if self.is_synced:
            self._file.sync()

    def erase(self, addr: int):
        raise NotImplementedError("a file needs no erasing")

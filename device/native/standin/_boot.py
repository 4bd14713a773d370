"""Frozen into the stand-in: mounts littlefs as the boards' own `_boot.py` does, on memory that a reset of it keeps."""

import sys

import standin_address
import uctypes
import vfs

_BLOCK_BYTES = 4096
_BLOCKS = 212  # a Pico W's


class Flash:
    """A block device over memory."""

    def __init__(self, address):
        self._memory = uctypes.bytearray_at(address, _BLOCKS * _BLOCK_BYTES)

    def readblocks(self, block, buffer, offset=0):
        at = block * _BLOCK_BYTES + offset
        buffer[:] = memoryview(self._memory)[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=None):
        at = block * _BLOCK_BYTES + (offset or 0)
        memoryview(self._memory)[at : at + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        return {4: _BLOCKS, 5: _BLOCK_BYTES, 6: 0}.get(operation, 0)


flash = Flash(standin_address.ADDRESS)
try:
    files = vfs.VfsLfs2(flash, progsize=256)
except OSError:
    vfs.VfsLfs2.mkfs(flash, progsize=256)
    files = vfs.VfsLfs2(flash, progsize=256)
vfs.mount(files, "/")
sys.path.append("/lib")
del sys, vfs, flash, files, Flash, standin_address

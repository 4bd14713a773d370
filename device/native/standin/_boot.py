"""Frozen into the stand-in: mounts littlefs as the boards' own `_boot.py` does, on memory that a reset of it keeps."""

import sys

import vfs
from standin import flash

try:
    files = vfs.VfsLfs2(flash, progsize=256)
except OSError:
    vfs.VfsLfs2.mkfs(flash, progsize=256)
    files = vfs.VfsLfs2(flash, progsize=256)
vfs.mount(files, "/")
sys.path.append("/lib")
del sys, vfs, flash, files

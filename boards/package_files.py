"""An agent package as a read-only file system of MicroPython, so that it is imported without being copied.

What `open` gives is a slice of the package. On the emulated boards that is memory: MicroPython 1.25
(extmod/vfs_reader.c, MICROPY_VFS_ROM) takes a file that is a buffer for read-only memory and runs its bytecode where it
lies.
"""

from micropython import const

FOLDER = "/tinyren_agent"
_IS_FOLDER = const(0x4000)
_IS_FILE = const(0x8000)


class PackageFiles:
    """What vfs.mount takes.

    Args:
        files: {path: (offset, size)}, as agent.package.Package has it.
        content: memoryview of the package, or stock.part.Parts of it; it never changes while it is mounted.
    """

    def __init__(self, files, content):
        self._files = files
        self._content = content

    def mount(self, is_readonly, is_made):
        pass

    def umount(self):
        pass

    def stat(self, path):
        """Raises OSError: there is nothing of that name."""
        name = path[len(FOLDER) + 1 :]
        if not path.startswith(FOLDER) or name and name not in self._files and not self._is_folder(name):
            raise OSError(2)
        return (_IS_FILE if name in self._files else _IS_FOLDER,) + (0,) * 9

    def open(self, path, mode):
        """Raises OSError: there is no file of that name."""
        try:
            offset, size = self._files[path[len(FOLDER) + 1 :]]
        except KeyError:
            raise OSError(2) from None
        return self._content[offset : offset + size]

    def _is_folder(self, name):
        return any(path.startswith(name + "/") for path in self._files)

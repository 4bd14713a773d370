"""An agent package: the modules of an agent in one artifact, each found without loading the others; it runs nothing.

    "tnp" 01 | u16 BE length of the index | index | contents
    index: deterministic CBOR {path: [offset from the contents' first byte, size]}

Paths are ASCII as "run.py" or "drivers/tmp105.mpy"; contents lie in the order of the index, without gaps, to the end.
"""

from . import cbor
from .errors import WireError
from .fields import check_int, take_fields
from .version import abi as abi

INDEX_MAX_BYTES = 4096
PATH_MAX_BYTES = 48

_HEAD = b"tnp\x01"
_HEAD_BYTES = 6
_U32 = 0xFFFFFFFF


def build(files) -> bytes:
    """Package of {path: content bytes}; the same files give the same bytes.

    Raises:
        WireError: a path or the index is longer than a reader takes.
    """
    index, contents = {}, b""
    for path in sorted(files, key=cbor.encode):
        index[path] = [len(contents), len(files[path])]
        contents += files[path]
    encoded = cbor.encode(index)
    package = _HEAD + len(encoded).to_bytes(2, "big") + encoded + contents
    view = memoryview(package)
    Package(lambda offset, buffer: _copy(view, offset, buffer), len(package))
    return package


def _copy(view, offset, buffer):
    buffer[:] = view[offset : offset + len(buffer)]


class Package:
    """files: {path: (offset, size)}, offsets from the package's first byte."""

    def __init__(self, read, size: int):
        """
        Args:
            read: function (offset, buffer) that fills a buffer from there; it is asked for nothing beyond size.
            size: bytes of the package.
        Raises:
            WireError: it is no package.
        """
        head = bytearray(_HEAD_BYTES)
        if size >= _HEAD_BYTES:
            read(0, head)
        if bytes(head[:4]) != _HEAD:
            raise WireError("malformed", "package: got another head, wanted tnp 1")
        index = bytearray(head[4] << 8 | head[5])
        start = _HEAD_BYTES + len(index)
        if start > size:
            raise WireError("malformed", f"package: got an index of {len(index)} bytes, wanted it within {size}")
        read(_HEAD_BYTES, index)
        self._read = read
        self.files = _files(cbor.decode(index, INDEX_MAX_BYTES), start, size)

    def read(self, path: str) -> bytes:
        """Content of a file. Raises KeyError: there is none of that path."""
        offset, size = self.files[path]
        content = bytearray(size)
        self._read(offset, content)
        return bytes(content)


def _files(index, start, size):
    """{path: (offset, size)} of a decoded index whose contents are start..size. Raises WireError."""
    if type(index) is not dict:
        raise WireError("wrong_type", f"index: got {type(index).__name__}, wanted a map")
    files, end = {}, start
    for path in sorted(index, key=cbor.encode):
        if type(path) is not str or not _is_path(path):
            raise WireError("malformed", "path: got another, wanted ASCII as drivers/tmp105.mpy")
        offset, length = take_fields(index[path], path, (int, int))
        check_int(length, "size", 0, _U32)
        if offset != end - start:
            raise WireError("malformed", f"{path}: got offset {offset}, wanted {end - start}")
        files[path] = (end, length)
        end += length
    if end != size:
        raise WireError("malformed", f"package: got {size} bytes, wanted {end}")
    return files


def _is_path(path):
    stem, dot, kind = path.rpartition(".")
    if len(path) > PATH_MAX_BYTES or not dot or kind not in ("py", "mpy"):
        return False
    return all(part and all(c.isalpha() and c < "\x7f" or c.isdigit() and c < "\x7f" or c == "_" for c in part)
               for part in stem.split("/"))  # fmt: skip

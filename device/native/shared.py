"""The device's Model for CPython: builds the native kernels as a shared object and runs artifacts with it by ctypes.

The same C as in the firmware, so the same bytes. Where `tinyren flash` brought a shared object, that is loaded and
nothing is built (boards/computer.py). Else it is built once into a cache (TINYREN_CACHE, else .cache beside the source
tree), named by a hash of source and command, and moved there whole: builders at the same time do no harm.
"""

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCES = (
    "chacha20.c", "edil.c", "edil_ring.c", "edil_sum.c",
    "int8.c", "int8_depthwise.c", "int8_elementwise.c", "int8_pool.c",
    "model.c", "model_buffers.c", "model_check.c", "sha256.c",
)  # fmt: skip
HEADERS = (
    "chacha20.h", "edil.h", "edil_ring.h", "edil_sum.h", "tune.h",
    "int8.h", "int8_block.h", "int8_output.h", "int8_pairs.h", "int8_scale.h",
    "model.h", "model_record.h", "sha256.h",
)  # fmt: skip
FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")
CID_BYTES = 36
BROUGHT = FOLDER / "native.so"  # where a computer has no compiler and no packages; it holds curve.py's functions too


class NativeError(Exception):
    """The shared object could not be built."""


class ArtifactError(ValueError):
    """The artifact was refused; the message says why."""


class _Facts(ctypes.Structure):
    _fields_ = [
        ("input_bytes", ctypes.c_uint32),
        ("output_bytes", ctypes.c_uint32),
        ("arena_bytes", ctypes.c_uint32),
        ("layers", ctypes.c_uint32),
        ("cid", ctypes.POINTER(ctypes.c_uint8)),
    ]


def build_shared(flags=FLAGS):
    """Path of the shared object, built if the cache does not hold it; raises NativeError."""
    compiler = os.environ.get("CC", "cc")
    if not shutil.which(compiler):
        raise NativeError(f"C compiler {compiler!r} not found; install one (Debian: apt install gcc) or set CC")
    texts = [(FOLDER / name).read_bytes() for name in SOURCES + HEADERS]
    key = hashlib.sha256(b"\0".join([compiler.encode(), *map(str.encode, flags), *texts])).hexdigest()[:16]
    cache = Path(os.environ.get("TINYREN_CACHE") or FOLDER.parents[1] / ".cache")
    target = cache / f"native-{key}.so"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        built = Path(scratch, "native.so")
        command = [compiler, *flags, "-o", str(built), *(str(FOLDER / name) for name in SOURCES)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise NativeError(f"{compiler} failed ({done.returncode}): {done.stderr.strip()[-400:]}")
        os.replace(built, target)
    return target


@functools.cache
def load_shared():
    """The shared object, loaded once in a process; raises NativeError."""
    return ctypes.CDLL(str(BROUGHT if BROUGHT.exists() else build_shared()))


@functools.cache
def _library():
    library = load_shared()
    library.ren_model_check.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    library.ren_model_error.restype = ctypes.c_char_p
    library.ren_model_info.argtypes = [ctypes.c_char_p, ctypes.POINTER(_Facts)]
    library.ren_model_run.argtypes = [ctypes.c_char_p] + [ctypes.c_void_p] * 3
    library.ren_model_run.restype = None
    return library


class Model:
    """An artifact that passed every check, with an arena of its own; not for two threads at once."""

    def __init__(self, artifact):
        """artifact: bytes as models.artifact.compile_model returns them. Raises ArtifactError, NativeError."""
        library = _library()
        self._artifact = bytes(artifact)
        error = library.ren_model_check(self._artifact, len(self._artifact))
        if error:
            raise ArtifactError(library.ren_model_error(error).decode())
        facts = _Facts()
        library.ren_model_info(self._artifact, facts)
        self.input_bytes, self.output_bytes = facts.input_bytes, facts.output_bytes
        self.arena_bytes, self.layers = facts.arena_bytes, facts.layers
        self.cid = bytes(facts.cid[:CID_BYTES])
        self._arena = ctypes.create_string_buffer(max(1, self.arena_bytes))

    def run(self, window, out):
        """Encode one window.

        Args:
            window: input_bytes of int8 (bytes, bytearray or array), row-major; read only.
            out: output_bytes of int8 (bytearray or array), the caller's, overwritten.
        Raises:
            ValueError: window or out has another length; out is unchanged.
        """
        view = memoryview(out).cast("B")
        if len(view) != self.output_bytes:
            raise ValueError(f"out: got {len(view)} bytes, wanted {self.output_bytes}")
        content = memoryview(window).tobytes()
        if len(content) != self.input_bytes:
            raise ValueError(f"window: got {len(content)} bytes, wanted {self.input_bytes}")
        target = (ctypes.c_char * self.output_bytes).from_buffer(view)
        _library().ren_model_run(self._artifact, content, target, self._arena)

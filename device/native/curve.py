"""Curve and Keccak for CPython where no packages are: the device's C in the shared object that came with the agent.

The same C as in the firmware, by ctypes, so the same bytes (secp.h, keccak.h). It is only there where `tinyren flash`
brought it (shared.BROUGHT); elsewhere agent/port.py takes packages. Keys and digests are 32 bytes.
"""

import ctypes
import functools
import os

from .shared import BROUGHT


@functools.cache
def _library():
    library = ctypes.CDLL(str(BROUGHT))
    for name in ("init", "pubkey", "sign", "ecdh", "recover"):
        getattr(library, f"ren_secp_{name}").restype = ctypes.c_bool
    library.ren_keccak256.restype = None
    library.ren_keccak256.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]
    if not library.ren_secp_init(ctypes.create_string_buffer(os.urandom(32), 32)):
        raise OSError(f"{BROUGHT}: the curve's library refused to begin; install the agent again")
    return library


def keccak256(data) -> bytes:
    """The digest, 32 bytes."""
    digest = ctypes.create_string_buffer(32)
    _library().ren_keccak256(bytes(data), len(data), digest)
    return digest.raw


def pubkey(secret: bytes) -> bytes:
    """The public key, uncompressed, 65 bytes. Raises ValueError: the key is not in 1..n-1."""
    return _call("pubkey", 65, "secret: wanted a key in 1..n-1", (secret, 32))


def sign(secret: bytes, digest: bytes) -> bytes:
    """r | s | recovery id 0..3, 65 bytes. Raises ValueError: the key is not in 1..n-1."""
    return _call("sign", 65, "secret: wanted a key in 1..n-1", (secret, 32), (digest, 32))


def ecdh(secret: bytes, public: bytes) -> bytes:
    """SHA-256 of the compressed shared point; public is compressed, 33 bytes. Raises ValueError: it is no point."""
    return _call("ecdh", 32, "public: wanted a point of the curve", (secret, 32), (public, 33))


def recover(digest: bytes, signature: bytes) -> bytes:
    """Public key (65 bytes) of a signature r | s | recovery id 0..3. Raises ValueError: there is none."""
    return _call("recover", 65, "signature: wanted one with a public key", (digest, 32), (signature, 65))


def _call(name, size, wanted, *given):
    for value, length in given:
        if len(value) != length:
            raise ValueError(f"{wanted}, got {len(value)} bytes for {length}")
    result = ctypes.create_string_buffer(size)
    if not getattr(_library(), f"ren_secp_{name}")(*(bytes(value) for value, _ in given), result):
        raise ValueError(wanted)
    return result.raw

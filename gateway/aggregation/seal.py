"""TenSEAL at work, and the only file that imports it; SEAL never gets to parse a byte that a device made.

SEAL before 4.4 does not promise to survive hostile bytes. So a ciphertext for it is written here, from residues that
were checked to be below q, and its results are read number by number. What is written is SEAL's own format,
uncompressed (little-endian), which a version refuses that differs in major or minor: `check_version` compares.
    header       u16 0xA15E, u8 16, u8 major, u8 minor, u8 0 (no compression), u16 0, u64 size with the header
    ciphertext   header, parms_id 32 bytes, u8 is_ntt, u64 polynomials, u64 N, u64 primes, f64 scale, u64 1, array
    array        header, u64 count, u64 each
CkksSum, for gateway-trusted rounds, is another matter: it reads a data owner's public context, which the operator of
the gateway has chosen, and sums that it wrote itself.
Source: SEAL 4.3, ciphertext.cpp, dynarray.h and serialization.h. Ring and packing: EDIL.md, sections 1 and 7.
"""

import os
import struct
from collections.abc import Mapping, Sequence

import numpy as np
import tenseal as tenseal
from numpy.typing import NDArray
from tenseal import sealapi

from gateway.aggregation.rings import Ring, T

VERSION = 4, 3
_MAGIC, _HEADER_BYTES = 0xA15E, 16

Residues = NDArray[np.uint32]
Buffer = bytes | bytearray | memoryview


class SealMismatch(Exception):
    """The SEAL that is linked is not the one whose bytes are written here."""


def check_version() -> None:
    """Refuse a SEAL of another version than the one written here.

    Raises:
        SealMismatch
    """
    linked = sealapi.Serialization.SEALHeader()
    found = linked.version_major, linked.version_minor
    if found != VERSION or linked.magic != _MAGIC or linked.header_size != _HEADER_BYTES:
        raise SealMismatch(f"SEAL: got {found[0]}.{found[1]} of TenSEAL {tenseal.__version__}, wanted 4.3")


class Product:
    """Multiplies ciphertexts of a ring by one public polynomial. For one thread at a time.

    Args:
        polynomial: up to N coefficients within -t/2..t/2, from X^0.
        added: what c0 gets afterwards: a residue by coefficient.
    Raises:
        SealMismatch: SEAL's version, or it does not take the ring's parameters as 128-bit secure.
    """

    def __init__(self, ring: Ring, polynomial: Sequence[int], added: Mapping[int, int]) -> None:
        check_version()
        self._ring, self._added = ring, dict(added)
        self._context = context_of(ring)
        self._evaluator = sealapi.Evaluator(self._context)
        self._parms_id = struct.pack("<4Q", *self._context.first_parms_id())
        self._plain = sealapi.Plaintext(_text(polynomial))
        self._file = os.memfd_create("ciphertext")
        self._input, self._output = sealapi.Ciphertext(), sealapi.Ciphertext()

    def apply(self, b: Buffer, a: Buffer) -> tuple[bytes, bytes]:
        """(b w + added, a w) modulo q; residues as u32[N], in the order of coefficients.

        Raises:
            ValueError: another length, or a residue is not below q; SEAL sees none of it.
        """
        both = np.concatenate([np.frombuffer(residues, np.uint32) for residues in (b, a)])
        if both.size != 2 * self._ring.n or both.max() >= self._ring.q:
            raise ValueError(f"residues: got {both.size} up to {both.max()}, wanted 2 N below {self._ring.q}")
        self._load(write_ciphertext(self._parms_id, self._ring.n, both))
        self._evaluator.multiply_plain(self._input, self._plain, self._output)
        both = read_ciphertext(self._output, self._ring)
        for place, residue in self._added.items():
            both[place] = (int(both[place]) + residue) % self._ring.q
        return both[: self._ring.n].tobytes(), both[self._ring.n :].tobytes()

    def close(self) -> None:
        """Let go of the file in memory by which SEAL is handed bytes."""
        os.close(self._file)

    def _load(self, content: bytes) -> None:
        os.pwrite(self._file, content, 0)  # always as long as the last one
        self._input.load(self._context, f"/proc/self/fd/{self._file}")


class CkksSum:
    """A sum under TenSEAL CKKS and a data owner's public key, of vectors that this process sees.

    Args:
        context: a TenSEAL context of scheme CKKS without its secret key, serialized, from somebody who may be trusted.
        total: `serialize` of a sum under this context, to go on with.
    Raises:
        ValueError: another scheme, no public key, or the secret key is in it.
    """

    def __init__(self, context: bytes, total: bytes = b"") -> None:
        try:
            self._context = tenseal.context_from(context)
            self._total = tenseal.ckks_vector_from(self._context, total) if total else None
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"context: {error}, wanted TenSEAL's") from None
        scheme = self._context.seal_context().data.key_context_data().parms().scheme().name
        if scheme != "CKKS" or self._context.is_private() or not self._context.has_public_key():
            raise ValueError(f"context: got {scheme}, wanted CKKS with a public key and without the secret one")

    def add(self, values: Sequence[float]) -> None:
        """Encrypt values and add them; the first vector sets the length."""
        vector = tenseal.ckks_vector(self._context, list(values))
        self._total = vector if self._total is None else self._total + vector

    def serialize(self) -> bytes:
        """The sum's ciphertext as TenSEAL's ckks_vector_from reads it; empty before the first `add`."""
        return b"" if self._total is None else bytes(self._total.serialize())


def context_of(ring: Ring) -> sealapi.SEALContext:
    """SEAL's context of a ring for BFV, one prime, no keys.

    Raises:
        SealMismatch: its table of 128-bit security does not have these parameters.
    """
    parameters = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.BFV)
    parameters.set_poly_modulus_degree(ring.n)
    parameters.set_coeff_modulus([sealapi.Modulus(ring.q)])
    parameters.set_plain_modulus(T)
    context = sealapi.SEALContext(parameters, False, sealapi.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise SealMismatch(f"N {ring.n}, q {ring.q}: {context.parameters_error_message()}")
    return context


def write_ciphertext(parms_id: bytes, n: int, both: Residues) -> bytes:
    """SEAL's bytes of b, then a: uint32[2 N], residues of one prime in the order of coefficients."""
    numbers = both.astype("<u8").tobytes()
    head = parms_id + struct.pack("<BQQQdQ", 0, 2, n, 1, 1.0, 1)
    return _with_header(head + _with_header(struct.pack("<Q", 2 * n) + numbers))


def read_ciphertext(ciphertext: sealapi.Ciphertext, ring: Ring) -> Residues:
    """c0, then c1 of a ciphertext that SEAL holds: uint32[2 N], residues in the order of coefficients.

    Raises:
        SealMismatch: it is another one than (c0, c1) over the ring's only prime.
    """
    shape = ciphertext.size(), ciphertext.poly_modulus_degree(), ciphertext.coeff_modulus_size()
    if shape != (2, ring.n, 1) or ciphertext.is_ntt_form():
        raise SealMismatch(f"result: got (polynomials, N, primes) = {shape}, wanted (2, {ring.n}, 1), coefficients")
    both = np.fromiter(map(ciphertext.__getitem__, range(2 * ring.n)), np.uint32, 2 * ring.n)
    if both.max() >= ring.q:
        raise SealMismatch(f"result: got a residue of {both.max()}, wanted all below {ring.q}")
    return both


def _with_header(body: bytes) -> bytes:
    size = _HEADER_BYTES + len(body)
    return struct.pack("<HBBBBHQ", _MAGIC, _HEADER_BYTES, *VERSION, 0, 0, size) + body


def _text(polynomial: Sequence[int]) -> str:
    """SEAL's notation: hexadecimal coefficients modulo t, from the highest power."""
    terms = [f"{value % T:X}x^{power}" for power, value in enumerate(polynomial) if power and value % T]
    return " + ".join([*reversed(terms), f"{polynomial[0] % T:X}"])

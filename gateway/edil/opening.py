"""What opens a ciphertext for who has every share (EDIL.md, section 1); it encrypts nothing.

Arrays are numpy's, an element a coefficient.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from device.native import edil
from gateway.aggregation.rings import RINGS, T

SMALL_MAX = 21  # of a coefficient of `small`: 21 bits against 21

Ints = NDArray[np.int64]


def sum_secrets(ring: int, weighted: Sequence[tuple[int, bytes]]) -> Ints:
    """sum of weight * small(s_key) over (weight, s_key): a share, int64[N]."""
    keys, weights = b"".join(key for _, key in weighted), [weight for weight, _ in weighted]
    return np.frombuffer(edil.secret(ring, keys, weights), np.int32).astype(np.int64)


def open_sum(ring: int, ciphertext: bytes, a_key: bytes, s: Ints) -> Ints:
    """The message of b + a s, -2^15 .. 2^15 - 1, int64[N].

    Args:
        ciphertext: b, packed. a_key: 32 bytes. s: int64[N], the sum of all shares; any int32 is taken.
    Raises:
        ValueError: not the ciphertext of this ring.
    """
    q = RINGS[ring].q
    b = np.frombuffer(edil.unpack(ring, ciphertext), np.uint32).astype(np.int64)
    product = np.frombuffer(edil.product(ring, a_key, s.astype(np.int32)), np.uint32).astype(np.int64)
    rounded = ((b + product) % q * T + q // 2) // q
    return (rounded + T // 2) % T - T // 2


def multiply(ring: int, first: Ints, second: Ints) -> Ints:
    """first * second in Z[X] / (X^N + 1), int64[N]."""
    whole = np.convolve(first, second)
    whole = np.concatenate([whole, np.zeros(2 * ring - len(whole), np.int64)])
    product: Ints = whole[:ring] - whole[ring:]
    return product


def join_digits(coefficients: Ints, digits: int) -> list[int]:
    """Values of sums of balanced base-256 digits, least significant first; exact."""
    rows = coefficients.reshape(-1, digits).tolist()
    return [sum(digit << 8 * place for place, digit in enumerate(row)) for row in rows]

"""How hard it is to read one device's ciphertext, estimated by a published formula; it proves nothing.

Attack: the primal one on (ring) LWE, b = -a s - e: find the short vector (e, s, 1) of a lattice of dimension
d = m + N + 1 and volume q^m by BKZ of block size beta. It is found once

    sqrt(beta) sigma <= delta(beta)^(2 beta - d) q^(m / d)
    delta(beta) = ((pi beta)^(1 / beta) beta / (2 pi e))^(1 / (2 (beta - 1)))

by the geometric series assumption. The ring's structure, and dual and hybrid attacks, are not in it. m <= N: each round
has secrets of its own.
Sources: Alkim, Ducas, Poeppelmann, Schwabe 2016, section 6.3, and Albrecht, Goepfert, Virdia, Wunderer 2017 for the
condition; core-SVP 0.292 beta (Becker, Ducas, Gama, Laarhoven 2016), quantum 0.265 beta (Laarhoven 2015); with
polynomial factors 0.292 beta + 16.4 + log2(8 d) (Albrecht, Player, Scott 2015).
"""

import math
from typing import NamedTuple

SIGMA = math.sqrt(10.5)
LEAST_BETA = 60


class Estimate(NamedTuple):
    """beta, lattice dimension, and bits: core-SVP classical and quantum, and classical with polynomial factors."""

    beta: int
    dimension: int
    classical: float
    quantum: float
    sieving: float


def estimate(ring: int, q: int, sigma: float = SIGMA) -> Estimate:
    """The cheapest primal attack on secrets and noise of standard deviation sigma.

    Args:
        ring: N. q: modulus. sigma: of each coefficient, both of secret and noise.
    """
    low, high = LEAST_BETA, 4 * ring
    while low < high:  # the condition holds for every beta from the least on
        beta = (low + high) // 2
        low, high = (low, beta) if _dimension(ring, q, sigma, beta) else (beta + 1, high)
    dimension = _dimension(ring, q, sigma, low)
    bits = 0.292 * low
    return Estimate(low, dimension, bits, 0.265 * low, bits + 16.4 + math.log2(8 * dimension))


def _dimension(ring: int, q: int, sigma: float, beta: int) -> int:
    """The least lattice dimension in which blocks of beta find the vector; 0 if there is none."""
    log_delta = (math.log(math.pi * beta) / beta + math.log(beta / (2 * math.pi * math.e))) / (2 * (beta - 1))
    wanted = math.log(beta) / 2 + math.log(sigma)
    for samples in range(1, ring + 1):
        dimension = samples + ring + 1
        if wanted <= (2 * beta - dimension) * log_delta + samples / dimension * math.log(q):
            return dimension
    return 0


def sigma_after_sum(honest: int, weight: int = 1, squares: int | None = None) -> float:
    """What is left of a coefficient's standard deviation for one who was given its weighted sum over devices.

    Args:
        honest: devices of the sum whose secrets nobody else knows, at least 1. weight: this device's;
        squares: sum of the squared weights of the honest ones, this device's among them (default: all weights are 1).

    A Gaussian of variance v, given the sum, has variance v (1 - weight^2 / squares): with equal weights v (1 - 1/K).
    """
    return SIGMA * math.sqrt(1 - weight * weight / (honest if squares is None else squares))


def leaked_bits(honest: int) -> float:
    """Bits that the sum over `honest` devices of weight 1 tells of each coefficient of one of them, Gaussians taken."""
    return -math.log2(1 - 1 / honest) / 2

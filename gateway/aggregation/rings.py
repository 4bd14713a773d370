"""EDIL's rings and their noise by arithmetic, pure; refuses an operation whose result could open to something else.

A ciphertext opens to round(t (b + a s) / q). That is the message as long as what b + a s is away from q m / t stays at
most q / 2t in each coefficient:
    rounding   |round(q m / t) - q m / t| <= 1/2 for each coefficient that is not 0; a bound, reached by bad luck only
    noise e    centred binomial of 42 bits: variance 10.5, and sub-Gaussian with 10.5 (Hoeffding: 42 fair bits, each
               1/4), so P(|sum w e| > x) <= 2 exp(-x^2 / (21 sum w^2)), a bound too
Rule: rounding + SIGMAS standard deviations <= q / 2t. `failure` bounds the probability that any coefficient is wrong,
with the room that is really left: at most 1e-12 for the worst sum that weights 1..4 of 256 allow.
No worst case would help: 21 for each of 256 devices is above q / 2t, and happens with probability 2^-10752.
Source: EDIL.md, section 1. Hoeffding, JASA 58 (1963).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

T = 1 << 16
VARIANCE = 10.5
SIGMAS = 6


@dataclass(frozen=True)
class Ring:
    """Z_q[X] / (X^n + 1); `bits` of a residue; psi: least primitive 2n-th root of unity; a ciphertext's bytes."""

    n: int
    q: int
    bits: int
    psi: int
    ciphertext_bytes: int

    @property
    def limit(self) -> float:
        """q / 2t: how far from q m / t a coefficient may be."""
        return self.q / (2 * T)

    def scale(self, value: int) -> int:
        """round(q value / t): what stands in a ciphertext for a coefficient (int, either sign)."""
        return (self.q * value + T // 2) // T


RINGS = {
    1024: Ring(1024, 132120577, 27, 73993, 3456),
    2048: Ring(2048, 132120577, 27, 160172, 6912),
    4096: Ring(4096, 1073692673, 30, 236231, 15360),
}


@dataclass(frozen=True)
class Noise:
    """How far a result is from what it should be: a bound of rounding, sigma of the noise, the ring's limit."""

    rounding: float
    sigma: float
    limit: float
    coefficients: int

    @property
    def suffices(self) -> bool:
        return self.rounding + SIGMAS * self.sigma <= self.limit

    @property
    def failure(self) -> float:
        """Bound of the probability that any of the coefficients opens to something else."""
        if self.rounding >= self.limit:
            return 1.0
        if not self.sigma:
            return 0.0
        exponent = -((self.limit - self.rounding) ** 2) / (2 * self.sigma**2)
        return min(1.0, 2 * self.coefficients * math.exp(exponent))

    def __str__(self) -> str:
        needed = self.rounding + SIGMAS * self.sigma
        return f"rounding {self.rounding:.1f} + {SIGMAS} * {self.sigma:.1f} = {needed:.1f} of {self.limit:.1f}"


def noise_of_sum(ring: Ring, weights: Iterable[int]) -> Noise:
    """Of a sum of ciphertexts with these weights; every coefficient may be used."""
    taken = list(weights)
    sigma = math.sqrt(VARIANCE * sum(weight * weight for weight in taken))
    return Noise(sum(taken) / 2, sigma, ring.limit, ring.n)


def noise_of_worst_sum(ring: Ring, total: int, most: int) -> Noise:
    """Of the noisiest sum of weights 1..most that add up to at most `total`."""
    return noise_of_sum(ring, [most] * (total // most))


def noise_of_head(ring: Ring, weights: Sequence[Sequence[int]], summed: Sequence[int] = (1,)) -> Noise:
    """Of the logits of a head int[classes][width], bias included; the other coefficients are not used.

    Args:
        summed: weights of the ciphertexts in what the head is applied to; one fresh ciphertext if not given.
    """
    inner = noise_of_sum(ring, summed)
    rounding = inner.rounding * max(sum(map(abs, row)) for row in weights) + 0.5
    sigma = inner.sigma * math.sqrt(sum(weight * weight for row in weights for weight in row))
    return Noise(rounding, sigma, ring.limit, len(weights))

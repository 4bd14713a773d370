"""The figures of docs/edil.md are those of the formula, and the formula behaves as published ones do."""

from pathlib import Path

import pytest

from gateway.aggregation.rings import RINGS
from gateway.edil.security import SIGMA, estimate, leaked_bits, sigma_after_sum

PAGE = (Path(__file__).parents[2] / "docs" / "edil.md").read_text()
LARGEST_BITS = {1024: 27, 2048: 54, 4096: 109}
"""HomomorphicEncryption.org, Homomorphic Encryption Standard 2018, table 1: 128 bits, classical, ternary secrets."""


def table(name):
    """Rows of the table behind a marker, numbers alone."""
    lines = PAGE.split(f"<!-- {name}:")[1].splitlines()[3:]
    rows = [line.strip("|").split("|") for line in lines[: lines.index("")]]
    return [[float(cell) for cell in row] for row in rows]


def shown(found):
    return [round(found.classical), round(found.quantum), round(found.sieving)]


def test_the_page_has_the_estimate_of_every_ring():
    rows = table("estimate")
    assert [int(row[0]) for row in rows] == list(RINGS)
    for ring, *cells in rows:
        found = estimate(int(ring), RINGS[ring].q)
        assert cells == [found.beta, found.dimension, *shown(found)]


def test_the_page_has_what_sums_of_keys_leak():
    rows = table("leakage")
    assert len(rows) == 5
    for honest, bits, sigma, *cells in rows:
        left = sigma_after_sum(int(honest))
        assert (bits, sigma) == (round(leaked_bits(int(honest)), 3), round(left, 2))
        assert cells == shown(estimate(1024, RINGS[1024].q, left))


@pytest.mark.parametrize("ring", RINGS)
def test_every_ring_is_within_the_standards_table(ring):
    assert RINGS[ring].q.bit_length() <= LARGEST_BITS[ring]


def test_more_noise_a_larger_ring_and_a_smaller_modulus_are_harder():
    q = RINGS[1024].q
    plain = estimate(1024, q)
    assert estimate(1024, q, 2 * SIGMA).beta > plain.beta > estimate(1024, q, SIGMA / 2).beta
    assert estimate(2048, q).beta > plain.beta > estimate(1024, q * 16).beta


def test_newhope_comes_out_as_its_authors_say():
    """Alkim, Ducas, Poeppelmann, Schwabe 2016, table 1: N = 1024, q = 12289, k = 16: blocks of 967, 282 bits."""
    found = estimate(1024, 12289, 8**0.5)
    assert abs(found.beta - 967) <= 10 and abs(found.classical - 282) <= 3


def test_a_device_that_outweighs_the_others_is_less_hidden():
    assert sigma_after_sum(8) == pytest.approx(SIGMA * (7 / 8) ** 0.5)
    assert sigma_after_sum(8, weight=4, squares=16 + 7) < sigma_after_sum(8) < sigma_after_sum(64) < SIGMA
    assert sigma_after_sum(1) == 0

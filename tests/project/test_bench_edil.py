"""What the bench of EDIL measures is right, whatever it takes: stored updates, equal sums, and a skip that says why."""

import sys

import pytest
from coincurve import PrivateKey

from gateway.benchmarks import edil as bench_edil
from gateway.benchmarks import secagg as bench_secagg
from gateway.benchmarks.rows import EDIL_ROWS


def test_a_round_of_the_bench_is_stored_and_its_sum_is_numpys(tmp_path):
    keys = [PrivateKey(number.to_bytes(32, "big")) for number in range(1, 6)]
    ciphertexts = [bench_edil.encrypt(number) for number in range(3)]
    assert min(bench_edil.take_round(tmp_path / "rounds.sqlite", keys, ciphertexts)) > 0
    assert min(bench_edil.sums_per_s(ciphertexts)) > 0
    with pytest.raises(AssertionError, match="0 of 3 updates stored"):
        bench_edil.take_round(tmp_path / "bad.sqlite", keys, [bytes([255]) * 3456] * 3)


def test_an_encrypted_head_is_computed():
    pytest.importorskip("tenseal", reason="TenSEAL is not installed: pip install tinyren[edil]")
    assert bench_edil.head_ms(bench_edil.encrypt(1)) > 0


def test_a_comparison_without_flower_says_so_and_has_the_same_figures(monkeypatch):
    monkeypatch.setitem(sys.modules, "flwr", None)
    monkeypatch.delenv("TINYREN_FLWR", raising=False)
    found = bench_edil.secagg()
    assert "pip install flwr" in found["skipped"] and set(found) == set(bench_secagg.skipped(""))
    assert {path[1] for _, path in EDIL_ROWS if path[:1] == ("secagg",)} <= set(found)


def test_a_flower_that_fails_is_told(monkeypatch):
    monkeypatch.setenv("TINYREN_FLWR", "/bin/false")
    assert bench_edil.secagg()["skipped"] == "TINYREN_FLWR failed with 1"

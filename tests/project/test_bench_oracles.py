"""Messages and bytes of an epoch's agreement on real encodings: they grow as the protocol says, always the same."""

from gateway.benchmarks import oracles as bench_oracles
from gateway.benchmarks.rows import oracle_rows


def test_messages_grow_with_n_and_deliveries_with_its_square(monkeypatch):
    monkeypatch.setattr(bench_oracles, "COUNTS", (4, 7))
    found = bench_oracles.measure()
    for count, row in ((4, found["4"]), (7, found["7"])):
        assert row["published"] == 4 * count + 1  # Held, prevote, precommit and signature of each, and a proposal
        assert row["delivered"] == row["published"] * (count - 1)
        assert row["delivered_bytes"] == row["published_bytes"] * (count - 1)
    counted = {key: {name: value for name, value in row.items() if name != "open_ms"} for key, row in found.items()}
    again = bench_oracles.measure()
    assert {key: row | {"open_ms": 0} for key, row in again.items()} == {
        key: row | {"open_ms": 0} for key, row in counted.items()
    }
    assert all(value for _, value, _ in oracle_rows({"oracles": found}))

"""The cost of scoring, measured in processes of their own: the work is really done, and shown."""

from gateway.benchmarks import scoring as bench_scoring
from gateway.benchmarks.rows import scoring_rows


def test_each_count_is_measured_in_its_own_process_and_shown():
    found = bench_scoring.measure((1_000, 30_000))
    assert min(found["30000"]["peak_bytes"], found["1000"]["peak_bytes"]) > 1 << 20
    assert found["30000"]["total_s"] > found["1000"]["total_s"] > 0
    labels = [label for label, value, _ in scoring_rows({"scoring": found}) if value]
    assert len(labels) == 6 and "30,000 devices, score and tree, s" in labels

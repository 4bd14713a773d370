"""What a site remembers for its plots: the last windows, heartbeats and outputs, and no more than that."""

from gateway.site.history import OUTPUTS, POINTS, History

A, B = b"a" * 20, b"b" * 20


def test_a_window_counts_who_answered_it_and_the_oldest_are_forgotten():
    history = History()
    for window in range(POINTS + 5):
        history.opened((1, window))
        history.opened((1, window))
        history.heard(A, (1, window), window, None)
    history.heard(B, (1, POINTS + 4), 7, 30)
    history.heard(B, (1, 0), 8, None)
    told = history.windows()
    assert len(told) == POINTS and told[0] == {"epoch": 1, "window": 5, "answered": 1}
    assert told[-1]["answered"] == 2 and len(history.points(A)) == POINTS
    assert history.points(B) == [{"at_ms": 7, "after_ms": 30}, {"at_ms": 8, "after_ms": None}]


def test_outputs_are_signed_bytes_and_the_same_one_is_told_once():
    history = History()
    for count in (1, 1, 2):
        history.told(A, count, b"\x00\x7f\x80\xff", 5)
    assert [(row["count"], row["values"]) for row in history.outputs(A)] == [
        (1, [0, 127, -128, -1]),
        (2, [0, 127, -128, -1]),
    ]
    for count in range(OUTPUTS * 2):
        history.told(B, count, b"\1", count)
    assert len(history.outputs(B)) == OUTPUTS and history.outputs(B)[-1]["count"] == OUTPUTS * 2 - 1


def test_of_a_device_that_was_not_heard_nothing_is_known():
    assert (History().points(A), History().outputs(A), History().windows()) == ([], [], [])

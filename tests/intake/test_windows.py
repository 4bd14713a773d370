"""When epochs and windows open: a clock that is a number, all cases of lateness, restarts and clocks that are wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.intake.windows import Step, Windows, beacon, start_ms

WINDOW_MS = 1000
T0 = 1_700_000_000_000


def run(windows, times):
    """Everything that is done when `due` is asked at these times."""
    done = []
    for now_ms in times:
        while (step := windows.due(now_ms)) is not None:
            windows.took(step, now_ms)
            done.append((now_ms - T0, step.kind, step.epoch, step.window))
    return done


def test_a_beacon_holds_epoch_and_window_and_hides_the_block_hash():
    made = beacon(bytes(32), 7, 3)
    assert len(made) == 14
    assert made[:6] == bytes.fromhex("000000070003")
    assert made != beacon(bytes(31) + b"\x01", 7, 3)


def test_epochs_follow_each_other_and_their_windows_open_on_time():
    assert run(Windows(2, WINDOW_MS), [T0, T0 + 999, T0 + 1000, T0 + 2000, T0 + 3000]) == [
        (0, "open_epoch", 1, 0),
        (0, "open_window", 1, 0),
        (1000, "open_window", 1, 1),
        (2000, "close_epoch", 1, 0),
        (2000, "open_epoch", 2, 0),
        (2000, "open_window", 2, 0),
        (3000, "open_window", 2, 1),
    ]


@pytest.mark.parametrize(
    ("late_ms", "opened"), [(0, [0, 1]), (500, [0, 1]), (501, [0]), (999, [0]), (1000, [0, 2])], ids=str
)
def test_a_window_that_is_late_by_more_than_half_is_not_opened(late_ms, opened):
    windows = Windows(4, WINDOW_MS)
    done = run(windows, [T0, T0 + 1000 + late_ms])
    assert [window for _, kind, _, window in done if kind == "open_window"] == opened


def test_after_a_long_pause_the_epoch_is_closed_and_no_epoch_is_skipped():
    windows = Windows(2, WINDOW_MS)
    assert [(kind, epoch) for _, kind, epoch, _ in run(windows, [T0, T0 + 3_600_000])][-3:] == [
        ("close_epoch", 1),
        ("open_epoch", 2),
        ("open_window", 2),
    ]


@pytest.mark.parametrize(
    ("now_ms", "recorded_ms", "wanted"),
    [
        (T0 + 1200, T0 + 1100, None),
        (T0 + 2000, T0 + 1100, Step("open_window", 5, 2)),
        (T0 + 2700, T0 + 1100, None),
        (T0 + 3400, T0 + 1100, Step("open_window", 5, 3)),
        (T0 + 4000, T0 + 1100, Step("close_epoch", 5)),
        (T0 + 99_000_000_000, T0 + 1100, Step("close_epoch", 5)),
        (T0 + 1000, T0 + 1100, Step("close_epoch", 5)),
        (T0 - 99_000_000_000, T0 + 1100, Step("close_epoch", 5)),
    ],
    ids=[
        "within the window that was open",
        "at the next window",
        "too late for it",
        "at the last window",
        "past the end",
        "far ahead",
        "behind the evidence",
        "far behind",
    ],
)
def test_after_a_restart_the_open_epoch_goes_on_or_is_closed(now_ms, recorded_ms, wanted):
    windows = Windows(99, 7, epoch=5)
    windows.resume(4, WINDOW_MS, T0, 1, recorded_ms, now_ms)
    assert windows.due(now_ms) == wanted


def test_a_resumed_epoch_keeps_its_own_plan_and_the_next_has_the_configured_one():
    windows = Windows(2, 700, epoch=5)
    windows.resume(4, WINDOW_MS, T0, 3, T0 + 3100, T0 + 4000)
    assert (windows.count, windows.window_ms) == (4, WINDOW_MS)
    run(windows, [T0 + 4000])
    assert (windows.epoch, windows.count, windows.window_ms) == (6, 2, 700)


@pytest.mark.parametrize(
    ("wall_ms", "wanted"),
    [(T0 + 1, T0 + 1), (T0, T0 + 1), (T0 - 999, T0 + 1), (T0 - 1000, T0 - 1000), (T0 + 10**9, T0 + 10**9)],
)
def test_time_goes_on_behind_the_recorded_unless_the_wall_is_a_window_behind(wall_ms, wanted):
    assert start_ms(wall_ms, T0, WINDOW_MS) == wanted


@pytest.mark.parametrize(("count", "window_ms"), [(0, 1000), (65536, 1000), (12, 0)])
def test_a_plan_that_no_beacon_can_hold_is_refused(count, window_ms):
    with pytest.raises(ValueError, match=str(count)):
        Windows(count, window_ms)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 5000), max_size=60), st.integers(1, 5))
def test_whatever_the_pauses_windows_ascend_are_never_too_late_and_never_twice(pauses, count):
    now_ms, windows, opened = T0, Windows(count, WINDOW_MS), []
    for pause in pauses:
        now_ms += pause
        while (step := windows.due(now_ms)) is not None:
            windows.took(step, now_ms)
            if step.kind == "open_window":
                late_ms = now_ms - windows.opened_ms - step.window * WINDOW_MS
                assert 0 <= late_ms <= WINDOW_MS // 2
                assert step.window < count
                opened.append((step.epoch, step.window))
        assert now_ms < windows.wake_ms(now_ms) <= now_ms + WINDOW_MS
    assert opened == sorted(set(opened))

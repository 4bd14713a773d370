"""When a further gateway opens and closes: with the site's own gateway, alone when that is away, and never ahead."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.intake.epochs import ChainAway, Epochs
from gateway.intake.evidence import Evidence, read_windows, windows_path
from gateway.intake.ingest import Ingest
from gateway.intake.registry import Registry
from gateway.oracle.statements import Opened
from gateway.site.following import Following

WINDOW_MS, COUNT, T0 = 1000, 4, 1_700_000_000_000


def opened(epoch, window, block=None):
    return Opened(epoch, window, COUNT, WINDOW_MS, 100 * epoch + window if block is None else block)


def run(events, following=None):
    """What is done, as (ms, kind, epoch, window, block stated), asked every 10 ms and after each statement."""
    following, done = following or Following(), []
    stated = dict(events)
    for at_ms in range(0, max(stated) + 2 * COUNT * WINDOW_MS, 10):
        if at_ms in stated:
            following.heard(stated[at_ms], T0 + at_ms)
        while (step := following.due(T0 + at_ms)) is not None:
            block = following.block(T0 + at_ms) if step.kind == "open_window" else None
            following.took(step, T0 + at_ms)
            done.append((at_ms, step.kind, step.epoch, step.window, block))
    return done


def windows(done):
    return [(epoch, window, block) for _, kind, epoch, window, block in done if kind == "open_window"]


def test_what_is_stated_is_done_at_once_and_by_the_same_block():
    done = run([(1000 * window + 30, opened(1, window)) for window in range(COUNT)] + [(4030, opened(2, 0))])
    assert [row[:4] for row in done[:7]] == [
        (30, "open_epoch", 1, 0),
        (30, "open_window", 1, 0),
        (1030, "open_window", 1, 1),
        (2030, "open_window", 1, 2),
        (3030, "open_window", 1, 3),
        (4030, "close_epoch", 1, 0),
        (4030, "open_epoch", 2, 0),
    ]
    assert windows(done)[:5] == [(1, 0, 100), (1, 1, 101), (1, 2, 102), (1, 3, 103), (2, 0, 200)]


def test_alone_it_goes_on_with_the_open_epoch_closes_it_and_opens_no_other():
    done = run([(0, opened(1, 0)), (1000, opened(1, 1))])
    assert [row[:4] for row in done[3:]] == [
        (2250, "open_window", 1, 2),
        (3250, "open_window", 1, 3),
        (4250, "close_epoch", 1, 0),
    ]
    assert [block for *_, block in windows(done)] == [100, 101, None, None]


def test_who_comes_in_the_middle_of_an_epoch_opens_what_is_left_of_it_at_the_same_times():
    done = run([(0, opened(7, 2))])
    assert [row[:4] for row in done] == [
        (0, "open_epoch", 7, 0),
        (0, "open_window", 7, 2),
        (1250, "open_window", 7, 3),
        (2250, "close_epoch", 7, 0),
    ]


def test_an_epoch_that_was_missed_is_passed_over():
    assert [row[1:3] for row in run([(0, opened(1, 3)), (500, opened(5, 0))])][:4] == [
        ("open_epoch", 1),
        ("open_window", 1),
        ("close_epoch", 1),
        ("open_epoch", 5),
    ]


@pytest.mark.parametrize(
    "late",
    [opened(1, 0), opened(1, 1), opened(1, 4), opened(1, 9)],
    ids=["an older window", "the same window", "no window of the epoch", "far outside"],
)
def test_what_was_said_before_or_cannot_be_opens_no_window(late):
    done = run([(0, opened(1, 0)), (1000, opened(1, 1)), (1100, late)])
    assert [window for _, window, _ in windows(done)][:2] == [0, 1] and {window for _, window, _ in windows(done)} <= {
        0,
        1,
        2,
        3,
    }


def test_a_statement_that_comes_too_late_opens_nothing_by_its_block():
    following = Following()
    following.heard(opened(1, 0), T0)
    assert following.due(T0 + 501) is None and following.due(T0 + 500).kind == "open_epoch"


def test_after_a_restart_the_open_epoch_goes_on_and_a_clock_that_was_set_back_closes_it():
    following = Following()
    following.epoch = 3
    following.resume(COUNT, WINDOW_MS, T0, 1, T0 + 1200, T0 + 1300)
    assert [row[:4] for row in run([(2010, opened(3, 2))], following)][0] == (2010, "open_window", 3, 2)
    following.resume(COUNT, WINDOW_MS, T0, 1, T0 + 1200, T0)
    assert following.due(T0).kind == "close_epoch"


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.dictionaries(st.integers(0, 120).map(lambda each: each * 100),
                       st.builds(opened, st.integers(1, 3), st.integers(0, 6)), min_size=1, max_size=14))  # fmt: skip
def test_windows_and_epochs_only_rise_whatever_is_stated(stated):
    done = run(sorted(stated.items()))
    assert all(earlier[:2] < later[:2] for earlier, later in zip(windows(done), windows(done)[1:], strict=False))
    assert all(0 <= window < COUNT for _, window, _ in windows(done))
    kinds = [kind for _, kind, *_ in done if kind != "open_window"]
    assert kinds == ["open_epoch", "close_epoch"] * (len(kinds) // 2) + ["open_epoch"] * (len(kinds) % 2)
    assert {epoch for _, kind, epoch, *_ in done if kind == "open_epoch"} <= {each.epoch for each in stated.values()}


class Gateway:
    """A further gateway's epochs on a disk, at a time that is set; the chain may be away."""

    def __init__(self, folder, now_ms=T0):
        self.now_ms, self.block = now_ms, (7, bytes(32))
        self.registry, self.evidence = Registry(folder / "state.sqlite"), Evidence(folder / "evidence")
        self.following = Following()
        ingest = Ingest(self.registry.devices, self.registry.progress)
        parts = self.evidence, self.registry, ingest, self.following, self
        self.epochs = Epochs(*parts, self.newest_block, lambda beacon, window_ms: None, lambda epoch: None)
        self.epochs.resume()

    def __call__(self):
        return self.now_ms

    def set(self, now_ms):
        self.now_ms = now_ms

    def newest_block(self):
        if self.block is None:
            raise ChainAway
        return self.block

    def hear(self, epoch, window, at_ms):
        self.now_ms = T0 + at_ms
        self.following.heard(opened(epoch, window), self.now_ms)
        self.epochs.turn()

    def evidence_windows(self):
        return read_windows(windows_path(self.evidence.folder, self.evidence.epoch)).windows

    def kill(self):
        self.registry.close()
        self.evidence.release()


def test_killed_after_it_passed_over_epochs_it_starts_again_and_goes_on(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.hear(1, 0, 0)
    gateway.block = None
    gateway.hear(5, 0, 1000)
    assert gateway.evidence.epoch == 1
    gateway.block = (9, bytes(32))
    gateway.now_ms += 100
    gateway.epochs._do(gateway.following.due(gateway.now_ms), gateway.now_ms)
    gateway.epochs._do(gateway.following.due(gateway.now_ms), gateway.now_ms)
    gateway.kill()  # between opening epoch 5 and its first window
    again = Gateway(tmp_path, gateway.now_ms + 500)
    assert (again.following.epoch, again.following.opened_ms is not None, again.evidence.epoch) == (5, True, 5)
    again.hear(5, 1, 2000)
    assert [window.window for window in again.evidence_windows()] == [1]
    again.kill()

"""A gateway commits to each window in the next one, after everything that came in it, and to all at the close."""

import pytest

from gateway.intake import evidence
from gateway.intake.epochs import COMMIT_PART
from tests.ingest_site import WINDOW_MS, Signer, Site


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path, count=4)
    made.told = []
    made.epochs._tell_commitment = made.told.append
    return made


def pass_time(site, wait_ms):
    site.now_ms += wait_ms
    site.epochs.turn()
    site.epochs.commit()


def test_each_window_is_committed_once_when_a_part_of_the_next_has_passed(site):
    pass_time(site, WINDOW_MS)
    assert site.told == []
    pass_time(site, WINDOW_MS // COMMIT_PART - 1)
    assert site.told == [] and site.epochs.wake_ms() == 1
    for _ in range(3):
        pass_time(site, 1)
    assert [(told.epoch, told.window) for told in site.told] == [(1, 0)]
    assert site.epochs.wake_ms() > WINDOW_MS // 2


def test_every_commitment_of_an_epoch_is_a_prefix_of_its_evidence_and_the_last_is_all_of_it(site):
    signer = Signer()
    for window in range(4):
        site.evidence.append([(site.now_ms, signer.heartbeat(site.beacon, sequence=window + 1))])
        pass_time(site, WINDOW_MS // COMMIT_PART)
        pass_time(site, WINDOW_MS - WINDOW_MS // COMMIT_PART)
    assert site.closed == [1]
    told = [item for item in site.told if item.epoch == 1]
    assert [item.window for item in told] == [0, 1, 2, 3]
    lengths = [(item.heartbeats_bytes, item.windows_bytes) for item in told]
    assert lengths == sorted(lengths)
    assert lengths[-1][0] == evidence.heartbeats_path(site.evidence.folder, 1).stat().st_size
    found = evidence.digests_at(site.evidence.folder, 1, lengths)
    assert [found[length] for length in lengths] == [item.digest for item in told]


def test_a_window_that_was_not_opened_is_covered_by_the_next_commitment(site):
    pass_time(site, 3 * WINDOW_MS)
    pass_time(site, WINDOW_MS // COMMIT_PART)
    assert [told.window for told in site.told] == [2]

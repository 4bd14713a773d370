"""A backup is one moment of a gateway that runs: heartbeats have their windows, epochs are whole, the chain fits."""

from pathlib import Path

import pytest

from gateway.edge import backup, backup_file
from gateway.errors import CommandError
from gateway.intake import evidence
from gateway.intake.evidence import Evidence
from tests.backup_scene import COSE, KEY, make_site, unpack, window


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path / "site")


class Writer:
    """The gateway that goes on while it is saved: a window and a heartbeat in it, or the end of an epoch."""

    def __init__(self, site):
        self.kept, self.count = Evidence(site / "evidence"), 5
        self.kept.resume()

    def work(self):
        self.kept.open_window(window(self.count))
        self.kept.append([(1000 * self.count, COSE)])
        self.count += 1

    def end_epoch(self):
        self.work()
        epoch, self.count = self.kept.epoch + 1, 0
        self.kept.close_epoch(9000, 9)
        self.kept.open_epoch(epoch, 12, 5000, 1000)
        self.work()


def saved_evidence(site, again):
    """What was saved of each epoch: (whether it is closed, heartbeats); each heartbeat has a window."""
    with backup.moment(site) as found:
        unpack(b"".join(backup_file.write(found.members, found.about, KEY)), again)
    kept = []
    for epoch in range(1, found.about["epoch"] + 1):
        windows = evidence.read_windows(evidence.windows_path(again / "evidence", epoch))
        times = [receipt_ms for receipt_ms, _ in evidence.read(evidence.heartbeats_path(again / "evidence", epoch))]
        assert max(times) <= max(1000, *(one.opened_ms for one in windows.windows))
        kept.append((windows.is_closed, len(times)))
    return kept


def test_what_is_written_between_two_measurements_has_its_window(site, tmp_path, monkeypatch):
    writer, real, measured = Writer(site), Path.stat, []

    def stat(path, **options):
        found = real(path, **options)
        if path.parent == site / "evidence" and path.name.startswith("epoch-2.") and len(measured) < 2:
            measured.append(path)
            writer.work()
        return found

    monkeypatch.setattr(Path, "stat", stat)
    assert saved_evidence(site, tmp_path / "again")[0] == (True, 1) and measured


def test_an_epoch_that_ends_while_it_is_saved_is_saved_whole(site, tmp_path, monkeypatch):
    writer, real, calls = Writer(site), backup._copy_chain, []

    def copy_chain(*arguments):
        real(*arguments)
        calls.append(arguments)
        if len(calls) < 3:
            writer.end_epoch()

    monkeypatch.setattr(backup, "_copy_chain", copy_chain)
    assert saved_evidence(site, tmp_path / "again") == [(True, 1), (True, 2), (True, 2), (False, 1)] and len(calls) == 3


def test_epochs_too_short_to_be_saved_are_told(site, monkeypatch):
    writer = Writer(site)
    monkeypatch.setattr(backup, "_copy_chain", lambda *_: writer.end_epoch())
    with pytest.raises(CommandError, match="end the gateway, then save it"), backup.moment(site):
        pass
    assert not (site / backup.STAGING).exists()

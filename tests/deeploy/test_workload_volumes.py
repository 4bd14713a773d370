"""What runs read of R1FS is on the disk once, whole, whoever brings it at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from gateway.storage import folders
from gateway.storage.embedded import Embedded
from gateway.workloads.runs import CannotStart
from gateway.workloads.volumes import Volumes


@pytest.fixture
def store(tmp_path):
    with closing(Embedded(tmp_path / "r1fs")) as opened:
        yield opened


def test_two_runs_that_bring_the_same_folder_at_once_both_have_it(tmp_path, store, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"content")
    volumes, cid = Volumes(tmp_path / "volumes", store), store.add_folder(tmp_path / "a").cid
    both, save = threading.Barrier(2, timeout=20), folders.save

    def at_once(*arguments, **options):
        both.wait()
        return save(*arguments, **options)

    monkeypatch.setattr(folders, "save", at_once)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(volumes.content, [cid, cid])
    assert first == second and (first / "file").read_bytes() == b"content"
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_content_that_is_no_file_or_folder_starts_nothing(tmp_path, store):
    volumes = Volumes(tmp_path / "volumes", store)
    with pytest.raises(CannotStart):
        volumes.content(store.put_block(b"\xa1aaab", 0x71))
    assert not list((tmp_path / "volumes" / "content").iterdir())

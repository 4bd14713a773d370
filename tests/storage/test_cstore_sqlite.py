"""The embedded engine on a real disk: killed processes, torn and damaged files, a full disk, clocks that jump."""

import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.storage.cstore import Cstore
from gateway.storage.cstore_record import Access, Conflict, StoreDamaged, StoreFull, Unavailable
from gateway.storage.cstore_sqlite import SqliteEngine
from tests.cstore_site import OWNER, READER, WRITER, address, defined, run_threads, sqlite_place, wait_until

ROOT = Path(__file__).parents[2]
T0 = 1_700_000_000_000


@pytest.fixture
def place(tmp_path):
    made = sqlite_place(tmp_path)
    yield made
    made.close()


def values(store):
    return {record.key: int(record.value) for record in store.ls("jobs")}


WRITER_PROCESS = """
import sys, threading
from pathlib import Path
from coincurve import PrivateKey
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_sqlite import SqliteEngine
store = Cstore(SqliteEngine(Path(sys.argv[1])), PrivateKey(bytes([1]) * 32))
lock = threading.Lock()
def write(name):
    number = 0
    while True:
        number += 1
        store.put("jobs", name, b"%d" % number)
        with lock:
            print(name, number, flush=True)
for name in "abcdefgh":
    threading.Thread(target=write, args=(name,)).start()
"""


def test_what_was_acknowledged_survives_kill_9_of_many_writers(place, tmp_path):
    defined(place)
    command = [sys.executable, "-c", WRITER_PROCESS, str(tmp_path / "cstore.sqlite")]
    for _ in range(3):
        writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        lines = [writer.stdout.readline() for _ in range(150)]
        writer.kill()
        lines += writer.stdout.read().rpartition("\n")[0].splitlines()
        writer.wait()
        writer.stdout.close()
        acknowledged = {}
        for line in filter(None, lines):
            name, number = line.split()
            acknowledged[name] = int(number)
        found = values(place.store())
        assert all(number <= found[name] <= number + 1 for name, number in acknowledged.items())
        assert place.store().replica.refused == 0


def test_a_log_torn_anywhere_gives_a_store_as_of_some_write_and_it_goes_on(place, tmp_path):
    store = defined(place)
    for number in range(20):
        store.put("jobs", "k", b"%d" % number)
    log = (tmp_path / "cstore.sqlite-wal").read_bytes()
    torn = tmp_path / "torn"
    kept = []
    for size in range(0, len(log), 4099):
        for tail in (b"", os.urandom(len(log) - size)):
            shutil.rmtree(torn, ignore_errors=True)
            torn.mkdir()
            shutil.copy(tmp_path / "cstore.sqlite", torn)
            (torn / "cstore.sqlite-wal").write_bytes(log[:size] + tail)
            engine = SqliteEngine(torn / "cstore.sqlite")
            again = Cstore(engine, OWNER)
            kept.append(len(again.engine.entries("jobs", "k")) and int(again.get("jobs", "k").value))
            again.define("jobs", Access())
            before = again.get("jobs", "k")
            assert again.put("jobs", "k", b"9").revision == (before.revision if before else 0) + 1
            engine.close()
    assert kept == sorted(kept) and kept[-1] >= 15


@contextmanager
def small_disk(size_bytes):
    """Files may not grow over so many bytes. Not a fixture: it holds for the whole process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_refuses_the_write_keeps_what_was_there_and_goes_on_once_there_is_space(place, tmp_path):
    store = defined(place)
    store.put("jobs", "k", b"before")
    size = (tmp_path / "cstore.sqlite-wal").stat().st_size
    with small_disk(size + 3000), pytest.raises(StoreFull, match="cstore.sqlite: cannot be written: .*free some space"):
        store.put("jobs", "k", bytes(8000))
    for each in (store, place.store()):
        assert (each.get("jobs", "k").value, each.get("jobs", "k").revision) == (b"before", 1)
    assert store.put("jobs", "k", b"after").revision == 2
    assert place.store().get("jobs", "k").value == b"after"


def test_a_full_disk_refuses_every_write_of_the_transaction(place):
    store = defined(place)
    store.engine._writer.execute("PRAGMA max_page_count = 1")
    refused = []

    def write(number):
        with pytest.raises(StoreFull):
            store.put("jobs", f"k{number}", bytes(30_000))
        refused.append(number)

    run_threads(6, write)
    assert sorted(refused) == list(range(6)) and store.ls("jobs") == []
    store.engine._writer.execute("PRAGMA max_page_count = 100000")
    run_threads(6, lambda number: store.put("jobs", f"k{number}", bytes(30_000)))
    assert len(place.store().ls("jobs")) == 6


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "noise":
        content[:] = os.urandom(len(content))
    elif how in ("entry", "entry_of_bucket"):  # the first page of the table, of the index
        with sqlite3.connect(path) as found:
            (page,) = found.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (how,)).fetchone()
        content[4096 * (page - 1) : 4096 * page] = bytes(4096)
    elif how == "cut":
        del content[5000:]
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["noise", "entry", "entry_of_bucket", "cut"])
def test_a_damaged_file_is_named_and_not_touched(place, tmp_path, how):
    store = defined(place)
    for number in range(50):
        store.put("jobs", f"k{number}", bytes(500))
    place.close()
    path = tmp_path / "cstore.sqlite"
    damage(path, how)
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match=str(path)):
        SqliteEngine(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_not_touched(tmp_path):
    path = tmp_path / "state.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE device (id BLOB)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match="another program's database"):
        SqliteEngine(path)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(StoreDamaged, match="unable to open"):
        SqliteEngine(tmp_path / "none" / "cstore.sqlite")


def engine_at(tmp_path, wall_ms):
    return SqliteEngine(tmp_path / "cstore.sqlite", lambda: wall_ms)


def test_a_wall_clock_set_back_gives_no_key_a_longer_life(tmp_path):
    store = Cstore(engine_at(tmp_path, T0), OWNER)
    store.define("jobs", Access())
    assert T0 <= store.put("jobs", "k", b"", ttl_ms=60_000).stored_ms < T0 + 60_000
    back = Cstore(engine_at(tmp_path, T0 - 86_400_000), OWNER)
    assert back.engine.now_ms() >= T0
    assert back.put("jobs", "other", b"").stored_ms >= T0
    assert Cstore(engine_at(tmp_path, T0 + 120_000), OWNER).get("jobs", "k") is None


def test_a_wall_clock_that_jumps_while_the_store_is_open_changes_nothing(tmp_path):
    wall = iter([T0])
    store = Cstore(SqliteEngine(tmp_path / "cstore.sqlite", lambda: next(wall)), OWNER)
    store.define("jobs", Access())
    store.put("jobs", "k", b"", ttl_ms=60_000)
    assert store.get("jobs", "k") is not None and next(wall, None) is None


def test_writers_that_wait_share_a_transaction_and_each_gets_its_own_outcome(place):
    engine = defined(place).engine
    commits, begun, outcomes = [], threading.Event(), {}
    really = engine._transact

    def slow(batch):
        commits.append(len(batch))
        begun.wait(10)
        return really(batch)

    engine._transact = slow

    def write(number):
        try:
            outcomes[number] = engine.write("jobs", f"k{number // 2}", b"%d" % number, 0).sequence
        except Conflict:
            outcomes[number] = None

    def release():
        wait_until(lambda: len(engine._queue) == 15)
        begun.set()

    run_threads(17, lambda number: write(number) if number < 16 else release())
    assert commits == [1, 15]
    won = [sequence for sequence in outcomes.values() if sequence]
    assert len(won) == len(set(won)) == 8 and len(outcomes) == 16


def test_a_writer_that_is_interrupted_leaves_none_of_the_others_waiting(place):
    engine = defined(place).engine
    really, first = engine._transact, [True]

    def interrupted(batch):
        if first.pop() if first else False:
            raise KeyboardInterrupt
        return really(batch)

    engine._transact = interrupted
    with pytest.raises(KeyboardInterrupt):
        engine.write("jobs", "k", b"", 0)
    assert engine.write("jobs", "k", b"", 0).sequence > 0


def test_a_commit_is_synced_before_it_returns(place):
    engine = defined(place).engine
    assert engine._writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: SQLite syncs the log at each commit
    assert engine._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_another_process_holds_is_told_and_nothing_is_written(place, tmp_path):
    store = defined(place)
    store.engine._writer.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "cstore.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="in use by another process"):
        store.put("jobs", "k", b"")
    other.execute("ROLLBACK")
    other.close()
    assert store.get("jobs", "k") is None
    assert store.put("jobs", "k", b"").revision == 1


def test_its_file_is_of_its_user_alone_and_holds_no_key(place, tmp_path):
    store = defined(place)
    store.put("jobs", "k", b"value")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert all(key.secret not in content for key in (OWNER, WRITER, READER))
    assert address(OWNER) in content and store.engine.notes() == []

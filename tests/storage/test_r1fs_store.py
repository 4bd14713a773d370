"""The embedded store when a process is killed, a disk is full, bytes rot, and a collection meets a writer."""

import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from gateway.storage import blocks, dag_cbor
from gateway.storage.car import read_car
from gateway.storage.cid import DAG_CBOR, MAX_BLOCK_BYTES
from gateway.storage.errors import Damaged, Missing, Refused, StoreError
from gateway.storage.index import Pin
from gateway.storage.unixfs import PROFILE
from tests.r1fs_site import HELLO, content, facts, joined, packs, pieces, store_in

PACK = blocks.PACK_BYTES
ADDS_FOREVER = """
import sys
from pathlib import Path
from gateway.storage.embedded import Embedded
store = Embedded(Path(sys.argv[1]))
print(store.add([b"acknowledged"]).cid, flush=True)
store.add(number.to_bytes(8, "big") * 32768 for number in range(1 << 40))
"""


@pytest.fixture
def store(tmp_path):
    with store_in(tmp_path / "store") as opened:
        yield opened


@contextmanager
def files_of_at_most(size):
    """What a full disk does: no file of this process grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def flip(path, offset):
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("written", [2, 3, 6])
def test_a_killed_add_leaves_what_was_acknowledged_and_the_next_one_goes_on(written, tmp_path):
    folder = tmp_path / "store"
    process = subprocess.Popen([sys.executable, "-c", ADDS_FOREVER, folder], stdout=subprocess.PIPE, text=True)
    cid = process.stdout.readline().strip()
    while len(packs(folder)) < written:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    with store_in(folder) as store:
        assert joined(store.read(cid)) == b"acknowledged" and [pin.cid for pin in store.pins()] == [cid]
        checked = store.check()
        assert (checked.damaged, checked.incomplete) == ([], [])

        again = [number.to_bytes(8, "big") * 32768 for number in range(checked.blocks - 1)]
        before = len(packs(folder))
        store.unpin(store.add(again).cid)
        assert len(packs(folder)) <= before + 1  # the nodes; no leaf was written again
        store.collect()
        assert len(packs(folder)) == 1 and store.check().blocks == 1


@pytest.mark.parametrize("size", [0, 4096, 100_000, 1 << 20, PACK])
def test_a_full_disk_is_an_error_and_nothing_that_was_acknowledged_is_lost(size, store, tmp_path):
    kept = store.add([HELLO])
    before = facts(store)

    for data in (content(200_000), content(2 * PACK)) if size < 200_000 else (content(2 * PACK),):
        with files_of_at_most(size), pytest.raises(StoreError):
            store.add(pieces(data))

    assert store.pins() == before[0] and joined(store.read(kept.cid)) == HELLO
    assert not [path for path in packs(tmp_path / "store") if path.suffix == ".part"]
    store.collect()
    assert facts(store) == before
    assert joined(store.read(store.add([content(99)]).cid)) == content(99)


def test_a_stream_that_fails_adds_nothing(store):
    def failing():
        yield content(1000)
        raise OSError("the source went away")

    before = facts(store)
    with pytest.raises(OSError, match="went away"):
        store.add(failing())
    assert facts(store)[0] == before[0]


@pytest.mark.parametrize("damage", ["a byte", "the end", "the file"])
def test_rot_is_reported_by_name_and_healed_by_adding_again(damage, store, tmp_path):
    data = content(1_000_003)
    added = store.add([data])
    (pack,) = packs(tmp_path / "store")
    if damage == "a byte":
        flip(pack, 300_000)
    elif damage == "the end":
        os.truncate(pack, 700_000)
    else:
        pack.unlink()

    with pytest.raises((Damaged, Missing), match="is damaged|is not here"):
        joined(store.read(added.cid))
    checked = store.check()
    assert len(checked.damaged) == {"a byte": 1, "the end": 3, "the file": 5}[damage] and checked.healed == []
    assert checked.incomplete == ([] if damage == "a byte" else [added.cid])

    assert store.add([data]) == added
    assert joined(store.read(added.cid)) == data and store.check().damaged == []


def test_nothing_is_collected_while_a_pin_is_not_whole(store, tmp_path):
    leaf = store.put_block(content(301))
    node = store.put_block(dag_cbor.encode_node([dag_cbor.Link(leaf)]), DAG_CBOR)
    outer = store.put_block(dag_cbor.encode_node([dag_cbor.Link(node)]), DAG_CBOR)
    store.pin(outer)
    stray = store.put_block(content(302))
    pack = next(
        path for path in packs(tmp_path / "store") if dag_cbor.encode_node([dag_cbor.Link(leaf)]) in path.read_bytes()
    )
    flip(pack, pack.stat().st_size - 1)

    with pytest.raises(Damaged):
        store.collect()
    assert store.has(leaf) and store.has(stray)


def test_a_collection_waits_for_who_adds_and_takes_nothing_of_it(store):
    data = content(600_000)
    store.unpin(store.add([data]).cid)  # every block is here and nothing pins it
    freed = []
    collecting = threading.Thread(target=lambda: freed.append(store.collect()))

    def slowly():
        yield data[:300_000]
        collecting.start()
        collecting.join(0.2)
        assert collecting.is_alive()
        yield data[300_000:]

    added = store.add(slowly())
    collecting.join()
    assert freed[0].cids == [] and joined(store.read(added.cid)) == data


@pytest.mark.parametrize(("kept", "dropped", "is_rewritten"), [("small", "large", True), ("large", "small", False)])
def test_a_pack_is_written_anew_only_when_it_is_mostly_dead(kept, dropped, is_rewritten, store, tmp_path):
    sizes = {"small": 2000, "large": 200_000}
    added = dict(store.add_tree((name, [content(size)]) for name, size in sizes.items()))
    before = packs(tmp_path / "store")
    store.pin(added[kept].cid)
    store.unpin(added[""].cid)

    freed = store.collect()

    assert set(freed.cids) == {added[dropped].cid, added[""].cid} and not store.has(added[dropped].cid)
    assert joined(store.read(added[kept].cid)) == content(sizes[kept])
    assert (packs(tmp_path / "store") != before) == (freed.bytes > sizes["small"]) == is_rewritten


def test_what_a_crash_left_beside_the_index_goes_with_a_collection(store, tmp_path):
    added = store.add([HELLO])
    folder = tmp_path / "store" / "packs"
    (folder / "00000000000000aa.car").write_bytes(b"never indexed")
    (folder / "00000000000000ab.part").write_bytes(b"torn")

    store.collect()

    assert len(packs(tmp_path / "store")) == 1 and joined(store.read(added.cid)) == HELLO


def test_the_profile_lies_beside_the_cid_and_stays(store):
    added = store.add([HELLO])
    store.pin(added.cid)
    assert store.pins() == [Pin(added.cid, len(HELLO), PROFILE)]
    by_hand = store.put_block(content(5))
    store.pin(by_hand)
    assert Pin(by_hand, 5, "") in store.pins()


def test_a_pack_is_a_car_that_others_can_read(store, tmp_path):
    store.add([content(262_145)])
    with packs(tmp_path / "store")[0].open("rb") as file:
        roots, found = read_car(file)
        assert roots == [] and len(list(found)) == 3


def test_two_stores_in_one_folder_see_each_others_blocks(store, tmp_path):
    with store_in(tmp_path / "store") as other:
        added = other.add([content(1_000_003)])
        assert joined(store.read(added.cid)) == content(1_000_003) and store.pins() == other.pins()


def test_threads_that_add_the_same_content_write_it_safely(store):
    data = content(1_000_003)
    added = []
    threads = [threading.Thread(target=lambda: added.append(store.add(pieces(data)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(added) == 8 and len(set(added)) == 1
    assert joined(store.read(added[0].cid)) == data and store.check().damaged == []


def test_a_block_over_the_limit_is_refused(store):
    with pytest.raises(Refused):
        store.put_block(bytes(MAX_BLOCK_BYTES + 1))
    assert store.check().blocks == 0


def test_memory_stays_flat_whatever_the_stream(tmp_path):
    program = """
import resource, sys
from pathlib import Path
from gateway.storage.embedded import Embedded
store = Embedded(Path(sys.argv[1]))
def stream(count):
    return (number.to_bytes(8, "big") * 32768 for number in range(count))
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
for chunk in store.read(store.add(stream(200)).cid): pass
before = peak()
for chunk in store.read(store.add(stream(600)).cid): pass
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "s"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8  # MiB, of 100 more

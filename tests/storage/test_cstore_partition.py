"""A CSTORE cluster that is parted: the side without a majority acknowledges nothing, the other loses nothing."""

import signal
from uuid import uuid4

import pytest

from gateway.storage.cstore_record import Access, Unavailable
from tests import cstore_site
from tests.cstore_load import Load, check_nothing_lost
from tests.cstore_site import OWNER, Place, address, leader, nats_engine, only, wait_until

cluster = cstore_site.cluster


@pytest.fixture
def place(cluster):
    name = uuid4().hex
    made = Place(lambda: nats_engine(f"{cluster.url}/{name}", wait_s=40))
    yield made
    made.close()


def test_no_acknowledged_write_is_lost_in_a_partition_and_the_parted_side_acknowledges_none(cluster, place):
    store = place.store()
    store.define("jobs", Access())
    store.put("jobs", "other", b"")
    load = Load(place)
    load.wait_for_more(20)
    halted = leader(store)
    parted = only(cluster, place, halted, wait_s=2)
    assert parted.get("jobs", "other").revision == 1
    try:
        cluster.signal(halted, signal.SIGSTOP)
        for act in (lambda: parted.put("jobs", "other", b"parted"), lambda: parted.get("jobs", "k0")):
            with pytest.raises(Unavailable):
                act()
        load.wait_for_more(20)
        cluster.signal(halted, signal.SIGCONT)
        load.wait_for_more(5)
    finally:
        load.end()
    check_nothing_lost(load, [place.store(), store])
    back = only(cluster, place, halted, wait_s=40)
    wait_until(lambda: back.get("jobs", "k0").revision == load.acknowledged[0])
    assert place.store().get("jobs", "other").revision in (1, 2)  # what was not acknowledged may have come through


def test_without_a_quorum_nothing_is_acknowledged_and_nothing_lost(cluster, place):
    store = place.store()
    store.define("jobs", Access())
    store.put("jobs", "k", b"before")
    last = next(node for node in range(3) if node != leader(store))
    alone = only(cluster, place, last, wait_s=3)
    halted = [node for node in range(3) if node != last]
    for node in halted:
        cluster.signal(node, signal.SIGSTOP)
    with pytest.raises(Unavailable, match="the write may be there or not, repeating it is safe"):
        alone.engine.write("jobs", "other", b"", 0)
    with pytest.raises(Unavailable):
        alone.put("jobs", "k", b"alone")
    for node in halted:
        cluster.signal(node, signal.SIGCONT)
    found = place.store().get("jobs", "k")
    assert found.value in (b"before", b"alone") and found.owner == address(OWNER)
    assert place.store().put("jobs", "k", b"after").revision == found.revision + 1

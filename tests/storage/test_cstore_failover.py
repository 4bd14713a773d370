"""A CSTORE cluster whose leader is killed, and then every server: acknowledged writes are counted, none may be lost."""

import signal

import pytest

from gateway.storage.cstore_record import Access
from tests import cstore_site
from tests.cstore_load import Load, check_nothing_lost
from tests.cstore_site import Place, leader, nats_engine, only

cluster = cstore_site.cluster


@pytest.fixture
def place(cluster):
    made = Place(lambda: nats_engine(f"{cluster.url}/killed", wait_s=40))
    yield made
    made.close()


def test_no_acknowledged_write_is_lost_when_the_leader_is_killed_and_then_all_are(cluster, place):
    store = place.store()
    store.define("jobs", Access())
    load = Load(place)
    try:
        load.wait_for_more(20)
        dead = leader(store)
        cluster.signal(dead, signal.SIGKILL)
        load.wait_for_more(20)
        cluster.start(dead)
    finally:
        load.end()
    check_nothing_lost(load, [place.store(), only(cluster, place, dead, wait_s=40)])
    for node in range(3):
        cluster.signal(node, signal.SIGKILL)
    cluster.start()
    check_nothing_lost(load, [place.store(), store])

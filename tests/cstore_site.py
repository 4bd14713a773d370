"""CSTORE's engines for tests: one store that several gateways open, over SQLite or over three nats-servers."""

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from coincurve import PrivateKey

from gateway import curve
from gateway.broker.nats_cluster import NatsCluster, NatsMissing
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_nats_options import parse_url
from gateway.storage.cstore_record import Access
from gateway.storage.cstore_sqlite import SqliteEngine

OWNER, WRITER, READER, STRANGER = (PrivateKey(bytes([number]) * 32) for number in range(1, 5))
ENGINES = ["sqlite", "nats"]
WAIT_S = 15


def address(key):
    return curve.address(key.public_key.format())


def digest_signer(key):
    return lambda digest: key.sign_recoverable(digest, hasher=None)


class Place:
    """One store: each call of `engine` opens it as another gateway does; `keeps_history`: entries before the newest."""

    def __init__(self, make, keeps_history=False):
        self._make, self._engines, self.keeps_history = make, [], keeps_history

    def engine(self):
        self._engines.append(self._make())
        return self._engines[-1]

    def store(self, key=OWNER):
        return Cstore(self.engine(), key)

    def close(self):
        for engine in self._engines:
            engine.close()


def defined(place):
    """The owner's store with the bucket `jobs`, which WRITER may write, READER read, and the owner both."""
    store = place.store()
    store.define("jobs", Access((address(READER),), (address(WRITER),)))
    return store


@contextmanager
def running_cluster(folder, **options):
    """Three nats-servers, or a skip that says why."""
    pytest.importorskip("nats", reason="nats-py is not installed")
    try:
        cluster = NatsCluster(folder, **options)
    except NatsMissing as missing:
        pytest.skip(str(missing))
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def nats_engine(url, **changes):
    from gateway.storage.cstore_nats import NatsEngine

    return NatsEngine(replace(parse_url(url), **changes))


def only(cluster, place, node, **changes):
    """A gateway that knows one server alone."""
    name = place.engine()._options.name
    return Cstore(nats_engine(f"nats://127.0.0.1:{cluster.ports[node]}/{name}", **changes), OWNER)


def leader(store):
    """Number of the node that leads the store's stream."""
    engine = store.engine
    return int(engine._run(engine._jetstream.stream_info(engine._stream)).cluster.leader[1:])


def sqlite_place(folder):
    return Place(lambda: SqliteEngine(folder / "cstore.sqlite"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("nats")) as running:
        yield running


@contextmanager
def opened_place(request, folder):
    """A new place over the engine that the fixture's parameter names."""
    if request.param == "sqlite":
        made = sqlite_place(folder)
    else:
        url = f"{request.getfixturevalue('cluster').url}/{uuid4().hex}"
        made = Place(lambda: nats_engine(url), keeps_history=True)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=ENGINES)
def place(request, tmp_path):
    with opened_place(request, tmp_path) as made:
        yield made


@pytest.fixture
def store(place):
    return defined(place)


@pytest.fixture(scope="module", params=ENGINES)
def steady_store(request, tmp_path_factory):
    """A store with the key `k` at revision 2, for tests that must leave it as it is."""
    with opened_place(request, tmp_path_factory.mktemp("steady")) as made:
        store = defined(made)
        store.put("jobs", "k", b"one")
        store.put("jobs", "k", b"two")
        yield store


def content(store):
    """Everything that shows: the keys of `jobs`, and the buckets."""
    records = store.ls("jobs") + store.ls("buckets")
    return [(record.name, record.revision, record.value, record.owner) for record in records]


def wait_until(condition, wait_s=WAIT_S):
    deadline = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def run_threads(count, work):
    """Call work(number) in so many threads at once; raises what any of them raised."""
    failures = []

    def run(number):
        try:
            work(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]

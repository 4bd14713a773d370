"""How many durable CSTORE writes a second, beside what the disk allows; refuses to leave the signature or the disk out.

A write is read, signed, encoded, verified, checked against its bucket's lists and synced. "Bare" is frames as
long, by one thread, one sync each: appended to a file, and as SQLite transactions of a row. All are measured in turns.
The cluster is three nats-servers on this machine, so that it has a third of it each: a check of the path, not a figure.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from gateway.broker.nats_cluster import NatsCluster, NatsMissing
from gateway.storage.cstore import Cstore
from gateway.storage.cstore_nats_options import parse_url
from gateway.storage.cstore_record import Access
from gateway.storage.cstore_sqlite import SqliteEngine

KEY = PrivateKey(bytes(31) + b"\x05")
VALUE = bytes(100)
FRAME = bytes(280)  # a signed record of such a value is about as long
TURNS = 4
WRITERS = 32

Write = Callable[[], object]


def measure(folder: Path, turns: int = TURNS) -> dict[str, dict[str, float | None]]:
    """{who writes: {"writes_per_s", "p99_ms"}}; the cluster's are None where there is no nats-server or nats-py.

    Args:
        folder: on the disk that a site would use.
    """
    engine = SqliteEngine(folder / "cstore.sqlite")
    bare = sqlite3.connect(folder / "bare.sqlite", isolation_level=None, check_same_thread=False)
    file = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        store = _store(engine)
        plan = {
            "bare_sync": (_bare_sync(file), 1, 200),
            "bare_sqlite": (_bare_sqlite(bare), 1, 200),
            "one_writer": (_puts(store), 1, 200),
            "writers_32": (_puts(store), WRITERS, 1600),
        }
        return _in_turns(plan, turns) | _cluster(folder, turns)
    finally:
        os.close(file)
        bare.close()
        engine.close()


def _cluster(folder: Path, turns: int) -> dict[str, dict[str, float | None]]:
    none: dict[str, float | None] = {"writes_per_s": None, "p99_ms": None}
    try:
        from gateway.storage.cstore_nats import NatsEngine

        cluster = NatsCluster(folder / "nats")
    except (ModuleNotFoundError, NatsMissing):
        return {"cluster_one_writer": none, "cluster_writers_32": none}
    cluster.start()
    try:
        engine = NatsEngine(parse_url(cluster.url))
        store = _store(engine)
        plan = {"cluster_one_writer": (_puts(store), 1, 50), "cluster_writers_32": (_puts(store), WRITERS, 320)}
        try:
            return _in_turns(plan, turns)
        finally:
            engine.close()
    finally:
        cluster.stop()


def _store(engine: Any) -> Cstore:
    store = Cstore(engine, KEY)
    store.define("bench", Access())
    return store


def _puts(store: Cstore) -> Write:
    number = count()
    return lambda: store.put("bench", f"key/{next(number) % 1000}", VALUE)


def _bare_sync(file: int) -> Write:
    number = count()

    def write() -> None:
        os.pwrite(file, FRAME, next(number) * len(FRAME))
        os.fdatasync(file)

    return write


def _bare_sqlite(bare: sqlite3.Connection) -> Write:
    number = count()
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("PRAGMA synchronous = FULL")
    bare.execute("CREATE TABLE entry (name TEXT PRIMARY KEY, frame BLOB)")
    return lambda: bare.execute("INSERT OR REPLACE INTO entry VALUES (?, ?)", (f"key/{next(number) % 1000}", FRAME))


def _in_turns(plan: dict[str, tuple[Write, int, int]], turns: int) -> dict[str, dict[str, float | None]]:
    """{name: figures} of name -> (write, threads, writes a turn)."""
    seconds: dict[str, list[float]] = {name: [] for name in plan}
    took: dict[str, float] = dict.fromkeys(plan, 0.0)
    for _ in range(turns):
        for name, (write, threads, writes) in plan.items():
            took[name] += _run(write, threads, writes // threads, seconds[name])
    return {name: _figures(seconds[name], took[name]) for name in plan}


def _figures(seconds: list[float], took_s: float) -> dict[str, float | None]:
    p99_ms = 1000 * sorted(seconds)[len(seconds) * 99 // 100]
    return {"writes_per_s": round(len(seconds) / took_s), "p99_ms": round(p99_ms, 2)}


def _run(write: Write, threads: int, writes: int, seconds: list[float]) -> float:
    """Seconds until all threads have made so many writes each; each one's seconds are added."""

    def work(_: int) -> None:
        for _ in range(writes):
            started = time.perf_counter()
            write()
            seconds.append(time.perf_counter() - started)

    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        list(pool.map(work, range(threads)))
        return time.perf_counter() - started
